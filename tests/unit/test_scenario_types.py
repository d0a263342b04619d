"""Scenario authors see types: the shipped scenarios pass a strict type checker, which finds a slip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mypy import api

from stampede.prepare.rendering import render_scenario

SCENARIOS = sorted((Path(__file__).parents[2] / "templates" / "scenarios").glob("*.py.j2"))
SLIP = """
from stampede import Holder, StepError


async def script(holder: Holder) -> None:
    try:
        await holder.ping(await holder.conect("issuer"))
    except StepError as error:
        print(error.error_class + 1)
"""


def test_shipped_scenarios_pass_and_a_slip_is_found(variables: dict[str, Any], tmp_path: Path) -> None:
    for scenario in SCENARIOS:
        (tmp_path / scenario.name.removesuffix(".j2")).write_text(render_scenario(scenario, variables))
    (tmp_path / "slip.py").write_text(SLIP)
    found, _, _ = api.run(["--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache"), str(tmp_path)])
    lines = [line.partition(": ")[2] for line in found.splitlines() if "slip.py" in line]
    assert '"Holder" has no attribute "conect"; maybe "connect"' in lines[0]
    assert 'Unsupported operand types for + ("str" and "int")' in lines[1]
    assert "Found 2 errors in 1 file" in found
