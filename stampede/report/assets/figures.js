"use strict";
/* The figures of a page: each draws what its spec says and is drawn again when its width, the colours or the medium
   change; a zoom of one that shows the run's time is that of all. */

/* `specs` has a function for each data-chart, which returns a spec for `draw`, or null to hide the figure; `view.zoom` is kept here;
   `suffix` is what a figure's caption says beyond its spec. Returns { redraw(names), update() }; `update` is for when `data` has
   changed: it keeps a figure, and where the pointer is on it, as long as it has the same series. */
function showFigures(elements, specs, data, view, suffix) {
  const entries = [...elements].map((figure) => (
    { figure, plot: figure.querySelector(".plot"), name: figure.dataset.chart,
      caption: figure.querySelector("figcaption p").textContent, chart: null, spec: null, width: 0 }));

  function key(entry, spec) {
    entry.figure.querySelector(".key")?.remove();
    if (!spec.keyed) return;
    const list = document.createElement("div");
    list.className = "key";
    for (const series of spec.series) {
      const item = document.createElement("span");
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      svg.setAttribute("width", "18");
      svg.setAttribute("height", "8");
      svg.setAttribute("aria-hidden", "true");
      for (const [name, value] of Object.entries({ x1: 0, x2: 18, y1: 4, y2: 4, stroke: series.colour, "stroke-width": spec.stacked ? 8 : Math.max(series.width ?? 1.6, 1.4), "stroke-dasharray": (series.dash || []).join(" ") })) line.setAttribute(name, value);
      svg.append(line);
      item.append(svg, series.name);
      list.append(item);
    }
    entry.figure.append(list);
  }

  function redraw(entry, width) {
    const spec = specs[entry.name]();
    entry.chart?.destroy();
    entry.chart = null;
    entry.spec = spec;
    entry.figure.hidden = spec === null;
    if (spec === null) return;
    entry.figure.querySelector("figcaption p").textContent = (spec.caption || entry.caption) + suffix(entry.name);
    entry.width = width || entry.plot.clientWidth;
    entry.chart = draw(entry.plot, spec, data, view, entry.width);
    const canvas = entry.plot.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", entry.figure.querySelector("h3").textContent + ": " + (spec.series.map((series) => series.name).join(", ") || "nothing chosen"));
    key(entry, spec);
    if (!spec.across) zoomed(entry);
  }

  function update(entry) {
    const spec = specs[entry.name](), names = (one) => one && [one.caption, ...one.series.map((series) => series.name)].join("\n");
    if (!entry.chart || names(spec) !== names(entry.spec)) { redraw(entry); return; }
    Object.assign(entry.spec, spec);  // what the chart's hooks know it by
    entry.chart.setData([spec.across ? spec.across.values : data.x, ...columns(spec)]);
  }

  /* A zoom outlasts a redraw; the range function of the x scale reads view.zoom. */
  function zoomed(entry) {
    entry.chart.over.addEventListener("dblclick", () => { view.zoom = null; rescale(); });
    entry.chart.hooks.setSelect = [(chart) => {
      if (!chart.hovered || chart.select.width < 6) return;
      view.zoom = [chart.posToVal(chart.select.left, "x"), chart.posToVal(chart.select.left + chart.select.width, "x")];
      rescale();
    }];
  }

  function rescale() {
    for (const { chart } of entries) chart?.setData(chart.data);
  }

  function redrawAll(names, width) {
    for (const entry of entries) if (!names || names.includes(entry.name)) redraw(entry, width);
  }

  const resized = new ResizeObserver(() => {
    if (document.documentElement.classList.contains("printing")) return;
    for (const entry of entries) if (entry.chart && Math.abs(entry.plot.clientWidth - entry.width) > 1) redraw(entry);
  });
  for (const parent of new Set(entries.map(({ figure }) => figure.parentNode))) resized.observe(parent);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redrawAll());
  addEventListener("beforeprint", () => { document.documentElement.classList.add("printing"); redrawAll(null, 680); });
  addEventListener("afterprint", () => { document.documentElement.classList.remove("printing"); redrawAll(); });
  redrawAll();
  return { redraw: (names) => redrawAll(names), update: () => entries.forEach(update) };
}
