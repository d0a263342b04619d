"use strict";
/* The page: which charts there are, and the controls that choose what they show. */

(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const hosts = Object.keys(data.hosts), everyHost = hosts.length > 1 ? hosts[0] : null;
  const view = { steps: data.steps.map(() => true), percentile: "p95", time: "service", log: false, host: hosts[0], zoom: null,
    detail: data.detail, bandTime: "service", bandLog: false, shape: "share" };
  const colours = 12, dashes = [undefined, [6, 3], [2, 3]];
  const colour = theme();

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
      const { service, response } = step.distribution, line = stepColour(view.detail), cumulative = view.shape === "cumulative";
      const marks = ["p50", "p95", "p99"].map((name) => ({ at: service[name], kind: "phase", text: name + " " + words.seconds(service[name]) }));
      const curves = [
        { distribution: service, name: "service time", colour: line, fill: translucent(line, 0.3) },
        { distribution: response, name: "response time", colour: colour("soft"), dash: [4, 3] },
      ];
      return { ...histogram(curves, data.bins_per_decade, cumulative, marks),
        caption: (cumulative ? "Share of " + step.name + " that took less than this" : "Share of " + step.name + " by time, in bins each 12\u00a0% wider than the one before")
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
        { name: "steps in flight", colour: colour("c1"), values: in_flight },
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

  function suffix(name) {
    const ofHost = data.by_host[view.host] || (everyHost && view.host !== everyHost && ["processors", "lag"].includes(name));
    return ofHost ? " Host " + view.host + "." : "";
  }

  const page = showFigures(document.querySelectorAll("figure[data-chart]"), specs, data, view, suffix);

  const chips = [...document.querySelectorAll("[data-step]")];
  function choose(steps) {
    view.steps = steps;
    chips.forEach((chip, number) => chip.setAttribute("aria-pressed", String(view.steps[number])));
    page.redraw(["throughput", "latency", "failures"]);
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
    page.redraw(["bands", "distribution"]);
  }
  detailStep?.addEventListener("change", () => look(Number(detailStep.value)));

  const hostChoices = ["host", "detail-host"].map((id) => document.getElementById(id)).filter(Boolean);
  function chooseHost(name) {
    view.host = name;
    for (const choice of hostChoices) choice.value = name;
    page.redraw();
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
    page.redraw(redrawn[target.name] || ["latency"]);
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

})();
