"use strict";
/* Drawing: what is common to all charts of the report. Uses uPlot; knows nothing of the page's controls. */

const words = {
  number(value, figures = 3) {
    if (value === 0) return "0";
    const decimals = Math.max(0, figures - 1 - Math.floor(Math.log10(Math.abs(value))));
    return value.toLocaleString("en", { maximumFractionDigits: Math.min(decimals, 3) });
  },
  rate: (value) => words.number(value) + "/s",
  count: (value) => Math.round(value).toLocaleString("en"),
  percent: (value) => words.number(value, 2) + " %",
  seconds(value) {
    if (value < 0.9995) {
      const ms = value * 1000;
      return ms.toFixed(ms < 0.995 ? 2 : ms < 9.95 ? 1 : 0) + " ms";
    }
    return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0) + " s";
  },
  clock(value) {
    const whole = Math.round(value), pad = (part) => String(part).padStart(2, "0");
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return (hours ? hours + ":" + pad(minutes) : minutes) + ":" + pad(whole % 60);
  },
};

/* Labels of an axis of times: all of one unit. */
function axisSeconds(_chart, splits) {
  const largest = Math.max(...splits.filter((split) => split !== null));
  const milliseconds = largest < 1;
  return splits.map((split) => (split === null ? null : split === 0 ? "0"
    : words.number(milliseconds ? split * 1000 : split) + (milliseconds ? " ms" : " s")));
}

/* On a logarithmic axis only the powers of ten and what fits between them is labelled. */
function axisLogSeconds(_chart, splits) {
  return splits.map((split) => (split === null ? null : words.seconds(split).replace(/\.0+(?= )/, "")));
}

function powersOfTen(_chart, splits) {
  return splits.map((split) => (split !== null && Number.isInteger(Math.round(Math.log10(split) * 1e6) / 1e6) ? split : null));
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue("--" + name).trim();
}

function translucent(colour, share) {
  return colour + Math.round(share * 255).toString(16).padStart(2, "0");
}

/* What the figures leave out, warm-up and cool-down, lies in the shade. */
function drawLeftOut(chart, parts, colour) {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.fillStyle = translucent(colour("soft"), 0.12);
  for (const part of parts) {
    const [from, to] = part.map((at) => Math.min(Math.max(chart.valToPos(at, "x", true), bbox.left), bbox.left + bbox.width));
    ctx.fillRect(from, bbox.top, to - from, bbox.height);
  }
  ctx.restore();
}

/* Phases, faults, crossed thresholds: lines down the chart, and their words above it in two rows, as far as they do not overlap. */
function drawMarks(chart, marks, colour) {
  const { ctx, bbox } = chart, ratio = devicePixelRatio;
  const free = [-Infinity, -Infinity];
  ctx.save();
  ctx.font = 11 * ratio + "px system-ui, sans-serif";
  ctx.textBaseline = "bottom";
  ctx.textAlign = "left";
  for (const mark of marks) {
    const at = chart.valToPos(mark.at, "x", true);
    if (at < bbox.left || at > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = colour({ fault: "bad", threshold: "warn" }[mark.kind] || "soft");
    ctx.lineWidth = ratio;
    ctx.setLineDash(["fault", "threshold"].includes(mark.kind) ? [] : [3 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    const width = ctx.measureText(mark.text).width;
    const left = Math.min(at, bbox.left + bbox.width - width);
    const row = free.findIndex((from) => left > from);
    if (row >= 0) {
      ctx.fillText(mark.text, left, bbox.top - (3 + 13 * row) * ratio);
      free[row] = left + width + 8 * ratio;
    }
  }
  ctx.restore();
}

function drawLimit(chart, limit, colour) {
  const { ctx, bbox } = chart, at = chart.valToPos(limit, "y", true);
  if (at < bbox.top || at > bbox.top + bbox.height) return;
  ctx.save();
  ctx.strokeStyle = colour("warn");
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, at);
  ctx.lineTo(bbox.left + bbox.width, at);
  ctx.stroke();
  ctx.restore();
}

/* A box that follows the pointer and says every value at that moment, the largest first. */
function tip(spec, data) {
  const box = document.createElement("div");
  box.className = "tip";
  box.hidden = true;
  const cell = (row, text) => row.insertCell().append(text);
  return {
    hooks: {
      init: (chart) => {
        chart.root.parentNode.append(box);
        chart.over.addEventListener("mouseenter", () => { chart.hovered = true; });
        chart.over.addEventListener("mouseleave", () => { chart.hovered = false; box.hidden = true; });
      },
      destroy: () => box.remove(),
      setCursor: (chart) => {
        const index = chart.cursor.idx;
        if (!chart.hovered || index === null || index === undefined) { box.hidden = true; return; }
        const at = chart.data[0][index], half = data.width / 2, across = spec.across;
        const head = document.createElement("b"), table = document.createElement("table");
        head.textContent = across ? across.head(index) : "+" + words.clock(at - half) + " to +" + words.clock(at + half);
        const rows = spec.series.map((series) => ({ series, value: series.values[index] }))
          .filter((entry) => entry.value !== null && entry.value !== undefined && !(spec.stacked && entry.value === 0));
        if (spec.rising) rows.reverse();
        else rows.sort((one, other) => other.value - one.value);
        for (const { series, value } of rows) {
          const row = table.insertRow(), swatch = document.createElement("i"), name = row.insertCell();
          swatch.style.background = series.colour;
          name.append(swatch, series.name);
          cell(row, spec.words(value));
        }
        if (spec.stacked && rows.length > 1) {
          const row = table.insertRow();
          cell(row, "together");
          cell(row, spec.words(rows.reduce((sum, entry) => sum + entry.value, 0)));
        }
        box.replaceChildren(head, table);
        for (const mark of (across ? [] : data.marks).filter((one) => Math.abs(one.at - at) <= half).slice(0, 4)) {
          const line = document.createElement("div");
          line.className = mark.kind;
          line.textContent = "+" + words.clock(mark.at) + " " + mark.text;
          box.append(line);
        }
        box.hidden = rows.length === 0 && box.childElementCount < 3;
        const left = chart.cursor.left + chart.over.offsetLeft, room = chart.root.parentNode.clientWidth;
        const beside = left + 14 + box.offsetWidth > room ? left - 14 - box.offsetWidth : left + 14;
        box.style.left = Math.max(0, Math.min(beside, room - box.offsetWidth)) + "px";
      },
    },
  };
}

/* What uPlot draws for a spec: stacked series are summed from the first upwards, with the space between filled. */
function columns(spec) {
  if (!spec.stacked) return spec.series.map((series) => series.values);
  let below = null;
  return spec.series.map((series) => {
    below = series.values.map((value, index) => (value || 0) + (below ? below[index] : 0));
    return below;
  });
}

/* On a logarithmic axis of times: the powers of ten, and where there is room between them 2 and 5 times these. */
function oneTwoFive(chart, splits) {
  const { min, max } = chart.scales.x;
  const figures = chart.width / Math.log10(max / min) > 190 ? [1, 2, 5] : [1];
  return splits.map((split) => (split !== null && figures.includes(Math.round(split / 10 ** Math.floor(Math.log10(split) + 1e-9))) ? split : null));
}

/* The number with one figure that is at most a value: where a logarithmic axis may begin. */
function oneFigureBelow(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return Number((Math.floor(value / power + 1e-9) * power).toPrecision(1));
}

/* A spec of distributions (see distribution.py), each a curve { distribution, name, colour, dash, fill }: the share of each bin, or of all that is shorter. */
function histogram(curves, perDecade, cumulative, marks = []) {
  const first = Math.min(...curves.map(({ distribution }) => distribution.first)), last = Math.max(...curves.map(({ distribution }) => distribution.first + distribution.counts.length));
  const edges = Array.from({ length: last - first + 1 }, (_, number) => 10 ** ((first + number) / perDecade));
  const shares = ({ first: from, counts }) => {
    const all = counts.reduce((sum, count) => sum + count, 0);
    let shorter = 0;
    return edges.map((_, number) => {
      const share = ((counts[first + number - from] || 0) / all) * 100, before = shorter;
      shorter = Math.min(shorter + share, 100);
      return cumulative ? before : share;
    });
  };
  const series = curves.map(({ distribution, fill, ...curve }) => (
    { ...curve, values: shares(distribution), step: !cumulative, fill: cumulative ? undefined : fill, width: cumulative ? 2 : 1.4 }));
  const head = (number) => (cumulative ? "shorter than " + words.seconds(edges[number])
    : words.seconds(edges[number]) + " to " + words.seconds(edges[number] * 10 ** (1 / perDecade)));
  return { series, keyed: true, words: words.percent, least: cumulative ? 92 : 0, across: { values: edges, head, marks },
    axis: (_chart, splits) => splits.map((split) => words.number(split) + " %") };
}

/* Draws a spec into a plot; returns the uPlot.
   The x axis is the run's time, unless the spec has `across`: times on a logarithmic axis, { values, head (of a value's number), marks }.
   spec: { series: [{ name, colour, values, dash, width, step }], words, axis, log, stacked, bands, rising (series in order of size), limit, height } */
function draw(plot, spec, data, view, width) {
  const colour = theme(), font = "12px system-ui, sans-serif";
  const axis = { stroke: colour("soft"), font, grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
  const narrow = width < 520, across = spec.across;
  const options = {
    width, height: spec.height || (narrow ? 210 : 240),
    padding: [32, 8, 0, 0],
    legend: { show: false },
    cursor: {
      sync: across ? undefined : { key: "stampede", scales: ["x", null] },
      y: false,
      drag: { x: !across, y: false, setScale: !across },
      points: { size: 6 },
    },
    scales: {
      x: across ? { time: false, distr: 3, range: (_chart, low, high) => [oneFigureBelow(low), high] } : { time: false, range: (_chart, low, high) => (view.zoom ? view.zoom : [0, Math.max(high, data.seconds)]) },
      y: spec.log ? { distr: 3 } : { range: (_chart, _low, high) => [0, Math.max(high || 0, spec.least || 0) * 1.08 || 1] },
    },
    axes: [
      across ? { ...axis, values: axisLogSeconds, grid: { ...axis.grid, filter: powersOfTen }, filter: oneTwoFive, space: narrow ? 40 : 50, size: 30, gap: 6 }
        : { ...axis, values: (_chart, splits) => splits.map(words.clock), space: narrow ? 60 : 90, size: 30, gap: 6,
        incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400] },
      { ...axis, ...(spec.log ? { grid: { ...axis.grid, filter: powersOfTen } } : {}), values: spec.log ? axisLogSeconds : spec.axis || ((_chart, splits) => splits.map((split) => words.number(split))),
        size: 58, gap: 6, space: spec.log || spec.height ? 24 : 36 },
    ],
    series: [{}, ...spec.series.map((series, index) => ({
      label: series.name, stroke: series.colour, width: series.width ?? (spec.stacked ? 1 : 1.6), dash: series.dash,
      fill: spec.stacked ? translucent(series.colour, series.solid ? 0.9 : 0.5) : series.fill,
      spanGaps: true,
      paths: series.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: spec.stacked || across ? { show: false } : { size: 4, fill: series.colour },
    }))],
    bands: spec.stacked
      ? spec.series.slice(1).map((_series, index) => ({ series: [index + 2, index + 1] }))
      : spec.bands || [],
    hooks: {
      draw: [(chart) => { if (spec.limit) drawLimit(chart, spec.limit, colour); if (!across) drawLeftOut(chart, data.left_out || [], colour); drawMarks(chart, across ? across.marks : data.marks, colour); }],
    },
    plugins: [tip(spec, data)],
  };
  return new uPlot(options, [across ? across.values : data.x, ...columns(spec)], plot);
}
