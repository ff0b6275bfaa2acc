// What-if: the slider writes the limit, the limit moves the slider. Without this file the limit is typed. Leases tick by
// themselves between two looks at the server.
"use strict";
document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-what-if]");
  if (!form) return;
  const slide = form.querySelector("[data-slide]");
  const limit = form.elements.limit;
  if (event.target === slide) limit.value = slide.value;
  else if (event.target === limit) slide.value = limit.value;
});

setInterval(() => {
  for (const place of document.querySelectorAll("[data-lease]")) {
    const left = Number(place.dataset.lease) - 1;
    place.dataset.lease = left;
    place.textContent = left <= 0 ? "run out" : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  }
}, 1000);
