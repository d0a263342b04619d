"""What roles derive from the variables of a play's hosts, as filters; see ``stampede.fleet.participation``.

Their documentation is beside this file: ``ansible-doc -t filter stampede_weights``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from stampede.fleet import participation
from stampede.results.folder import read_push_progress
from stampede.schema.json_form import to_json


def weights(names: Iterable[str], hostvars: Mapping[str, Any]) -> dict[str, float]:
    return participation.weights(variables(names, hostvars))


def controllers(names: Iterable[str], hostvars: Mapping[str, Any], run_dir: str) -> dict[str, dict[str, Any]]:
    return participation.controllers(variables(names, hostvars), run_dir)


def clocks(names: Iterable[str], hostvars: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return participation.clocks(variables(names, hostvars))


def left_out_faults(names: Iterable[str], hostvars: Mapping[str, Any]) -> list[dict[str, Any]]:
    return participation.left_out_faults(variables(names, hostvars))


def not_collected_faults(
    names: Iterable[str], hostvars: Mapping[str, Any], run_id: str, now: float
) -> list[dict[str, Any]]:
    return participation.not_collected_faults(variables(names, hostvars), run_id, now)


def uncollected_runs(run_ids: Iterable[str], results: str, host: str = "") -> list[str]:
    return participation.uncollected_runs(run_ids, Path(results), host)


def push_progress(folder: str) -> dict[str, Any]:
    values: dict[str, Any] = to_json(read_push_progress(Path(folder)))
    return values


def variables(names: Iterable[str], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of the named hosts."""
    return {name: hostvars[name] for name in names}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "stampede_weights": weights,
            "stampede_controllers": controllers,
            "stampede_clocks": clocks,
            "stampede_left_out_faults": left_out_faults,
            "stampede_not_collected_faults": not_collected_faults,
            "stampede_matching_runs": participation.matching_runs,
            "stampede_uncollected_runs": uncollected_runs,
            "stampede_push_progress": push_progress,
        }
