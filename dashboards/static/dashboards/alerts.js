// Ticking alerts: all at once, and how many are ticked. Without this file each is ticked by itself.
"use strict";
(() => {
  const boxes = () => [...document.querySelectorAll("#alerts-list [data-select]:not(:disabled)")];
  function say() {
    const all = document.querySelector("[data-select-all]");
    const words = document.querySelector("[data-select-count]");
    if (!all || !words) return;
    const ticked = boxes().filter((box) => box.checked).length;
    all.checked = ticked > 0 && ticked === boxes().length;
    all.indeterminate = ticked > 0 && !all.checked;
    words.textContent = ticked ? `${ticked} ticked` : "Tick some to act on them together";
  }
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-select-all]")) for (const box of boxes()) box.checked = event.target.checked;
    if (event.target.matches("[data-select-all], [data-select]")) say();
  });

  // the count in the navigation follows the list
  document.addEventListener("htmx:afterSettle", () => {
    const said = document.querySelector("#alerts-list [data-alerts-fresh]");
    if (!said) return;
    for (const shown of document.querySelectorAll(".nav [data-alerts-count]")) {
      const fresh = said.content.firstElementChild.cloneNode(true);
      shown.className = fresh.className;
      shown.replaceChildren(...fresh.childNodes);
    }
  });
})();
