"use strict";
/* The page: which charts there are, and the controls that choose what they show. */

(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const hosts = Object.keys(data.hosts), everyHost = hosts.length > 1 ? hosts[0] : null;
  const view = { steps: data.steps.map(() => true), percentile: "p95", time: "service", log: false, host: hosts[0], zoom: null,
    detail: data.detail, bandTime: "service", bandLog: false, shape: "share" };
  const colours = 12, dashes = [undefined, [6, 3], [2, 3]];
  let colour = theme();

  const stepColour = (number) => colour("c" + (number % colours));
  const stepDash = (number) => dashes[Math.floor(number / colours) % dashes.length];
  const chosen = () => data.by_host[view.host] || data;  // the figures of one host, or of all
  const shown = () => chosen().steps.map((step, number) => ({ step, number })).filter(({ step, number }) => step && view.steps[number]);
  const hundredfold = (values) => values.map((value) => (value === null ? null : value * 100));

  /* p50 to p99 of one step's time, with the space between filled. */
  function bandsOf(step, number, time) {
    const line = stepColour(number), times = step[time];
    const series = [
      { name: "p50", values: times.p50, width: 2, colour: line },
      { name: "p95", values: times.p95, width: 1.4, colour: line },
      { name: "p99", values: times.p99, width: 1, colour: line },
      { name: "max", values: times.max, width: 1, colour: colour("soft"), dash: [2, 3] },
    ];
    const bands = [{ series: [3, 2], fill: translucent(line, 0.14) }, { series: [2, 1], fill: translucent(line, 0.3) }];
    return { series, bands, keyed: true, rising: true, words: words.seconds, axis: axisSeconds,
      caption: "p50, p95, p99 and maximum of the " + time + " time of " + step.name + " that ended ok, in each interval." };
  }

  const specs = {
    throughput() {
      const series = shown().map(({ step, number }) => ({ name: step.name, colour: stepColour(number), values: step.ok }));
      const failing = shown().filter(({ step }) => step.failed);
      if (failing.length) {
        const failed = data.x.map((_, index) => failing.reduce((sum, { step }) => sum + step.failed[index], 0));
        series.push({ name: "failed", colour: colour("bad"), values: failed, solid: true, width: 0 });
      }
      return { series, stacked: true, words: words.rate };
    },
    latency() {
      const lines = shown();
      document.getElementById("percentile-choice").disabled = lines.length === 1;
      const base = { words: words.seconds, axis: axisSeconds, log: view.log };
      if (lines.length !== 1) {
        const series = lines.map(({ step, number }) => (
          { name: step.name, colour: stepColour(number), dash: stepDash(number), values: step[view.time][view.percentile] }));
        return { ...base, series, caption: view.percentile + " of the " + view.time + " time of steps that ended ok, in each interval." };
      }
      return { ...base, ...bandsOf(lines[0].step, lines[0].number, view.time) };
    },
    bands() {
      const step = chosen().steps[view.detail];
      return step && { ...bandsOf(step, view.detail, view.bandTime), log: view.bandLog };
    },
    distribution() {
      const step = chosen().steps[view.detail];
      if (!step || !step.distribution.service) return null;
      const { service, response } = step.distribution, perDecade = data.bins_per_decade;
      const first = Math.min(service.first, response.first);
      const last = Math.max(service.first + service.counts.length, response.first + response.counts.length);
      const edges = Array.from({ length: last - first + 1 }, (_, number) => 10 ** ((first + number) / perDecade));
      const shares = ({ first: from, counts }) => {
        const all = counts.reduce((sum, count) => sum + count, 0);
        const share = edges.map((_, number) => ((counts[first + number - from] || 0) / all) * 100);
        let sum = 0;  // the cumulative curve has at each edge the share of what is shorter
        return view.shape === "share" ? share : share.map((value) => { const before = sum; sum += value; return Math.min(before, 100); });
      };
      const cumulative = view.shape === "cumulative", line = stepColour(view.detail);
      const series = [
        { name: "service time", values: shares(service), colour: line, fill: cumulative ? undefined : translucent(line, 0.3), step: !cumulative, width: cumulative ? 2 : 1.4 },
        { name: "response time", values: shares(response), colour: colour("soft"), dash: [4, 3], step: !cumulative, width: 1.4 },
      ];
      const marks = ["p50", "p95", "p99"].map((name) => ({ at: service[name], kind: "phase", text: name + " " + words.seconds(service[name]) }));
      const head = (number) => (cumulative ? "shorter than " + words.seconds(edges[number])
        : words.seconds(edges[number]) + " to " + words.seconds(edges[number] * 10 ** (1 / perDecade)));
      return { series, keyed: true, words: words.percent, least: cumulative ? 92 : 0, across: { values: edges, head, marks },
        axis: (_chart, splits) => splits.map((split) => words.number(split) + " %"),
        caption: (cumulative ? "Share of " + step.name + " that took less than this" : "Share of " + step.name + " by time, in bins each 12 % wider than the one before")
          + "; lines: percentiles of the service time. Steps that ended ok." };
    },
    failures() {
      const names = Object.keys(data.failures), failures = chosen().failures;
      const hidden = new Set(data.steps.filter((_, number) => !view.steps[number]).map((step) => step.name));
      const ofShown = (name) => Object.entries(failures[name] || {}).filter(([step]) => !hidden.has(step)).map(([, values]) => values);
      const sums = (parts) => parts.length > 0 && data.x.map((_, index) => parts.reduce((sum, values) => sum + values[index], 0));
      const palette = ["bad", "c1", "c3", "c4", "c6", "c8", "c0", "c5", "c2", "c7"];
      const series = names.map((name, number) => ({ name, colour: colour(palette[number % palette.length]), values: sums(ofShown(name)), solid: true, width: 0 })).filter((one) => one.values);
      return { series, stacked: true, keyed: true, height: 170, words: words.rate };
    },
    holders() {
      const { active, in_flight } = chosen().holders;
      if (!active) return null;
      return { height: 170, keyed: true, words: words.count, series: [
        { name: "active holders", colour: colour("c0"), values: active },
        { name: "steps under way", colour: colour("c1"), values: in_flight },
      ] };
    },
    processors() {
      const host = data.hosts[view.host];
      if (!host) return null;
      const several = view.host === everyHost;
      const worst = several ? " (busiest)" : "";
      const series = [
        { name: "host" + worst, colour: colour("ink"), width: 2, values: hundredfold(host.host) },
        { name: "controller" + worst, colour: colour("c1"), values: hundredfold(host.controller) },
        ...Object.entries(host.agents).map(([name, values], number) => (
          { name, colour: colour("c" + [0, 5, 2, 9, 3, 6, 10, 8][number % 8]), values: hundredfold(values) })),
        { name: "memory of the host" + (several ? " (fullest)" : ""), colour: colour("soft"), dash: [2, 3], width: 1, values: hundredfold(host.memory) },
      ];
      return { series, keyed: true, words: words.percent, least: 100, limit: data.limits.cpu * 100,
        axis: (_chart, splits) => splits.map((split) => words.number(split) + " %") };
    },
    lag() {
      const host = data.hosts[view.host];
      if (!host) return null;
      return { height: 170, keyed: true, words: words.seconds, axis: axisSeconds, limit: data.limits.lag, series: [
        { name: "schedule lag", colour: colour("c0"), values: host.lag },
        { name: "event loop", colour: colour("c1"), values: host.loop },
      ] };
    },
  };

  const figures = [...document.querySelectorAll("figure[data-chart]")].map((figure) => (
    { figure, plot: figure.querySelector(".plot"), name: figure.dataset.chart,
      caption: figure.querySelector("figcaption p").textContent, chart: null, width: 0 }));

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
    entry.figure.hidden = spec === null;
    if (spec === null) return;
    const ofHost = data.by_host[view.host] || (everyHost && view.host !== everyHost && ["processors", "lag"].includes(entry.name));
    entry.figure.querySelector("figcaption p").textContent = (spec.caption || entry.caption) + (ofHost ? " Host " + view.host + "." : "");
    entry.width = width || entry.plot.clientWidth;
    entry.chart = draw(entry.plot, spec, data, view, entry.width);
    const canvas = entry.plot.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", entry.figure.querySelector("h3").textContent + ": " + (spec.series.map((series) => series.name).join(", ") || "nothing chosen"));
    key(entry, spec);
    if (!spec.across) zoomed(entry);
  }

  /* A zoom of one chart is that of all, and outlasts a redraw; the range function of the x scale reads view.zoom. */
  function zoomed(entry) {
    entry.chart.over.addEventListener("dblclick", () => { view.zoom = null; rescale(); });
    entry.chart.hooks.setSelect = [(chart) => {
      if (!chart.hovered || chart.select.width < 6) return;
      view.zoom = [chart.posToVal(chart.select.left, "x"), chart.posToVal(chart.select.left + chart.select.width, "x")];
      rescale();
    }];
  }

  function rescale() {
    for (const { chart } of figures) chart?.setData(chart.data);
  }

  function redrawAll(names, width) {
    colour = theme();
    for (const entry of figures) if (!names || names.includes(entry.name)) redraw(entry, width);
  }

  const chips = [...document.querySelectorAll("[data-step]")];
  function choose(steps) {
    view.steps = steps;
    chips.forEach((chip, number) => chip.setAttribute("aria-pressed", String(view.steps[number])));
    redrawAll(["throughput", "latency", "failures"]);
  }
  chips.forEach((chip, number) => {
    chip.addEventListener("click", (event) => {
      if (event.detail > 1) { choose(view.steps.map((_, other) => other === number)); look(number); }
      else choose(view.steps.map((on, other) => (other === number ? !on : on)));
    });
  });
  document.getElementById("all-steps").addEventListener("click", () => choose(view.steps.map(() => true)));

  const detailStep = document.getElementById("detail-step");
  function look(number) {
    if (!detailStep || !data.steps[number].distribution.service) return;
    view.detail = number;
    detailStep.value = String(number);
    redrawAll(["bands", "distribution"]);
  }
  detailStep?.addEventListener("change", () => look(Number(detailStep.value)));

  const hostChoices = ["host", "detail-host"].map((id) => document.getElementById(id)).filter(Boolean);
  function chooseHost(name) {
    view.host = name;
    for (const choice of hostChoices) choice.value = name;
    redrawAll();
  }
  for (const choice of hostChoices) {
    for (const name of hosts) choice.add(new Option(name, name));
    choice.addEventListener("change", () => chooseHost(choice.value));
  }

  const redrawn = { "band-time": ["bands"], "band-scale": ["bands"], shape: ["distribution"] };
  document.addEventListener("change", ({ target }) => {
    if (target.name === "percentile") view.percentile = target.value;
    else if (target.name === "time") view.time = target.value;
    else if (target.name === "scale") view.log = target.value === "log";
    else if (target.name === "band-time") view.bandTime = target.value;
    else if (target.name === "band-scale") view.bandLog = target.value === "log";
    else if (target.name === "shape") view.shape = target.value;
    else return;
    redrawAll(redrawn[target.name] || ["latency"]);
  });

  document.getElementById("host-choice").hidden = !everyHost;
  if (!Object.keys(data.by_host).length) document.getElementById("host-choice-words").textContent = "Host, in the charts of the load generator:";

  /* The table of hosts has one column for a p95; which step's is chosen. */
  const p95 = document.getElementById("p95-step");
  if (p95) {
    document.getElementById("p95-choice").hidden = false;
    p95.addEventListener("change", () => {
      document.getElementById("p95-words").textContent = p95.value;
      for (const cell of document.querySelectorAll("td[data-p95]")) {
        const [value, out] = (data.p95[cell.dataset.p95] || {})[p95.value] || [];
        cell.textContent = value === undefined ? "–" : words.seconds(value);
        cell.className = out ? "out" : "";
      }
    });
  }
  document.getElementById("controls").hidden = data.steps.length === 0;
  if (detailStep) {
    document.getElementById("detail-choice").hidden = false;
    document.getElementById("detail-host-choice").hidden = !Object.keys(data.by_host).length;
  }

  const resized = new ResizeObserver(() => {
    if (document.documentElement.classList.contains("printing")) return;
    for (const entry of figures) if (entry.chart && Math.abs(entry.plot.clientWidth - entry.width) > 1) redraw(entry);
  });
  for (const id of ["charts", "detail-charts"]) if (document.getElementById(id)) resized.observe(document.getElementById(id));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redrawAll());
  addEventListener("beforeprint", () => { document.documentElement.classList.add("printing"); redrawAll(null, 680); });
  addEventListener("afterprint", () => { document.documentElement.classList.remove("printing"); redrawAll(); });
  redrawAll();
})();
