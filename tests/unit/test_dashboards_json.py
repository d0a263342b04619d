"""The dashboards' JSON: made by the code beside it, and every panel says what it shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models
from plugin_files import REPOSITORY

DASHBOARDS = sorted((REPOSITORY / "dashboards").glob("*.json"))
UNITS = {"s", "ops", "short", "percentunit", "bytes", "bool", "string"}


def loaded(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_text())
    return document


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_the_files_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dashboards", "--check"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_has_a_uid_of_its_own() -> None:
    assert [file.stem for file in DASHBOARDS] == ["compare", "hosts", "load", "phones", "run"]
    assert len({loaded(file)["uid"] for file in DASHBOARDS}) == len(DASHBOARDS)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_says_what_it_shows(file: Path) -> None:
    dashboard = loaded(file)
    assert dashboard["title"] and dashboard["description"] and dashboard["links"][0]["includeVars"]
    for panel in panels(dashboard):
        title = panel["title"]
        assert title and panel["description"].endswith("."), title
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, title
        assert re.fullmatch(r"[1-9]\d*s", panel["interval"]), title
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["calcs"] == ["mean", "max"], title
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(panels(dashboard)) >= 11 and all(titles)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_panels_have_their_number_and_their_place(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    dashboard = loaded(file)
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_all_that_asks_asks_the_chosen_data_source(file: Path) -> None:
    dashboard = loaded(file)
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["query"] == "influxdb"
    assert variables["datasource"]["current"]["value"] == "stampede"
    asking = [*panels(dashboard), *dashboard["annotations"]["list"]]
    asking += [variable for variable in variables.values() if variable["type"] == "query"]
    for panel in panels(dashboard):
        assert panel["targets"], panel["title"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters)), panel["title"]
        asking += panel["targets"]
    assert {json.dumps(each["datasource"]) for each in asking} == {'{"type": "influxdb", "uid": "${datasource}"}'}
    used = set(re.findall(r"\$\{(\w+)(?::regex)?\}", json.dumps([each.get("query", "") for each in asking])))
    assert used - {"__to"} <= variables.keys()
    assert {annotation["name"] for annotation in dashboard["annotations"]["list"]} == {"Phases", "Faults"}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_percentiles_are_of_raw_records(file: Path) -> None:
    """A percentile is neither averaged nor one of a mean: what it is taken of is no aggregate."""
    text = file.read_text()
    assert "percentile(" in text
    for found in re.findall(r'(?:mean|sum)\(\\"(p\d+|percentile)\\"\)|percentile\((\w+)\(', text):
        raise AssertionError(found)


def test_the_schedule_lag_is_of_steps_that_were_due() -> None:
    """Others have none by construction, and there are many of them."""
    queries = [each for each in all_queries() if '"response_time" - "service_time"' in each]
    assert len(queries) == 3
    assert [each for each in queries if 'WHERE "lag" > 0' not in each] == []


def test_what_is_due_is_of_one_kind() -> None:
    of_rounds = [each for each in all_queries() if 'sum("rounds")' in each]
    assert [each for each in of_rounds if 'sum("dropped")' in each] == []


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_the_last_value_is_none_of_an_interval_that_some_hosts_have_not_reported_in(file: Path) -> None:
    for panel in panels(loaded(file)):
        if panel["type"] == "stat" and panel["options"]["reduceOptions"]["calcs"] == ["lastNotNull"]:
            assert "GROUP BY time" not in panel["targets"][0]["query"], panel["title"]


def all_queries() -> list[str]:
    return [target["query"] for file in DASHBOARDS for panel in panels(loaded(file)) for target in panel["targets"]]


# So that models of panels and queries are those of their plugins.
register_default_plugins()
# What the models of Grafana 11 do not have: options of later versions and of plugins, and what the data source adds.
UNMODELLED = {
    "annotations.list.query",
    "annotations.list.tagsColumn",
    "annotations.list.textColumn",
    "annotations.list.timeEndColumn",
    "annotations.list.titleColumn",
    "annotations.list.target.*",
    "panels.fieldConfig.defaults.custom.spanNulls",  # of the state timeline
    "panels.fieldConfig.defaults.custom.wrapHeaderText",  # of tables since Grafana 12
    "templating.list.definition",
}


def unmodelled(given: Any, modelled: Any, where: str = "") -> set[str]:
    """Names of the values that Grafana's models did not take as they are."""
    if isinstance(given, dict) and isinstance(modelled, dict):
        parts = ((f"{where}.{name}".lstrip("."), value, modelled.get(name)) for name, value in given.items())
    elif isinstance(given, list) and isinstance(modelled, list) and len(given) == len(modelled):
        parts = ((where, *pair) for pair in zip(given, modelled, strict=True))
    else:
        return set() if given == modelled else {where}
    return {name for place, *both in parts for name in unmodelled(*both, place)}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_grafanas_own_models_know_all_of_it(file: Path) -> None:
    dashboard = loaded(file)
    modelled = json.loads(json.dumps(models.Dashboard.from_json(dashboard), cls=JSONEncoder))
    assert {
        name for name in unmodelled(dashboard, modelled) if not any(fnmatch(name, each) for each in UNMODELLED)
    } == set()


def test_an_option_that_is_misspelt_is_found() -> None:
    panel = {"type": "timeseries", "fieldConfig": {"defaults": {"custom": {"lineWidht": 1}}, "overrides": []}}
    modelled = json.loads(json.dumps(models.Panel.from_json(panel), cls=JSONEncoder))
    assert unmodelled(panel, modelled) == {"fieldConfig.defaults.custom.lineWidht"}
