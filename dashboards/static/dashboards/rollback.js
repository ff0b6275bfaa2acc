// The sheet "Roll back" opens over its page. Its address, opened by itself, is the same sheet as a page.
"use strict";
(() => {
  const box = () => document.getElementById("rollback");
  async function open(href) {
    const sheet = box();
    sheet.replaceChildren();
    await htmx.ajax("GET", href, { target: "#rollback", swap: "innerHTML" });
    if (sheet.querySelector("form") && !sheet.open) sheet.showModal();
  }
  document.addEventListener("click", (event) => {
    const sheet = box();
    if (!sheet || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (event.target.closest("[data-shut]") && sheet.contains(event.target)) {
      event.preventDefault();
      sheet.close();
      return;
    }
    const link = event.target.closest("a[data-rollback]");
    if (!link) return;
    event.preventDefault();
    open(link.getAttribute("href"));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const form = event.target.closest("[data-rollback-form]") || (box()?.open && box().querySelector("form"));
    if (!form) return;
    event.preventDefault();
    form.requestSubmit(form.querySelector("footer button.wide"));
  });
})();
