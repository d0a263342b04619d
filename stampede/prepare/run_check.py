"""The check of a run before any host is asked: its settings, its script, and the folders that it writes to."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stampede.machine.files import user_path
from stampede.prepare.ca_checks import ca_file_problems
from stampede.prepare.ca_files import named_ca_files
from stampede.prepare.folder_checks import (
    existing_run,
    no_space_for_wallets,
    nothing_to_compare_with,
    unwritable,
)
from stampede.prepare.trial import try_script
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.secret_settings import not_sendable
from stampede.schema.settings.variable_reader import VariableReader, shape_problems
from stampede.schema.settings.variables import VARIABLES, ControlNodeVariables

STOP_MARGIN = 20.0
"""Seconds that a controller gets to end when it is asked to, beyond what its last steps and points may take."""


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


def check_run(variables: dict[str, Any], names: Collection[str], hosts: int, repository: Path) -> CheckedRun:
    """Check everything that can be known on the control node; writes nothing.

    ``names``: the ``stampede_*`` variables that are set on any host. ``hosts``: how many load hosts there are.
    Raises BadInput with all problems found.
    """
    problems = unknown_names(names)
    problems += not_sendable(variables)
    problems += ca_file_problems(named_ca_files(variables))
    try:
        settings = Settings.from_variables(variables)
    except BadInput as error:
        problems += error.sentences
    reader = VariableReader(variables)
    control = ControlNodeVariables(**reader.fields(ControlNodeVariables))
    problems += _of_others(reader.problems, problems)
    problems += wrong_min_hosts(control.min_hosts, hosts)
    problems += _of_others(shape_problems(variables), problems)
    run_id = variables["stampede_run_id"]
    results = user_path("stampede_results_dir", control.results_dir or "results", repository)
    folder = Path(control.work_dir) / run_id
    problems += unwritable(results, "stampede_results_dir", control.results_dir)
    problems += existing_run(run_id, (results / run_id, folder))
    problems += nothing_to_compare_with(control.compare_with, repository)
    if not problems and control.local:
        problems += no_space_for_wallets(settings)
    if problems:
        raise BadInput(*problems)
    try_script(variables, repository / "templates", repository)
    return CheckedRun(
        id=run_id,
        dir=str(folder),
        results=str(results / run_id),
        start_delay=control.start_delay,
        stop_timeout=settings.drain + settings.influxdb_flush + STOP_MARGIN,
        versions={name: version(name) for name in ("stampede-vc", "ansible-core")},
        settings={name: value for name, value in sorted(variables.items()) if name != "stampede_secrets"},
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


def _of_others(sentences: Iterable[str], known: Iterable[str]) -> list[str]:
    """The sentences about variables that none of the known sentences is about; each begins with the variable."""
    told = {sentence.split()[0] for sentence in known}
    return [sentence for sentence in sentences if sentence.split()[0] not in told]
