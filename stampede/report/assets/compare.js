"use strict";
/* The page of a comparison: one step of both runs in each chart. */

(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const select = document.getElementById("step");
  const view = { zoom: null }, choice = { percentile: "p50" };
  const names = { a: "run A", b: "run B" }, colours = { a: "soft", b: "c0" };
  const colour = theme();

  /* Lines of both runs, as far as they did the step; the shorter run ends earlier. */
  function lines(values) {
    return ["a", "b"].map((run) => ({ run, step: data.runs[run][select.value] })).filter(({ step }) => step)
      .map(({ run, step }) => ({ name: names[run], colour: colour(colours[run]), dash: run === "a" ? [5, 3] : undefined, width: 1.8,
        values: values(step).concat(Array(data.x.length).fill(null)).slice(0, data.x.length) }));
  }

  const specs = {
    latency: () => ({ series: lines((step) => step.service[choice.percentile]), words: words.seconds, axis: axisSeconds, keyed: true }),
    throughput: () => ({ series: lines((step) => step.ok), words: words.rate, keyed: true, height: 170 }),
    distribution() {
      const runs = ["a", "b"].map((run) => ({ run, distribution: data.runs[run][select.value]?.distribution.service })).filter(({ distribution }) => distribution);
      return runs.length ? histogram(runs.map(({ run, distribution }) => ({ distribution, name: names[run], colour: colour(colours[run]),
        dash: run === "a" ? [5, 3] : undefined, fill: run === "b" ? translucent(colour(colours.b), 0.25) : undefined })), data.bins_per_decade, false) : null;
    },
  };

  const page = showFigures(document.querySelectorAll("figure[data-chart]"), specs, data, view, () => "");
  document.getElementById("choice").hidden = false;
  select.addEventListener("change", () => page.redraw());
  document.addEventListener("change", ({ target }) => {
    if (target.name !== "percentile") return;
    choice.percentile = target.value;
    page.redraw(["latency"]);
  });
})();
