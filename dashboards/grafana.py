"""The parts of Grafana's dashboard JSON that Stampede's dashboards use.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import ascii_uppercase
from typing import Any

DATASOURCE = {"type": "influxdb", "uid": "${datasource}"}
WIDTH = 24
TAG = "stampede"
GAP = 60_000
"""Milliseconds without a record across which a line is still connected."""
COLUMN = {"align": "auto", "filterable": False, "minWidth": 60, "wrapHeaderText": True}
"""Columns share a table's width. Without ``minWidth`` each has 150 pixels or more, and the last are out of sight."""

type Json = dict[str, Any]


def query(text: str, alias: str = "", *, table: bool = False) -> Json:
    """A query; ``alias`` names its series, for instance ``$tag_step`` or ``$col``."""
    form = "table" if table else "time_series"
    return {"datasource": DATASOURCE, "query": text, "rawQuery": True, "resultFormat": form, "alias": alias}


def panel(
    kind: str,
    title: str,
    description: str,
    queries: Iterable[Json],
    *,
    unit: str,
    size: tuple[int, int],
    interval: str = "1s",
    shift: str = "",
    options: Json | None = None,
    custom: Json | None = None,
    defaults: Json | None = None,
    overrides: Iterable[Json] = (),
    transformations: Iterable[Json] = (),
) -> Json:
    """A panel of ``size`` (width, height); ``interval`` is the minimum time between its points."""
    made: Json = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": [{"refId": letter, **each} for letter, each in zip(ascii_uppercase, queries, strict=False)],
        "interval": interval,
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {
            "defaults": {"unit": unit, "custom": custom or {}, **(defaults or {})},
            "overrides": list(overrides),
        },
        "options": options or {},
        "transformations": list(transformations),
    }
    if shift:
        made |= {"timeShift": shift, "hideTimeOverride": False}
    return made


def chart(
    title: str,
    description: str,
    queries: Iterable[Json],
    *,
    unit: str,
    limit: float | None = None,
    stacked: bool = False,
    bars: bool = False,
    least: float | None = 0,
    most: float | None = None,
    size: tuple[int, int] = (12, 8),
    **more: Any,
) -> Json:
    """Values over time. ``limit`` is drawn as a line above which values are bad; the axis goes from ``least`` to
    ``most``, or as far as the values do."""
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 80 if bars else 60 if stacked else 8,
        "spanNulls": GAP,
        "showPoints": "auto",
        "pointSize": 4,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "axisSoftMin": 0,
        "thresholdsStyle": {"mode": "off" if limit is None else "dashed"},
    }
    defaults: Json = {"color": {"mode": "palette-classic"}}
    defaults |= {name: value for name, value in (("min", least), ("max", most)) if value is not None}
    if limit is not None:
        defaults["thresholds"] = steps(("transparent", None), ("red", limit))
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    more = {"custom": custom, "defaults": defaults, "options": options, **more}
    return panel("timeseries", title, description, queries, unit=unit, size=size, **more)


def stat(
    title: str,
    description: str,
    queries: Iterable[Json],
    *,
    unit: str,
    reduce: str = "lastNotNull",
    levels: Iterable[tuple[str, float | None]] = (("blue", None),),
    none: str = "-",
    graph: bool = True,
    decimals: int | None = None,
    **more: Any,
) -> Json:
    """One value; ``none`` is shown when there is no data."""
    defaults: Json = {"noValue": none, "thresholds": steps(*levels), "color": {"mode": "thresholds"}, "min": 0}
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "reduceOptions": {"calcs": [reduce], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area" if graph else "none",
        "textMode": "auto",
    }
    more = {"size": (3, 4), "defaults": defaults, "options": options, **more}
    return panel("stat", title, description, queries, unit=unit, **more)


def table(
    title: str,
    description: str,
    queries: Iterable[Json],
    *,
    by: str = "",
    columns: Mapping[str, tuple[str, Json]],
    unit: str,
    size: tuple[int, int] = (WIDTH, 9),
    hidden: Iterable[str] = ("Time",),
    overrides: Iterable[Json] = (),
    **more: Any,
) -> Json:
    """A table of ``columns`` (name in the query: heading, properties); queries are joined by the column ``by``.

    Columns get headings and properties by their names in the query.
    """
    organized = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {name: place for place, name in enumerate(columns)},
        "renameByName": {},
    }
    return panel(
        "table",
        title,
        description,
        queries,
        unit=unit,
        size=size,
        options={"showHeader": True, "cellHeight": "sm"},
        custom=COLUMN,
        defaults={"noValue": "-", "thresholds": steps(("text", None))},
        overrides=[
            *(override(name, displayName=heading, **found) for name, (heading, found) in columns.items()),
            *overrides,
        ],
        transformations=[*(joined(by) if by else ()), {"id": "organize", "options": organized}],
        **more,
    )


def bars(title: str, description: str, queries: Iterable[Json], *, by: str, unit: str, size: tuple[int, int]) -> Json:
    """Bars side by side, one group for each value of the column ``by``."""
    return panel(
        "barchart",
        title,
        description,
        queries,
        unit=unit,
        size=size,
        custom={"fillOpacity": 80, "lineWidth": 1, "axisSoftMin": 0},
        options={
            "xField": by,
            "orientation": "horizontal",
            "groupWidth": 0.7,
            "barWidth": 0.9,
            "stacking": "none",
            "showValue": "always",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
        transformations=[*joined(by), {"id": "organize", "options": {"excludeByName": {"Time": True}}}],
    )


def joined(by: str) -> list[Json]:
    """Transformations that join a panel's queries by a column. Columns keep their names; Grafana's join calls them
    after the measurement, too, such as "ok step"."""
    measurements = "|".join(("step", "load", "agent", "event"))
    return [
        {"id": "joinByField", "options": {"byField": by, "mode": "outer"}},
        {"id": "renameByRegex", "options": {"regex": f"^(.+) (?:{measurements})$", "renamePattern": "$1"}},
    ]


def row(title: str) -> Json:
    """A heading above the panels that follow."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1}}


def steps(*levels: tuple[str, float | None]) -> Json:
    """Thresholds: colours and the value at which each begins; None is the base."""
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in levels]}


def override(name: str, **properties: Any) -> Json:
    """Properties of the series or column ``name``; ``__`` in a property's name stands for a dot."""
    found = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": found}


def color(name: str, value: str) -> Json:
    """A series' own colour."""
    return override(name, color={"mode": "fixed", "fixedColor": value})


# ----------------------------------------------------------- the dashboard


def variable(name: str, label: str, text: str, *, many: bool = False, hide: bool = False, sort: int = 1) -> Json:
    """A variable with values from a query; ``many`` allows several or all to be chosen. ``sort`` 2 is descending."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": text,
        "definition": text,
        "refresh": 2,
        "sort": sort,
        "hide": 2 if hide else 0,
        "multi": many,
        "includeAll": many,
        **({"allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}} if many else {"current": {}}),
        "options": [],
        "regex": "",
    }


def annotation(name: str, text: str, color: str) -> Json:
    """Events on all charts: the query's column ``text``, with host and kind as tags."""
    columns = {"textColumn": "text", "tagsColumn": "host,kind", "titleColumn": "", "timeEndColumn": ""}
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "target": {"refId": name, "query": text, "rawQuery": True, "fromAnnotations": True, **columns},
        "query": text,  # where Grafana before 9 looks for it
        **columns,
    }


def dashboard(
    uid: str,
    title: str,
    description: str,
    panels: Iterable[Json],
    *,
    variables: Iterable[Json],
    annotations: Iterable[Json],
) -> Json:
    """The dashboard, with its panels laid out in rows from left to right."""
    source = {
        "type": "datasource",
        "name": "datasource",
        "label": "InfluxDB",
        "query": "influxdb",
        "current": {"text": "Stampede", "value": "stampede"},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
    }
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "timepicker": {"refresh_intervals": ["5s", "10s", "30s", "1m", "5m"]},
        "links": [
            {
                "type": "dashboards",
                "title": "Stampede",
                "tags": [TAG],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "templating": {"list": [source, *variables]},
        "annotations": {"list": list(annotations)},
        "panels": lay_out(panels),
    }


def lay_out(panels: Iterable[Json]) -> list[Json]:
    """Give each panel its id and position."""
    placed: list[Json] = []
    x = y = height = 0
    for number, each in enumerate(panels, start=1):
        size = each["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, height = 0, y + height, 0
        placed.append(each | {"id": number, "gridPos": {"x": x, "y": y, **size}})
        x, height = x + size["w"], max(height, size["h"])
    return placed
