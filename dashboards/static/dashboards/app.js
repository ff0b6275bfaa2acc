// Small things every page needs: theme, copy, menus, toasts. No inline code anywhere, so the CSP can be strict.
"use strict";
(() => {
  const root = document.documentElement;
  const YEAR = 31536000;
  const secure = location.protocol === "https:" ? "; secure" : "";

  function keep(name, value) {
    document.cookie = `${name}=${value}; path=/; max-age=${value ? YEAR : 0}; samesite=lax${secure}`;
  }

  // --- theme: system, light, dark; the server reads the cookie, so a page is never painted in the wrong one
  function theme(next) {
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    keep("wflo_theme", next);
    for (const word of document.querySelectorAll("[data-theme-word]")) word.textContent = next || "system";
    for (const button of document.querySelectorAll("[data-theme-next]")) button.title = `Theme: ${next || "system"}`;
    document.dispatchEvent(new CustomEvent("wflo:theme"));
  }
  const NEXT = { "": "light", light: "dark", dark: "" };

  // --- density
  function density(tight) {
    if (tight) root.dataset.density = "tight";
    else delete root.dataset.density;
    keep("wflo_density", tight ? "tight" : "");
    for (const button of document.querySelectorAll("[data-density-set]"))
      button.setAttribute("aria-pressed", String((button.dataset.densitySet === "tight") === tight));
  }

  // --- whose clock: times are worked out by the server, so the page is asked for again
  function zone(name) {
    keep("wflo_zone", name);
    location.reload();
  }

  // --- toasts
  function toast(title, why) {
    const box = document.createElement("div");
    box.className = "toast";
    box.dataset.toast = "";
    const line = document.createElement("p");
    line.textContent = title;
    box.append(line);
    if (why) {
      const reason = document.createElement("p");
      reason.className = "quiet";
      reason.textContent = why;
      box.append(reason);
    }
    show(box);
    return box;
  }
  function show(box) {
    const toasts = document.getElementById("toasts");
    while (toasts.children.length > 2) toasts.firstElementChild.remove();
    toasts.append(box);
    if (!box.querySelector("[data-retry]")) setTimeout(() => box.remove(), 4000);
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea"); // an address without TLS has no clipboard
      area.className = "sr";
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    toast("Copied");
  }

  const dialog = (name) => document.querySelector(`[data-dialog="${CSS.escape(name)}"]`);
  function open(name) {
    const box = dialog(name);
    if (!box || box.open) return;
    for (const other of document.querySelectorAll("dialog[open]")) other.close();
    box.showModal();
    box.dispatchEvent(new CustomEvent("wflo:opened"));
  }

  // --- what takes longer than a moment: a line at the top of the page until it is there
  const MOMENT_MS = 400;
  const GIVEN_UP_MS = 20000;
  const under = new Set(); // requests of htmx; and the page itself, when another is on its way
  let line = null;
  function begin(what) {
    under.add(what);
    setTimeout(draw, MOMENT_MS);
  }
  function end(what) {
    under.delete(what);
    draw();
  }
  function draw() {
    if (!line) {
      line = document.createElement("div");
      line.className = "busy";
      line.setAttribute("role", "progressbar");
      line.setAttribute("aria-label", "Loading");
      document.body.append(line);
    }
    line.hidden = !under.size;
  }
  function leave() {
    begin(document);
    setTimeout(() => end(document), GIVEN_UP_MS); // a file came instead of a page
  }
  const isSilent = (element) => element.dataset && element.dataset.live !== undefined;
  document.addEventListener("htmx:beforeRequest", (event) => isSilent(event.detail.elt) || begin(event.detail.xhr));
  document.addEventListener("htmx:afterRequest", (event) => end(event.detail.xhr));
  addEventListener("submit", (event) => {
    const by = event.submitter;
    if (!event.defaultPrevented && !(by && by.formMethod === "dialog")) leave();
  });
  addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
    leave();
  });
  addEventListener("pageshow", () => end(document));

  let failed = null; // the last element whose request failed, for Retry

  document.addEventListener("click", (event) => {
    const hit = event.target.closest("[data-copy],[data-open],[data-theme-next],[data-density-set],[data-zone-set],[data-dismiss],[data-retry],[data-print]");
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
    if (event.target instanceof HTMLDialogElement) event.target.close(); // its backdrop
    if (!hit) return;
    if (hit.dataset.copy !== undefined) copy(hit.dataset.copy);
    else if (hit.dataset.open) {
      event.preventDefault();
      open(hit.dataset.open);
    } else if (hit.dataset.themeNext !== undefined) theme(NEXT[root.dataset.theme || ""]);
    else if (hit.dataset.densitySet !== undefined) density(hit.dataset.densitySet === "tight");
    else if (hit.dataset.zoneSet !== undefined) zone(hit.dataset.zoneSet);
    else if (hit.dataset.dismiss !== undefined) hit.closest("[data-toast]").remove();
    else if (hit.dataset.retry !== undefined) {
      hit.closest("[data-toast]").remove();
      if (failed && failed.isConnected) htmx.trigger(failed, failed.dataset.live ? "live" : retrigger(failed));
      else location.reload();
    }
  });
  function retrigger(element) {
    const asked = (element.getAttribute("hx-trigger") || "").split(/[ ,[]/)[0];
    return asked || (element.matches("form") ? "submit" : element.matches("input,select,textarea") ? "change" : "click");
  }

  // a select that is a choice by itself: no button needed, and it works without JavaScript by the form's own
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });

  document.addEventListener("htmx:responseError", (event) => (failed = event.detail.elt));
  document.addEventListener("htmx:sendError", (event) => {
    failed = event.detail.elt;
    if (document.querySelector("[data-away]")) return;
    const box = toast("Wflo did not answer", "The network or the server is away. What is on the page is kept.");
    box.dataset.away = "";
  });
  document.addEventListener("htmx:timeout", () => toast("This takes too long", "The server has not answered in 20 s. Narrow the time range."));
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) for (const box of document.querySelectorAll("[data-away]")) box.remove();
  });

  addEventListener("DOMContentLoaded", () => {
    if (/Mac|iPhone|iPad/.test(navigator.platform))
      for (const key of document.querySelectorAll("[data-mod]")) key.textContent = `⌘ ${key.dataset.mod}`;
    density(root.dataset.density === "tight");
  });

  window.wflo = { toast, copy, open, dialog };
})();
