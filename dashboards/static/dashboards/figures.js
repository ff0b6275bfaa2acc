// Draws the figures of a page. Each is a Plotly figure as JSON in the page; colours are names of tokens, resolved here,
// and drawn again when the theme changes. Plotly itself is loaded when the first figure is seen, and never before.
"use strict";
(() => {
  const self = document.currentScript;
  const STYLE_MARK = "no-inline-styles"; // Plotly then puts no rules of its own into the page: plotly.css has them
  const MAP_STYLE = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53"; // of its map library, unused
  let loading = null;

  function load() {
    loading ||= new Promise((done, fail) => {
      const css = document.createElement("link");
      css.rel = "stylesheet";
      css.id = "plotly.js-style-global";
      css.className = STYLE_MARK;
      css.href = self.dataset.plotlyCss;
      const map = document.createElement("meta");
      map.id = MAP_STYLE;
      const script = document.createElement("script");
      script.src = self.dataset.plotly;
      script.onload = () => done(window.Plotly);
      script.onerror = () => {
        loading = null;
        fail(new Error("The chart program did not load."));
      };
      document.head.append(css, map, script);
    });
    return loading;
  }

  // --- tokens: the raw value is light-dark(...), so a probe is asked what it comes to
  let probe = null;
  function colour(text) {
    probe ||= document.body.appendChild(Object.assign(document.createElement("span"), { className: "sr probe", ariaHidden: "true" }));
    probe.style.setProperty("color", text);
    return getComputedStyle(probe).color;
  }
  function resolved(value, known = new Map()) {
    if (typeof value === "string" && value.startsWith("var(--")) {
      if (value === "var(--sans)") return getComputedStyle(document.body).fontFamily;
      if (!known.has(value)) known.set(value, colour(value));
      return known.get(value);
    }
    if (typeof value === "string" && value.startsWith("soft(--")) {
      const [name, part] = value.slice(5, -1).split(" ");
      const rgb = colour(`var(${name})`).match(/[\d.]+/g).slice(0, 3).join(", ");
      return `rgba(${rgb}, ${part})`;
    }
    if (Array.isArray(value)) return value.map((item) => resolved(item, known));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, resolved(item, known)]));
    return value;
  }

  function address(changes) {
    const url = new URL(location.href);
    for (const name of ["cursor", "span"]) url.searchParams.delete(name);
    for (const [name, value] of Object.entries(changes)) value === null ? url.searchParams.delete(name) : url.searchParams.set(name, value);
    return url;
  }
  const iso = (moment) => new Date(moment).toISOString().replace(/\.\d{3}Z$/, "Z");

  function listen(box, acts) {
    if (acts.drag)
      box.on("plotly_relayout", (event) => {
        const ends = [event["xaxis.range[0]"], event["xaxis.range[1]"]];
        if (ends[0] === undefined || ends[1] === undefined) return;
        const [from, to] = ends.map((end) => (typeof end === "number" ? end : `${String(end).replace(" ", "T")}${acts.offset || "Z"}`));
        location.assign(address({ from: iso(from), to: iso(to) }));
      });
    if (acts.click)
      box.on("plotly_click", (event) => {
        const point = event.points[0];
        const value = point.customdata ?? point.data.meta ?? point.data.name;
        if (value === undefined || value === null || value === false) return; // false: a sum of others
        if (acts.href) location.assign(acts.href.replace("{}", encodeURIComponent(value)));
        else location.assign(address({ [acts.click]: value }));
      });
  }

  async function draw(box) {
    const island = document.getElementById(box.dataset.figure);
    if (!island) return;
    const figure = JSON.parse(island.textContent);
    let plotly;
    try {
      plotly = await load();
    } catch (error) {
      box.classList.remove("skel");
      box.textContent = error.message;
      return;
    }
    if (!box.isConnected) return;
    const known = new Map();
    await plotly.react(box, resolved(figure.data, known), resolved(figure.layout, known), figure.config);
    box.classList.remove("skel");
    box.dataset.drawn = "true";
    if (!box.dataset.heard) {
      box.dataset.heard = "true";
      listen(box, figure.acts || {});
    }
  }

  const within = (root) => [
    ...(root.matches && root.matches("[data-figure]") ? [root] : []),
    ...root.querySelectorAll("[data-figure]"),
  ];
  // a wide page may have figures below the fold: each is drawn when it comes near
  const near = new IntersectionObserver(
    (seen) => {
      for (const entry of seen)
        if (entry.isIntersecting) {
          near.unobserve(entry.target);
          draw(entry.target);
        }
    },
    { rootMargin: "300px" },
  );
  const again = () => {
    for (const box of document.querySelectorAll("[data-figure][data-drawn]")) draw(box);
  };

  document.addEventListener("htmx:load", (event) => within(event.detail.elt).forEach((box) => near.observe(box)));
  document.addEventListener("htmx:beforeCleanupElement", (event) => {
    const box = event.detail.elt;
    if (box.dataset && box.dataset.drawn && window.Plotly) window.Plotly.purge(box);
  });
  document.addEventListener("wflo:theme", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
})();
