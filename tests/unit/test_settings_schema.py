"""The JSON Schema by which editors complete and check group_vars: it refuses nothing that a run takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from stampede.schema.settings.variables import VARIABLES

REPOSITORY = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((REPOSITORY / "inventory/variables.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
VALUES: list[Any] = [
    *(0, 1, 7, -1, 2.5, "0", "12", "-3", "2.5", "1e3", "", "word", "a b", None, True, False, "yes", "no", "off"),
    *("90s", "5m", "1h30m", "1h 30m", "5 minutes", "2d", "90%", "16G", "256MB", "infinity", "closed", "open"),
    *("https://ledger.example.org/genesis", "did:web:mediator.example.org", "host.example.org", "192.0.2.1"),
    *([], ["a"], ["a", "b"], [1, 2.5], [{}], [{"holders": 1}], {}, {"a": 1}),
]


def takes(name: str, value: Any) -> bool:
    return bool(VALIDATOR.is_valid({name: value}))


def test_it_is_a_schema_of_all_variables() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(VARIABLES)
    assert all(len(entry["description"]) > 10 for entry in SCHEMA["properties"].values())
    assert "C(" not in json.dumps(SCHEMA)


@pytest.mark.parametrize("name", VARIABLES)
def test_it_refuses_nothing_that_a_run_takes(name: str) -> None:
    assert takes(name, SCHEMA["properties"][name]["default"])
    assert takes(name, "{{ lookup('env', 'HERE') }}")
    for value in VALUES:
        try:
            VARIABLES[name].read(value)
        except (TypeError, ValueError):
            continue
        assert takes(name, value), value


@pytest.mark.parametrize("file", [*REPOSITORY.glob("inventory/*/group_vars/*.yml")], ids=lambda file: file.parts[-3])
def test_the_shipped_inventories_are_right(file: Path) -> None:
    lines = file.read_text().splitlines()
    _, _, reference = lines[0].partition("$schema=")
    assert (file.parent / reference).resolve() == REPOSITORY / "inventory/variables.schema.json"
    VALIDATOR.validate(yaml.safe_load("\n".join(lines)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stampede_holders", "many"),
        ("stampede_holders", 0),
        ("stampede_holders", 2.5),
        ("stampede_ramp_up", "5 minutes"),
        ("stampede_on_failure", "carry on"),
        ("stampede_thresholds", "p95 < 1 s"),
        ("stampede_services", ["issuer"]),
        ("stampede_stages", [1]),
        ("stampede_mediator_did", "https://mediator.example.org"),
        ("stampede_holdres", 5),
    ],
)
def test_slips_are_seen_in_the_editor(name: str, value: Any) -> None:
    assert not takes(name, value)


def test_variables_of_others_are_no_concern_of_it() -> None:
    assert takes("ansible_user", "admin") and takes("mine", [1])
