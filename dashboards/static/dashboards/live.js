// Regions that keep themselves up to date. Nobody's reading is disturbed: a region that is scrolled away from, pointed
// into or selected in waits, and says how much is new.
"use strict";
(() => {
  const state = new WeakMap(); // element -> {at, due}
  const TYPED = 'input:not([type="checkbox"]):not([type="radio"]):not([type="button"]), textarea, select';
  let on = true;
  let pointer = null;

  const regions = () => document.querySelectorAll("[data-live]");
  const pill = (region) => region.querySelector("[data-live-pill]") || document.querySelector("[data-live-pill]");

  // data-live-steady: rows keep their places, so a pointer over them is in nobody's way
  function isRead(region) {
    const active = document.activeElement;
    if (region.querySelector("[data-select]:checked, [data-reading]")) return true;
    if (region.contains(active) && active.matches(TYPED)) return true;
    if (region.dataset.liveSteady === undefined && pointer && region.contains(pointer) && pointer.closest("[data-row]")) return true;
    const selected = getSelection();
    if (selected && !selected.isCollapsed && region.contains(selected.anchorNode)) return true;
    if (region.contains(active) && active.closest("[data-row]")) return true;
    return region.dataset.liveNew !== undefined && scrollY > 120;
  }

  function say(region, words) {
    const place = pill(region);
    if (!place) return;
    place.hidden = !words;
    const text = place.querySelector("[data-live-words]") || place;
    if (words) text.textContent = words;
  }

  async function count(region) {
    const address = region.dataset.liveNew;
    if (!address) return say(region, on ? "" : "Live paused");
    try {
      const answer = await fetch(address, { headers: { "HX-Request": "true" }, credentials: "same-origin" });
      if (!answer.ok) return;
      const fresh = parseInt(await answer.text(), 10) || 0;
      say(region, fresh ? `Live paused · ${fresh.toLocaleString("en")} new` : on ? "" : "Live paused");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the network is away; the next tick asks again
    }
  }

  function tick() {
    if (document.visibilityState === "hidden") return;
    const now = performance.now();
    for (const region of regions()) {
      const known = state.get(region) || { at: now };
      state.set(region, known);
      const isTime = now - known.at >= Number(region.dataset.live) * 1000;
      if ((!isTime && !known.due) || region.classList.contains("htmx-request")) continue;
      if (isTime) known.at = now;
      if (!on || isRead(region)) {
        if (isTime) count(region);
        continue;
      }
      known.at = now;
      known.due = false;
      say(region, "");
      htmx.trigger(region, "live");
    }
  }
  setInterval(tick, 500);

  // something told that it changed: as soon as nobody reads it
  function soon(region) {
    const known = state.get(region) || { at: performance.now() };
    state.set(region, { ...known, due: true });
    tick();
  }

  function now(region) {
    say(region, "");
    htmx.trigger(region, "live");
  }
  function toggle() {
    if (!regions().length) return;
    on = !on;
    for (const region of regions()) on ? now(region) : say(region, "Live paused");
    if (window.wflo) wflo.toast(on ? "Live is on" : "Live is off");
  }

  document.addEventListener("pointerover", (event) => (pointer = event.target));
  document.addEventListener("pointerout", (event) => {
    if (!event.relatedTarget) pointer = null;
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-live-pill]")) return;
    on = true;
    scrollTo({ top: 0 });
    for (const region of regions()) now(region);
  });

  // what changed is tinted for a second
  let before = new Map();
  const versions = () =>
    new Map([...document.querySelectorAll("[data-key][data-version]")].map((row) => [row.dataset.key, row.dataset.version]));
  document.addEventListener("htmx:beforeSwap", (event) => {
    const asked = event.detail.requestConfig && event.detail.requestConfig.elt;
    before = asked && asked.dataset && asked.dataset.live ? versions() : new Map();
    if (event.detail.xhr.status === 286 && asked && asked.dataset) {
      event.detail.shouldSwap = true;
      delete asked.dataset.live;
    }
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (!before.size) return;
    for (const row of document.querySelectorAll("[data-key][data-version]")) {
      if (before.get(row.dataset.key) === row.dataset.version) continue;
      row.classList.add("changed");
      setTimeout(() => row.classList.remove("changed"), 1000);
    }
    before = new Map();
  });

  window.wfloLive = { toggle, soon };
})();
