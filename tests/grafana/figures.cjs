// What Grafana's own library makes of dashboards: `node figures.cjs MAJOR <answers.json >figures.json`, in a folder with
// node_modules. The answers are those of InfluxDB to each query of each panel; see tests/grafana_figures.py.
'use strict';
console.log = console.info = console.error; // standard output has the figures alone

const { Window } = require('happy-dom');

const window = new Window({ url: 'http://localhost' });
for (const name of ['window', 'document', 'navigator', 'localStorage', 'sessionStorage', 'HTMLElement', 'Element', 'Node',
  'DOMParser', 'MutationObserver', 'getComputedStyle', 'matchMedia', 'CustomEvent', 'Event']) {
  Object.defineProperty(globalThis, name, { value: name === 'window' ? window : window[name], configurable: true, writable: true });
}
const grafana = require('@grafana/data');

const { theme, frames, faults, prepared } = require('./model.cjs')(grafana, Number(process.argv[2]));

const shown = (value) => `${value.prefix ?? ''}${value.text}${value.suffix ?? ''}`;

function columns(data) {
  return data.flatMap((frame) => frame.fields.map((each) => ({
    heading: grafana.getFieldDisplayName(each, frame, data),
    values: [...each.values].map((value) => shown(each.display(value))),
  })));
}

function legend(panel, data) {
  return data.flatMap((frame) => frame.fields.filter((each) => each.type === 'number').map((each) => ({
    name: grafana.getFieldDisplayName(each, frame, data),
    calcs: Object.fromEntries(
      (panel.options.legend?.calcs ?? []).map((calc) => {
        const reduced = grafana.reduceField({ field: each, reducers: [calc] });
        return [calc, shown(each.display(reduced[calc]))];
      })),
  })));
}

function stats(panel, data) {
  return grafana.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text, theme,
    data, sparkline: false, timeZone: 'utc',
  }).map((each) => shown(each.display));
}

function matches(data, matcher) {
  const is = grafana.fieldMatchers.get(matcher.id).get(matcher.options);
  return data.some((frame) => frame.fields.some((each) => is(each, frame, data)));
}

async function figures(panel, answers) {
  const data = await prepared(panel, answers.flatMap(frames));
  const unmatched = panel.fieldConfig.overrides.filter(({ matcher }) => !matches(data, matcher)).map(({ matcher }) => matcher.options);
  const made = { title: panel.title, type: panel.type, faults: faults(panel), unmatched };
  if (panel.type === 'timeseries') return { ...made, legend: legend(panel, data) };
  if (panel.type === 'stat') return { ...made, stats: stats(panel, data) };
  return { ...made, columns: columns(data) };
}

async function main() {
  const given = JSON.parse(require('fs').readFileSync(0));
  const made = [];
  for (const { panel, answers } of given) made.push(await figures(panel, answers));
  process.stdout.write(JSON.stringify(made));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
