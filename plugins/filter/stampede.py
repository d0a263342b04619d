"""What roles derive from the variables of a play's hosts, as filters; see ``stampede.fleet``.

Their documentation is beside this file: ``ansible-doc -t filter stampede_weights``.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from stampede.fleet import clashes, participation
from stampede.fleet import found_runs as answers
from stampede.machine.files import user_path
from stampede.machine.home import project


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


def not_pushed(results: str, host: str) -> str:
    return participation.not_pushed(Path(results), host)


def found_runs(names: Iterable[str], hostvars: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(run) for run in answers.found_runs(answered(names, hostvars), time.time())]


def wrong_answers(names: Iterable[str], hostvars: Mapping[str, Any]) -> list[str]:
    return answers.wrong_answers(answered(names, hostvars))


def shared_names(names: Iterable[str], hostvars: Mapping[str, Any]) -> list[str]:
    return clashes.shared_names(variables(names, hostvars))


def clashing(names: Iterable[str], hostvars: Mapping[str, Any], run_id: str) -> list[str]:
    hosts = variables(names, hostvars)
    return clashes.shared_machines(hosts) + clashes.occupied_names(hosts, run_id)


def refused_folders(names: Iterable[str], hostvars: Mapping[str, Any]) -> list[str]:
    return clashes.refused_folders(variables(names, hostvars))


def project_path(path: str) -> str:
    return str(user_path("The path", path, project()))


def answered(names: Iterable[str], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """What the named hosts have answered when they were asked for their runs."""
    return {name: hostvars[name].get("run_found") for name in names}


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
            "stampede_not_pushed": not_pushed,
            "stampede_found_runs": found_runs,
            "stampede_wrong_answers": wrong_answers,
            "stampede_odd_names": clashes.odd_names,
            "stampede_shared_names": shared_names,
            "stampede_clashes": clashing,
            "stampede_refused_folders": refused_folders,
            "stampede_project_path": project_path,
        }
