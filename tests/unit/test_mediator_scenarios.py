"""The shipped scenarios for mediators, with simulated holders: what they do, and with which way of pickup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.run.dry_run import Forecast, dry_run
from stampede.prepare.rendering import render_scenario
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import Settings

SCENARIOS = Path(__file__).parents[2] / "templates" / "scenarios"


def forecast(variables: dict[str, Any], scenario: str, **changes: Any) -> Forecast:
    given = variables | {f"stampede_{name}": value for name, value in changes.items()}
    names: dict[str, Any] = {}
    exec(render_scenario(SCENARIOS / f"{scenario}.py.j2", given), names)
    return dry_run(names["script"], Settings.from_variables(given))


def test_soak_of_phones(variables: dict[str, Any]) -> None:
    steps = forecast(variables, "mediator_soak", mediator_pickup="websocket", holders=3, iterations=4).steps
    assert steps == {
        "connect_to_mediator": 3,
        "request_invitation": 3,
        "connect": 3,
        "ping": 12,
        "disconnect": 12,
        "reconnect": 12,
    }


def test_soak_of_holders_with_a_port(variables: dict[str, Any]) -> None:
    steps = forecast(variables, "mediator_soak", mediator_pickup="none", holders=3, iterations=4).steps
    assert steps == {"connect_to_mediator": 3, "request_invitation": 3, "connect": 3, "ping": 12}


def test_rush_is_as_fast_at_each_return_as_at_the_start(variables: dict[str, Any]) -> None:
    rush = {"mediator_pickup": "websocket", "holders": 600, "ramp_up": "60s", "wait_max": 120, "iterations": 2}
    found = forecast(variables, "mediator_rush", **rush)
    assert found.steps == {"connect_to_mediator": 600, "disconnect": 1200, "reconnect": 1200}
    assert found.peak_per_second < 40, "ten a second leave or come back, more or less"


def test_rush_is_for_phones_only(variables: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"calls holder\.disconnect\(\), but stampede_mediator_pickup is none"):
        forecast(variables, "mediator_rush", mediator_pickup="none")
