// A job as it goes: the server tells when its page should look again, and what an answer says so far. While it tells, the
// page looks by itself but rarely; without it every few seconds (live.js), and with each look comes a fresh address to ask at.
"use strict";
(() => {
  const RARELY = 30; // seconds between looks while the server tells
  const AGAIN_MS = 15000;
  let source = null;
  let later = 0;
  let told = 0; // how often the server said that something changed
  let asked = 0; // how often it had when the page looked last

  const body = () => document.querySelector("[data-job-live]");
  const look = () => body() && wfloLive.soon(body());
  function changed() {
    told += 1;
    look();
  }
  function slowly() {
    if (source && source.readyState === EventSource.OPEN && body()) body().dataset.live = RARELY;
  }
  function often() {
    if (body()) body().dataset.live = 2;
  }

  function open() {
    clearTimeout(later);
    const place = body();
    if (source || !place || !window.EventSource || document.visibilityState === "hidden") return;
    source = new EventSource(place.dataset.jobLive);
    source.addEventListener("open", slowly);
    source.addEventListener("changed", changed);
    source.addEventListener("words", (event) => say(JSON.parse(event.data)));
    source.addEventListener("ended", () => {
      close();
      changed();
    });
    source.addEventListener("error", () => {
      often();
      if (!source || source.readyState !== EventSource.CLOSED) return; // it tries again by itself
      close();
      later = setTimeout(open, AGAIN_MS);
    });
  }
  function close() {
    if (source) source.close();
    source = null;
    often();
    say({});
  }

  function say(words) {
    const sheet = document.querySelector("[data-job-words]");
    if (!sheet) return;
    const spoken = Object.entries(words);
    sheet.hidden = !spoken.length;
    sheet.querySelector("[data-job-said]").replaceChildren(
      ...spoken.map(([agent, text]) => {
        const row = document.createElement("div");
        const name = document.createElement("b");
        const said = document.createElement("pre");
        name.textContent = agent;
        said.className = "said";
        said.textContent = text;
        row.append(name, said);
        return row;
      }),
    );
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt === body()) asked = told;
  });
  document.addEventListener("htmx:afterSettle", () => {
    slowly();
    if (told !== asked) look(); // it changed while the answer was on its way
  });
  // a tab that nobody sees holds no connection: a browser has six for a site
  document.addEventListener("visibilitychange", () => (document.visibilityState === "hidden" ? close() : open()));
  addEventListener("pageshow", open);
})();
