"""The check of a run before any host is asked: its settings, its script, and the folders that it writes to."""

from __future__ import annotations

import datetime
import difflib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stampede.machine.files import check_names, user_path
from stampede.machine.home import HOME
from stampede.prepare.agent_packages import package_problems
from stampede.prepare.ca_checks import ca_file_problems
from stampede.prepare.ca_files import named_ca_files
from stampede.prepare.data_rows import data_problems
from stampede.prepare.folder_checks import (
    existing_run,
    no_space_for_wallets,
    nothing_to_compare_with,
    unwritable,
    within_each_other,
)
from stampede.prepare.genesis import genesis_file_problems
from stampede.prepare.host_checks import (
    BESIDE_THE_RUN,
    different,
    ends_too_soon,
    kept_seconds,
    missing_python,
    of_all,
    taken_ports,
    together,
)
from stampede.prepare.trial import simulated_seconds, try_script
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.settings.secret_settings import empty_or_revealed, not_sendable
from stampede.schema.settings.variable_reader import VariableReader, shape_problems
from stampede.schema.settings.variables import VARIABLES, ControlNodeVariables

STOP_MARGIN = 20.0
"""Seconds that a controller gets to end when it is asked to, beyond what its last steps and points may take."""


OF_A_HOST = frozenset(
    f"stampede_{name}"
    for name in (
        *("host_name", "weight", "seed", "python", "user", "home", "install_dir", "host_python", "secrets"),
        *("agents", "agent_args", "agent_port", "agent_host", "agent_bind", "postgresql_url", "postgresql_port"),
        *("memory_max", "open_files", "postgresql_buffers", "expires", "price"),
    )
)
"""The variables that are a host's own affair."""


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """A run that may begin."""

    id: str
    dir: str
    """The run's folder on the load hosts."""
    results: str
    """The run's folder on the control node."""
    start_delay: float
    """Seconds between the start signal and the start."""
    stop_timeout: float
    """Seconds after which a controller that was asked to end is killed."""
    versions: Mapping[str, str]
    """Of the packages that matter for the results."""
    settings: Mapping[str, Any]
    """All variables but the secrets."""
    notices: Sequence[str] = ()
    """What its script does otherwise than its user may expect."""


def check_run(
    variables: dict[str, Any],
    names: Collection[str],
    hosts: int,
    project: Path,
    load_hosts: Mapping[str, Mapping[str, Any]] | None = None,
    port_variables: Mapping[str, Collection[str]] | None = None,
) -> CheckedRun:
    """Check everything that can be known on the control node; writes nothing.

    ``variables``: those of the first load host, by which the run goes. ``names``: the ``stampede_*`` variables that
    are set on any host. ``hosts``: how many load hosts there are. ``load_hosts``: the variables of each, by its name.
    ``port_variables``: see ``host_checks.neighbours``, by the host's name.
    Raises BadInput with all problems found.
    """
    all_hosts = load_hosts or {"": variables}
    problems = unknown_names(names)
    problems += of_all(all_hosts, lambda of_host: ca_file_problems(named_ca_files(of_host)), named_ca_files)
    problems += of_all(all_hosts, genesis_file_problems, lambda of_host: of_host.get("stampede_ledgers"))
    problems += of_all(all_hosts, problems_of)
    problems += different(all_hosts)
    problems += package_problems(variables, project)
    ports = port_variables or {}
    problems += together(
        {host: taken_ports(of_host, ports.get(host, ()), HOME) for host, of_host in all_hosts.items()}
    )
    reader = VariableReader(variables)
    control = ControlNodeVariables(**reader.fields(ControlNodeVariables))
    problems += wrong_min_hosts(control.min_hosts, hosts)
    run_id = reader.read("run_id")
    results = user_path("stampede_results_dir", control.results_dir or "results", project)
    check_names("stampede_work_dir", control.work_dir)
    folder = Path(control.work_dir) / run_id
    problems += unwritable(results, "stampede_results_dir", control.results_dir)
    problems += existing_run(run_id, (results / run_id, folder)) if run_id else []
    problems += within_each_other(results / run_id, project / folder) if run_id and control.local else []
    problems += nothing_to_compare_with(control.compare_with, project)
    settings = None if problems else Settings.from_variables(variables)
    problems += data_problems(settings) if settings else []
    problems += settings.scripts_without_holders() if settings else []
    problems += without_a_share(settings, all_hosts) if settings else []
    needed, now = kept_seconds(settings) if settings else 0.0, time.time()
    problems += of_all(all_hosts, lambda of_host: ends_too_soon(of_host, needed, now)) if settings else []
    if settings and control.local:
        problems += no_space_for_wallets(settings)
    if problems or not settings:
        raise BadInput(*problems)
    templates = HOME / "templates"
    told: list[str] = []

    def refused_of(of_host: Mapping[str, Any]) -> list[str]:
        return refusals(of_host, templates, project, hosts, told)

    if refused := of_all(all_hosts, refused_of, what_scripts_use):
        raise BadInput(*refused)
    if not needed and any(VariableReader(of_host).read("expires") for of_host in all_hosts.values()):
        least = simulated_seconds(variables, project) + settings.influxdb_flush + BESIDE_THE_RUN
        if problems := of_all(all_hosts, lambda of_host: ends_too_soon(of_host, least, now)):
            raise BadInput(*problems)
    return CheckedRun(
        id=run_id,
        dir=str(folder),
        results=str(results / run_id),
        start_delay=control.start_delay,
        stop_timeout=settings.drain + settings.influxdb_flush + STOP_MARGIN,
        versions={name: version(name) for name in ("stampede-vc", "ansible-core")},
        settings={name: value for name, value in sorted(variables.items()) if name != "stampede_secrets"},
        notices=list(dict.fromkeys(told)),
    )


def run_id_by_time() -> str:
    """The name of a run that was given none, such as 2026-11-22T18-03-12Z."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def unknown_names(names: Iterable[str]) -> list[str]:
    """A sentence for each variable that no role describes, with the nearest that one does."""
    sentences = []
    for name in sorted(set(names) - VARIABLES.keys()):
        nearest = difflib.get_close_matches(name, VARIABLES, n=1)
        advice = f"did you mean {nearest[0]}?" if nearest else "the README of roles/run lists all of them."
        sentences.append(f"{name} is not a Stampede variable; {advice}")
    return sentences


def wrong_min_hosts(value: int, hosts: int) -> list[str]:
    """A sentence when ``stampede_min_hosts`` is more than the number of load hosts."""
    if value <= hosts:
        return []
    return [f"stampede_min_hosts is {value!r}; it must be a whole number up to {hosts}, the load hosts, or 0 for all"]


def without_a_share(settings: Settings, hosts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence when a host would get none of the holders, or of the iterations that are shared. Hosts are taken as
    equal where weights come from their cores."""
    weights = {host: float(VariableReader(of_host).read("weight")) for host, of_host in hosts.items()}
    if not all(weights.values()):
        weights = dict.fromkeys(weights, 1.0)
    try:
        if settings.load.is_shared_out:
            settings.load.shares(weights)
    except BadInput as error:
        return list(error.sentences)
    return []


def problems_of(variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each problem of one load host's variables by themselves."""
    problems = check_variables(variables)
    reader = VariableReader(variables)
    reader.fields(ControlNodeVariables)
    problems += _of_others(reader.problems, problems)
    misshapen = shape_problems(variables)
    problems = _not_because_of(misshapen, variables, problems)
    problems += _of_others(misshapen, problems)
    problems += not_sendable(variables)
    problems += empty_or_revealed(variables)
    return problems + missing_python(variables)


def refusals(variables: Mapping[str, Any], templates: Path, project: Path, hosts: int, told: list[str]) -> list[str]:
    """What the trial of the script with one load host's variables has to say against it; ``hosts`` share the run.
    What it notices besides is added to ``told``."""
    try:
        told += try_script(variables, templates, project, hosts)
    except BadInput as error:
        return error.sentences
    return []


def what_scripts_use(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables with which a script does another thing. A host's name and its like change a text at most."""
    return {name: value for name, value in variables.items() if name not in OF_A_HOST and name in VARIABLES}


def _not_because_of(misshapen: Iterable[str], variables: Mapping[str, Any], sentences: Iterable[str]) -> list[str]:
    """The sentences that are not about a URL with a port in it that is a wrong variable's."""
    ports = [variables[name] for sentence in misshapen if (name := sentence.split()[0]).endswith("_port")]
    return [
        sentence
        for sentence in sentences
        if not any(
            f"{colon}{port}{end}" in sentence for port in ports for colon in (":", "%3A") for end in ("/", ":", "'")
        )
    ]


def _of_others(sentences: Iterable[str], known: Iterable[str]) -> list[str]:
    """The sentences about variables that none of the known sentences is about; each begins with the variable."""
    told = {sentence.split()[0] for sentence in known}
    return [sentence for sentence in sentences if sentence.split()[0] not in told]
