"use strict";
/* The charts of a run, over or in progress: specs for `draw` from the data of chart_data.py.
   `view`: steps (shown or not, by number), percentile, time, log, host, everyHost (the name of the worst of several hosts, or null). */

const ofGenerator = ["processors", "lag", "queues", "sockets"];

function runCharts(data, view) {
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
      const several = view.host === view.everyHost;
      const worst = several ? " (busiest)" : "";
      const series = [
        { name: "host" + worst, colour: colour("ink"), width: 2, values: hundredfold(host.host) },
        { name: "controller" + worst, colour: colour("c1"), values: hundredfold(host.controller) },
        ...Object.entries(host.agents).map(([name, values], number) => (
          { name, colour: colour("c" + [0, 5, 2, 9, 3, 6, 10, 8][number % 8]), values: hundredfold(values) })),
        ...(host.stolen.some((share) => share > 0) ? [{ name: "stolen by the hypervisor" + (several ? " (most)" : ""), colour: colour("bad"), width: 1, values: hundredfold(host.stolen) }] : []),
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
        ...(host.agents_late.length ? [{ name: "agents (slowest)", colour: colour("c5"), values: host.agents_late }] : []),
      ] };
    },
    queues() {
      const host = data.hosts[view.host];
      const series = host && [
        { name: "tasks that want a core", colour: colour("c0"), values: host.running },
        { name: "threads of an agent waiting for a core", colour: colour("c1"), values: host.starved },
        { name: "requests to the busiest agent", colour: colour("c5"), values: host.waiting },
      ].filter((one) => one.values.length);
      return series && series.length ? { height: 170, keyed: true, words: words.count, series } : null;
    },
    sockets() {
      const host = data.hosts[view.host];
      if (!host || !host.sockets.length) return null;
      return { height: 170, words: words.count, series: [{ name: "TCP sockets", colour: colour("c0"), values: host.sockets }] };
    },
  };

  return { specs, stepColour, bandsOf, chosen };
}
