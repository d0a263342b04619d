"""What the control node derives from the load hosts' variables: who takes which part in a run, and who none.

``hosts`` maps the name of a host to its Ansible variables, of which roles ``run`` and ``controller`` set

- ``run_host``: what the first contact found: ``cores``, ``offset`` and ``uncertainty`` of its clock in seconds;
- ``run_left_out``: why and since when the host takes no part (``reason``, ``since``), if it does not;
- ``run_before``: the runs that it has, and which machine it is, as the module stampede_runs tells;
- ``controller_folder``: whether it made the run's folder, or was ``in_use`` already;
- ``controller_process``: ``pid`` and systemd ``unit`` of its controller and the run's ``dir``, once it was started;
- ``run_collected``: the result of collecting its files.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stampede.fleet.found_runs import is_run_id
from stampede.schema import push_progress
from stampede.schema.faults import Fault
from stampede.schema.json_form import from_json, to_json
from stampede.schema.push_progress import PushProgress
from stampede.schema.records import EventKind

LARGEST_PROGRESS = 1 << 20
"""Bytes of a push.json."""
NO_TIME = "there was no time left"

type Hosts = Mapping[str, Mapping[str, Any]]


def weights(hosts: Hosts) -> dict[str, float]:
    """Each host's share of the holders, in proportion to the others': its ``stampede_weight``, else its cores."""
    return {
        name: float(variables.get("stampede_weight") or 0) or float(variables["run_host"]["cores"])
        for name, variables in hosts.items()
    }


def controllers(hosts: Hosts, run_dir: str) -> dict[str, dict[str, Any]]:
    """Where each started controller is found: its run's ``dir``, its ``pid``, its ``unit`` (empty for a process)."""
    started = {name: process for name, variables in hosts.items() if (process := variables.get("controller_process"))}
    return {
        name: {"dir": process.get("dir") or run_dir, "pid": process["pid"], "unit": process.get("unit") or ""}
        for name, process in started.items()
    }


def clocks(hosts: Hosts) -> dict[str, dict[str, float]]:
    """How far each clock is ahead of the control node's, and how exactly that is known; both in seconds."""
    found = {name: variables.get("run_host") or {} for name, variables in hosts.items()}
    return {
        name: {"offset": host["offset"], "uncertainty": host["uncertainty"]}
        for name, host in found.items()
        if "offset" in host
    }


def left_out_faults(hosts: Hosts) -> list[dict[str, Any]]:
    """A ``Fault``, as JSON, for each host that takes no part in the run."""
    left_out = {name: found for name, variables in hosts.items() if (found := variables.get("run_left_out"))}
    return [
        _fault(name, EventKind.LEFT_OUT, float(found["since"]), f"{name} took no part in the run: {found['reason']}")
        for name, found in left_out.items()
    ]


def not_collected_faults(hosts: Hosts, run_id: str, now: float) -> list[dict[str, Any]]:
    """A ``Fault``, as JSON, for each host whose files could not be collected, or that could not be reached for it.

    Only hosts on which the collection was tried count. ``now`` is in seconds since 1970.
    """
    tried = {name: variables.get("run_collected") or {} for name, variables in hosts.items()}
    return [
        _fault(
            name,
            EventKind.NOT_COLLECTED,
            now,
            f"The results of {name} could not be collected; when the host can be reached again, "
            f"stampede collect -e stampede_run_id={run_id} collects them.",
        )
        for name, result in tried.items()
        if result.get("unreachable") or result.get("failed")
    ]


def _fault(host: str, kind: EventKind, since: float, text: str) -> dict[str, Any]:
    found: dict[str, Any] = to_json(Fault(host, kind, since, None, text))
    return found


def matching_runs(runs: Iterable[Mapping[str, Any]], run_id: str, active: bool) -> list[Mapping[str, Any]]:
    """The runs named ``run_id`` (all when it is empty); with ``active`` only those whose controller is alive."""
    return [run for run in runs if run_id in ("", run["id"]) and (run["alive"] or not active)]


def uncollected_runs(run_ids: Iterable[str], results: Path, host: str = "") -> list[str]:
    """The runs, sorted, of which the folder ``results`` holds nothing, or nothing of ``host`` if one is named."""
    return sorted(
        run_id if is_run_id(run_id) else ascii(run_id)
        for run_id in run_ids
        if not (is_run_id(run_id) and (results / run_id / host).is_dir())
    )


def not_pushed(results: Path, host: str) -> str:
    """Sentences about what InfluxDB and the collector lack of a collected host; empty when they have it all."""
    sentences = []
    points = _progress(results / host / push_progress.FILE)
    if not points.complete:
        why = points.error or points.first_rejected or NO_TIME
        sentences.append(
            f"InfluxDB does not have all points of {host}: {why}. To push what is missing: stampede replay "
            f"{shlex.quote(str(results))}"
        )
    metrics = _progress(results / host / push_progress.OTLP_FILE)
    if not metrics.complete:
        why = metrics.error or metrics.lacking or NO_TIME
        sentences.append(
            f"The OpenTelemetry collector does not have all metrics of {host}: {why}. The report has them all."
        )
    elif metrics.rejected:
        sentences.append(
            f"The OpenTelemetry collector has all sums and histograms of {host}. Of exports before the last one it "
            f"refused data points ({metrics.rejected} in all, first: {metrics.first_rejected}); values of gauges and "
            "up-down counters among them are missing there. The journal has them all."
        )
    return " ".join(sentences)


def _progress(path: Path) -> PushProgress:
    """What that file tells; that all was pushed when there is none, because nothing should be."""
    try:
        with path.open("rb") as file:
            found: Any = json.loads(file.read(LARGEST_PROGRESS))
    except FileNotFoundError:
        return PushProgress(complete=True)
    except (OSError, ValueError, RecursionError):
        found = None
    try:
        return from_json(PushProgress, found, problems=[])
    except ValueError:
        return PushProgress(error=f"its {path.name} cannot be read")
