// The keys. One table; typing is never taken over, and a key without anything to act on does nothing.
"use strict";
(() => {
  const TYPING = 'input:not([type="checkbox"]):not([type="radio"]):not([type="button"]), textarea, select, [contenteditable="true"]';
  let chosen = null; // the row j and k move
  let gone = 0; // when g was pressed

  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null || row.getClientRects().length);
  const link = (row) => (row.matches("a[href]") ? row : row.querySelector("a[href]"));
  const press = (element) => {
    if (!element) return false;
    const target = element.matches("details") ? element.querySelector("summary") : element;
    if (element.matches("details") && element.open) return true;
    target.click();
    const field = element.matches("details") && element.querySelector("input:not([type=hidden])");
    if (field) setTimeout(() => (field.focus(), field.select()));
    return true;
  };

  function choose(row) {
    if (chosen) chosen.classList.remove("chosen", "keyed");
    chosen = row;
    if (!row) return;
    row.classList.add("chosen", "keyed");
    row.scrollIntoView({ block: "nearest" });
    const target = link(row) || row;
    target.focus({ preventScroll: true });
  }
  function current() {
    if (chosen && chosen.isConnected) return chosen;
    const focused = document.activeElement && document.activeElement.closest("[data-row]");
    return focused || document.querySelector("[data-row].chosen");
  }
  function move(step) {
    const all = rows();
    if (!all.length) return false;
    const at = all.indexOf(current());
    choose(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)]);
    return true;
  }
  function fold(opened) {
    const row = current();
    const toggle = row && (row.matches("[data-fold]") ? row : row.querySelector("[data-fold]"));
    if (!toggle) return false;
    if ((toggle.getAttribute("aria-expanded") === "true") !== opened) toggle.click();
    return true;
  }
  function escape() {
    const menu = document.querySelector("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
      return true;
    }
    const active = document.activeElement;
    if (active && active.matches(TYPING)) {
      active.blur();
      return true;
    }
    return press(document.querySelector("[data-close]")) || press(document.querySelector("[data-up]"));
  }
  const search = () => {
    const field = document.querySelector("[data-search]");
    if (!field) return false;
    field.focus();
    field.select();
    return true;
  };
  const KEYS = {
    "?": () => (wflo.open("keys"), true),
    "/": search,
    j: () => move(1),
    k: () => move(-1),
    o: () => {
      const row = current();
      return row ? press(row.querySelector("[data-full]") || link(row)) : false;
    },
    x: () => {
      const row = current();
      return row ? press(row.querySelector("[data-select]")) : false;
    },
    h: () => fold(false),
    l: () => fold(true),
    c: () => (wflo.copy(location.href), true),
    ".": () => (document.querySelector("[data-live]") ? (wfloLive.toggle(), true) : false),
    Enter: () => {
      const row = current();
      if (!row || !(document.activeElement === document.body || document.activeElement === row)) return false;
      return press(link(row));
    },
    Escape: escape,
    g: () => ((gone = performance.now()), true),
  };

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      wflo.open("palette");
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return; // a dialog has its own keys
    if (event.target instanceof Element && event.target.matches(TYPING) && event.key !== "Escape") return;
    if (gone && performance.now() - gone < 1200) {
      gone = 0;
      const place = /^[a-z]$/.test(event.key) && document.querySelector(`[data-go="${event.key}"]`);
      if (place) {
        event.preventDefault();
        place.click();
        return;
      }
    }
    gone = 0;
    const tab = /^[1-6]$/.test(event.key) && document.querySelectorAll(".tabs > a")[Number(event.key) - 1];
    const hot = event.key.length === 1 && document.querySelector(`[data-hotkey="${CSS.escape(event.key)}"]`);
    const done = tab ? press(tab) : hot ? press(hot) : Object.hasOwn(KEYS, event.key) && KEYS[event.key]();
    if (done) event.preventDefault();
  });

  // a row that is clicked is where j and k go on from
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest("[data-row]");
    if (row && row !== chosen) {
      if (chosen) chosen.classList.remove("keyed");
      chosen = row;
    }
  });

  addEventListener("DOMContentLoaded", () => {
    const keys = wflo.dialog("keys");
    if (keys)
      keys.addEventListener("wflo:opened", () => {
        for (const line of keys.querySelectorAll("[data-needs]")) line.hidden = !document.querySelector(line.dataset.needs);
      });
    const palette = wflo.dialog("palette");
    if (palette) setUp(palette);
  });

  // --- the palette: arrows move, Enter goes
  function setUp(palette) {
    const field = palette.querySelector("input");
    const hits = () => [...palette.querySelectorAll('[role="option"]')];
    const at = () => hits().findIndex((hit) => hit.getAttribute("aria-selected") === "true");
    function mark(place) {
      const all = hits();
      all.forEach((hit, index) => {
        hit.setAttribute("aria-selected", String(index === place));
        hit.id = `palette-${index}`;
      });
      if (all[place]) {
        field.setAttribute("aria-activedescendant", all[place].id);
        all[place].scrollIntoView({ block: "nearest" });
      } else field.removeAttribute("aria-activedescendant");
    }
    palette.addEventListener("wflo:opened", () => {
      field.focus();
      field.select();
      htmx.trigger(field, "palette-opened");
    });
    palette.addEventListener("htmx:afterSettle", () => mark(hits().length ? 0 : -1));
    palette.addEventListener("keydown", (event) => {
      const all = hits();
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (all.length) mark((at() + (event.key === "ArrowDown" ? 1 : all.length - 1)) % all.length);
      } else if (event.key === "Enter") {
        event.preventDefault();
        const hit = all[Math.max(at(), 0)];
        if (hit) {
          if (!hit.dataset.open) palette.close();
          hit.click();
        }
      }
    });
  }
})();
