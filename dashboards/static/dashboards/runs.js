// The run page folds its tree and marks the open span; the runs list opens its filters on a narrow screen.
"use strict";
(() => {
  // --- fold: rows below a folded row are hidden; rows that load later too
  function refold(box) {
    let hiddenBelow = Infinity;
    for (const row of box.querySelectorAll("[data-depth]")) {
      const depth = Number(row.dataset.depth);
      if (depth <= hiddenBelow) hiddenBelow = Infinity;
      row.hidden = depth > hiddenBelow;
      const toggle = row.querySelector("[data-fold]");
      if (!row.hidden && toggle && toggle.getAttribute("aria-expanded") === "false") hiddenBelow = depth;
    }
  }
  document.addEventListener("click", (event) => {
    const toggle = event.target.closest("[data-fold]");
    const box = toggle && toggle.closest(".wf");
    if (!box) return;
    event.preventDefault();
    toggle.setAttribute("aria-expanded", String(toggle.getAttribute("aria-expanded") !== "true"));
    refold(box);
  });

  // --- what was folded stays folded when the tree is drawn again
  let folded = new Set();
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target.id !== "run-body") return;
    folded = new Set([...event.target.querySelectorAll('[data-fold][aria-expanded="false"]')].map((toggle) => toggle.closest("[data-key]").dataset.key));
  });
  function restore() {
    for (const box of document.querySelectorAll(".wf")) {
      for (const toggle of box.querySelectorAll("[data-fold]"))
        if (folded.has(toggle.closest("[data-key]").dataset.key)) toggle.setAttribute("aria-expanded", "false");
      if (box.querySelector('[data-fold][aria-expanded="false"]')) refold(box);
    }
    folded = new Set();
  }

  // --- the row of the open span
  function mark() {
    const drawer = document.getElementById("run-drawer");
    if (!drawer) return;
    for (const row of document.querySelectorAll("#run-body [data-key]")) row.classList.toggle("chosen", row.dataset.key === drawer.dataset.span);
  }
  document.addEventListener("htmx:afterSettle", () => {
    restore();
    mark();
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-facets]");
    if (!button) return;
    const shown = document.querySelector(".facets").classList.toggle("shown");
    button.setAttribute("aria-expanded", String(shown));
  });

  // two runs that are ticked can be compared, the lower one as A; those that still run can be killed together
  function ticked() {
    const runs = [...document.querySelectorAll("#runs-list [data-select]:checked")];
    const compare = document.querySelector("[data-compare-ticked]");
    compare.hidden = runs.length !== 2;
    if (runs.length === 2) {
      const address = new URL(compare.href);
      address.searchParams.set("a", runs[1].value);
      address.searchParams.set("b", runs[0].value);
      compare.href = address;
    }
    const kill = document.querySelector("[data-kill-ticked]");
    if (!kill) return;
    const number = runs.filter((box) => box.hasAttribute("form")).length;
    kill.hidden = !number;
    kill.querySelector("span").textContent = number === 1 ? "1 run" : `${number} runs`;
  }
  document.addEventListener("change", (event) => {
    if (event.target.matches("#runs-list [data-select]")) ticked();
  });
})();
