"""What a run is refused for: hosts that are one machine or have one name, and a name of a run that is in use.

``hosts`` maps the name of a host to its Ansible variables, as in ``stampede.fleet.participation``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from stampede.fleet.found_runs import found_runs
from stampede.fleet.participation import Hosts

IN_RESULTS = frozenset(
    {"services", "run.json", "report.html", "summary.json", "steps.csv.gz", "junit.xml", "compare.html"}
)
"""What a run's results folder holds beside the hosts' folders."""


def odd_names(hosts: Iterable[str]) -> list[str]:
    """A sentence for each name of the inventory that would lead to another folder than its own."""
    return [
        f"The inventory has a host named {name!a}; it must be a name without / and \\, and not . or .."
        for name in hosts
        if name in (".", "..") or set(name) & {"/", "\\"} or not name.isprintable()
    ]


def shared_names(hosts: Hosts) -> list[str]:
    """A sentence for each name in results that is not one host's alone: each has a folder of that name."""
    in_results = {host: str(values.get("stampede_host_name") or host) for host, values in hosts.items()}
    return [
        f"stampede_host_name of {_and(names)} is {name!r}; each load host must have a name of its own"
        for name, names in _alike(in_results)
    ] + [
        f"stampede_host_name of {host} is {name!r}, which the results of a run have already; it must be another"
        for host, name in in_results.items()
        if name in IN_RESULTS
    ]


def shared_machines(hosts: Hosts) -> list[str]:
    """A sentence for each machine that several hosts are."""
    machines = {name: str((values.get("run_before") or {}).get("machine") or "") for name, values in hosts.items()}
    return [
        f"{_and(names)} are one machine under {len(names)} names; the inventory must name each load host once"
        for machine, names in _alike(machines)
        if machine
    ]


def occupied_names(hosts: Hosts, run_id: str) -> list[str]:
    """A sentence for each host that has a run of this name already."""
    answers = {name: values.get("run_before") for name, values in hosts.items()}
    return [
        f"stampede_run_id is {run_id!r}, but {run.host} has a run of that name already"
        f"{', which is active' if run.alive else ''}; choose another name, or leave it empty"
        for run in found_runs(answers, time.time())
        if run.id == run_id
    ]


def refused_folders(hosts: Hosts) -> list[str]:
    """A sentence for each host that could not make the run's folder because it was there."""
    return [
        str(folder["msg"])
        for values in hosts.values()
        if (folder := values.get("controller_folder") or {}).get("in_use") is True
    ]


def _alike(values: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Each value that several hosts have, and those hosts."""
    hosts: dict[str, list[str]] = {}
    for host, value in values.items():
        hosts.setdefault(value, []).append(host)
    return [(value, names) for value, names in hosts.items() if len(names) > 1]


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
