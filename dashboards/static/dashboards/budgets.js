// What-if: the slider writes the limit, the limit moves the slider. Without this file the limit is typed.
"use strict";
document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-what-if]");
  if (!form) return;
  const slide = form.querySelector("[data-slide]");
  const limit = form.elements.limit;
  if (event.target === slide) limit.value = slide.value;
  else if (event.target === limit) slide.value = limit.value;
});
