// Panels, drawn by Grafana's own components: window.DRAW is `{ major, panels }`, with the panels as figures.cjs has them
// and the time that each shows, `from` and `to` in ms since 1970; see tests/grafana_drawn.py.
import * as grafana from '@grafana/data';
import {
  BigValue, BigValueColorMode, BigValueGraphMode, BigValueTextMode, GlobalStyles, ThemeContext, TimeSeries,
} from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import React from 'react';
import { createRoot } from 'react-dom/client';
import 'uplot/dist/uPlot.min.css';

import model from './model.cjs';

const CELL = 38; // Grafana's grid: rows of 30 pixels, 8 apart
const GAP = 8;
const COLUMNS = 24;
const TITLE = 24;

const { major, panels } = window.DRAW;
const { theme, frames, prepared } = model(grafana, major);

// What Grafana's core sets of a chart where the panel sets nothing.
const CHART = {
  lineInterpolation: 'linear', gradientMode: 'none', barAlignment: 0, barWidthFactor: 0.6, axisPlacement: 'auto',
  axisLabel: '', axisColorMode: 'text', scaleDistribution: { type: 'linear' },
  hideFrom: { tooltip: false, viz: false, legend: false },
};

const DRAWN = {
  timeseries: ({ panel, data, timeRange, width, height }) => {
    const whole = data.map((frame) => ({
      ...frame,
      fields: frame.fields.map((each) => ({ ...each, config: { ...each.config, custom: { ...CHART, ...each.config.custom } } })),
    }));
    const as = (given) => given;
    return <TimeSeries frames={whole} structureRev={1} width={width} height={height} timeRange={timeRange} timeZone="utc"
      legend={panel.options.legend} tweakScale={as} tweakAxis={as} />;
  },
  stat: ({ panel, data, timeRange, width, height }) => {
    const [value] = grafana.getFieldDisplayValues({
      fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text, theme,
      data, sparkline: panel.options.graphMode !== 'none', timeZone: 'utc',
    });
    const line = value.sparkline && { ...value.sparkline, timeRange };
    return <BigValue theme={theme} value={value.display} width={width} height={height} sparkline={line}
      colorMode={BigValueColorMode.Value} textMode={BigValueTextMode.Auto}
      graphMode={line ? BigValueGraphMode.Area : BigValueGraphMode.None} />;
  },
  table: ({ data, timeRange, width, height }) =>
    <TableNG data={data[0]} width={width} height={height} structureRev={1} timeRange={timeRange} />,
};

function Placed({ panel, data, timeRange }) {
  const { x, y, w, h } = panel.gridPos;
  const column = window.innerWidth / COLUMNS;
  const size = { width: w * column - GAP, height: h * CELL - GAP };
  const Drawn = DRAWN[panel.type];
  return (
    <section data-title={panel.title} data-type={panel.type}
      style={{ position: 'absolute', left: x * column, top: y * CELL, overflow: 'hidden', ...size, background: theme.colors.background.primary }}>
      <h6 style={{ height: TITLE, margin: 0, paddingLeft: GAP }}>{panel.title}</h6>
      <Drawn panel={panel} data={data} timeRange={timeRange} width={size.width} height={size.height - TITLE} />
    </section>
  );
}

async function main() {
  const ready = await Promise.all(panels.map(async ({ panel, answers, from, to }) => {
    const ends = { from: grafana.dateTime(from), to: grafana.dateTime(to) };
    return { panel, data: await prepared(panel, answers.flatMap(frames)), timeRange: { ...ends, raw: ends } };
  }));
  ready.forEach(({ data }) => grafana.cacheFieldDisplayNames(data));
  const bottom = Math.max(...ready.map(({ panel }) => panel.gridPos.y + panel.gridPos.h)) * CELL;
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ position: 'relative', height: bottom }}>
        {ready.map((each) => <Placed key={each.panel.id} {...each} />)}
      </div>
    </ThemeContext.Provider>);
}

main();
