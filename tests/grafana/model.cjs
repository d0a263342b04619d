// What Grafana makes of a panel and of InfluxDB's answers to its queries, before it draws: `model(grafana, major)`, with
// the module @grafana/data.
'use strict';

module.exports = function model(grafana, major) {
  const theme = grafana.createTheme();
  const transformers = new Map(Object.values(grafana.standardTransformers).map((each) => [each.id, each]));
  grafana.standardTransformersRegistry.setInit(() =>
    [...transformers.values()].map((each) => ({
      id: each.id, name: each.name, transformation: major >= 13 ? async () => each : each,
    })),
  );
  // Grafana's list of these is in its core, which is not on npm; what they do is.
  const PROPERTIES = {
    displayName: grafana.displayNameOverrideProcessor, unit: grafana.unitOverrideProcessor,
    decimals: grafana.numberOverrideProcessor, min: grafana.numberOverrideProcessor, max: grafana.numberOverrideProcessor,
    noValue: grafana.stringOverrideProcessor, links: grafana.dataLinksOverrideProcessor,
    mappings: grafana.valueMappingsOverrideProcessor, thresholds: grafana.thresholdsOverrideProcessor,
    color: (value) => value,
  };
  grafana.standardFieldConfigEditorRegistry.setInit(() =>
    Object.entries(PROPERTIES).map(([id, process]) => ({ id, path: id, name: id, process, shouldApply: () => true })),
  );
  const units = new Set(['string', 'none']);
  for (const category of grafana.getValueFormats()) {
    const walk = (part) => (part.submenu ?? []).forEach((each) => (each.submenu ? walk(each) : units.add(each.value)));
    walk(category);
  }

  // The frames that Grafana's InfluxQL backend makes of an answer.
  function frames(answer) {
    if (!answer.series.length) return [];
    if (answer.resultFormat !== 'table') return answer.series.flatMap((series) => lines(answer, series));
    const tags = Object.keys(answer.series[0].tags ?? {}).sort();
    const rows = answer.series.flatMap((series) =>
      series.values.map(([time, ...others]) => [time, ...tags.map((tag) => series.tags[tag]), ...others]));
    const names = ['Time', ...tags, ...answer.series[0].columns.slice(1)];
    const fields = names.map((name, place) => field(name, place === 0, rows.map((row) => row[place])));
    return [grafana.toDataFrame({ refId: answer.refId, name: answer.series[0].name, fields })];
  }

  function lines(answer, series) {
    return series.columns.slice(1).map((column, place) => {
      const name = (answer.alias || `${series.name}.$col`)
        .replace('$col', column).replace(/\$tag_(\w+)/g, (_, tag) => series.tags?.[tag] ?? '');
      const values = field('Value', false, series.values.map((row) => row[place + 1]));
      return grafana.toDataFrame({
        refId: answer.refId,
        name,
        fields: [
          field('Time', true, series.values.map((row) => row[0])),
          { ...values, labels: series.tags, config: { displayNameFromDS: name } },
        ],
      });
    });
  }

  function field(name, isTime, values) {
    const known = values.find((value) => value !== null);
    return { name, type: isTime ? 'time' : typeof known === 'number' ? 'number' : 'string', config: {}, values };
  }

  function faults(panel) {
    const found = [];
    const { defaults, overrides } = panel.fieldConfig;
    const colour = (name) => {
      if (theme.visualization.getColorByName(name) === name && !/^(#|transparent$|text$)/.test(name)) found.push(`colour ${name}`);
    };
    const unit = (name) => name === undefined || units.has(name) || found.push(`unit ${name}`);
    unit(defaults.unit);
    if (defaults.color && !grafana.fieldColorModeRegistry.getIfExists(defaults.color.mode)) found.push(`colour mode ${defaults.color.mode}`);
    (defaults.thresholds?.steps ?? []).forEach((step) => colour(step.color));
    for (const { matcher, properties } of overrides) {
      if (!grafana.fieldMatchers.getIfExists(matcher.id)) found.push(`matcher ${matcher.id}`);
      for (const { id, value } of properties) {
        if (id === 'unit') unit(value);
        if (id === 'color') colour(value.fixedColor);
        if (!id.startsWith('custom.') && !(id in PROPERTIES)) found.push(`property ${id}`);
      }
    }
    for (const name of [...(panel.options.legend?.calcs ?? []), ...(panel.options.reduceOptions?.calcs ?? [])]) {
      if (!grafana.fieldReducers.getIfExists(name)) found.push(`reducer ${name}`);
    }
    panel.transformations.forEach(({ id }) => transformers.has(id) || found.push(`transformation ${id}`));
    return found;
  }

  function transformed(panel, given) {
    if (!panel.transformations.length) return given;
    return new Promise((next, error) => {
      grafana.transformDataFrame(panel.transformations, given, { interpolate: (text) => text }).subscribe({ next, error });
    });
  }

  async function prepared(panel, given) {
    const registry = new grafana.FieldConfigOptionsRegistry();
    grafana.standardFieldConfigEditorRegistry.list().forEach((each) => registry.register({ ...each }));
    const { defaults, overrides } = panel.fieldConfig;
    const custom = overrides.flatMap((each) => each.properties).map((each) => each.id).filter((id) => id.startsWith('custom.'));
    for (const id of new Set([...Object.keys(defaults.custom).map((name) => `custom.${name}`), ...custom])) {
      registry.register({ id, path: id.slice('custom.'.length), name: id, isCustom: true, process: (value) => value, shouldApply: () => true });
    }
    return grafana.applyFieldOverrides({
      data: await transformed(panel, given), fieldConfig: panel.fieldConfig, replaceVariables: (text) => text, theme,
      fieldConfigRegistry: registry, timeZone: 'utc',
    });
  }

  return { theme, frames, faults, prepared };
};
