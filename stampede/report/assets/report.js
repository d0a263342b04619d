"use strict";
/* The page: which charts there are, and the controls that choose what they show. */

(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const hosts = Object.keys(data.hosts), everyHost = hosts.length > 1 ? hosts[0] : null;
  const view = { steps: data.steps.map(() => true), percentile: "p95", time: "service", log: false, host: hosts[0], everyHost, zoom: null,
    detail: data.detail, bandTime: "service", bandLog: false, shape: "share" };
  const colour = theme();
  const { specs, stepColour, bandsOf, chosen } = runCharts(data, view);

  Object.assign(specs, {
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
  });

  function suffix(name) {
    const ofHost = data.by_host[view.host] || (everyHost && view.host !== everyHost && ofGenerator.includes(name));
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
