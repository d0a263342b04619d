"""The run's settings, as Ansible's variables hold them at this moment: check, probe, dry-run or render them.

Runs on the control node. ``verb`` is one of

- ``check``: every variable is known and right, the script renders and passes, results can be written.
  Touches nothing. Returns the run's ``id``, its folder ``dir`` on the load hosts, and ``results``.
- ``probe``: the services and the mediator answer over trusted TLS, and InfluxDB takes points where they are to be
  pushed; when it cannot be reached now, that is a warning.
- ``dry_run``: print what load the settings would make.
- ``shares``: share the holders out over the hosts by ``weights``; returns ``shares``, by host.
- ``render``: return the controller ``script`` of this host with its ``share`` and its ``postgresql_url``. With
  ``ca_dir``, a folder of the host's, also the ``ca_files`` of the control node that must be copied there, by name.
"""

from __future__ import annotations

import datetime
import difflib
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.parsing.convert_bool import BOOLEANS
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from stampede.prepare.preflight import probe, probe_influxdb
from stampede.prepare.rendering import render_script, try_script
from stampede.schema.durations import seconds
from stampede.schema.errors import BadInput
from stampede.schema.settings import Settings, check_variables

REPOSITORY = Path(__file__).resolve().parents[2]
PREFIX = "stampede_"
DURATIONS = frozenset(
    {
        "stampede_arm_timeout",
        "stampede_max_clock_offset",
        "stampede_reference_timeout",
        "stampede_reference_verifier_delay",
        "stampede_watch_interval",
    }
)
"""Variables of the control node alone; those of the load hosts are checked by ``check_variables``."""
LAST_WORK = ("stampede_drain", "stampede_influxdb_flush")
SWITCHES = ("stampede_abort_on_thresholds", "stampede_fail_on_errors")
STOP_MARGIN = 20.0
"""Seconds that a controller may take, beyond its last work, to end when it is asked to."""


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"verb", "run_id", "weights", "share", "ca_dir", "postgresql_url"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._all_vars = task_vars or {}
        verb = self._task.args["verb"]
        variables = self._variables()
        absolute_ca_files(variables)
        variables["stampede_run_id"] = str(
            self._task.args.get("run_id") or variables.get("stampede_run_id") or name_by_time()
        )
        try:
            result.update(getattr(self, f"_{verb}")(variables))
        except Problems as problems:
            result.update(failed=True, msg="\n".join(problems.sentences))
        return result

    def _variables(self) -> dict[str, Any]:
        return {
            name: plain(self._templar.template(self._all_vars[name]))
            for name in self._all_vars
            if name.startswith(PREFIX)
        }

    def _check(self, variables: dict[str, Any]) -> dict[str, Any]:
        problems = unknown_names(self._names_on_all_hosts(), known_names(REPOSITORY / "roles"))
        problems += check_variables(variables)
        start_delay = duration(variables, "stampede_start_delay", problems)
        for name in sorted(DURATIONS & variables.keys()):
            duration(variables, name, problems)
        problems += wrong_switches(variables)
        problems += wrong_min_hosts(variables["stampede_min_hosts"], len(self._all_vars["ansible_play_hosts_all"]))
        results = results_folder(variables)
        problems += cannot_write(results, "stampede_results_dir", str(variables.get("stampede_results_dir")))
        run_id = variables["stampede_run_id"]
        folder = Path(variables["stampede_work_dir"]) / run_id
        problems += already_there(run_id, (results / run_id, folder))
        problems += nothing_to_compare_with(str(variables.get("stampede_compare_with") or ""))
        if problems:
            raise Problems(problems)
        try_out(variables)
        return {
            "id": run_id,
            "dir": str(folder),
            "results": str(results / run_id),
            "start_delay": start_delay,
            "stop_timeout": sum(seconds(variables[name]) for name in LAST_WORK) + STOP_MARGIN,
            "versions": {name: version(name) for name in ("stampede-vc", "ansible-core")},
            "settings": {name: value for name, value in sorted(variables.items()) if name != "stampede_secrets"},
        }

    def _names_on_all_hosts(self) -> set[str]:
        hostvars = self._all_vars.get("hostvars") or {}
        hosts = self._all_vars.get("ansible_play_hosts_all") or []
        names = {name for host in hosts for name in hostvars[host]}
        return {name for name in names | set(self._all_vars) if name.startswith(PREFIX)}

    def _probe(self, variables: dict[str, Any]) -> dict[str, Any]:
        settings = Settings.from_variables(variables)
        problems, warnings = probe(settings), []
        if target := settings.influxdb:
            made = self._templar.template(self._all_vars["run_generated_secrets"])
            secret = (variables["stampede_secrets"] | made).get(target.secret, "")
            found, warnings = probe_influxdb(target, str(secret).strip())
            problems += found
        if problems:
            raise Problems(problems)
        return {"warnings": warnings}

    def _dry_run(self, variables: dict[str, Any]) -> dict[str, Any]:
        text = dry_run(variables)
        Display().display(f"{text.rstrip()}\nNothing was started.")
        return {"stdout": text}

    def _render(self, variables: dict[str, Any]) -> dict[str, Any]:
        variables |= self._task.args.get("share") or {}
        variables["stampede_postgresql_url"] = self._task.args.get("postgresql_url") or ""
        ca_dir = self._task.args.get("ca_dir")
        files = move_ca_files(variables, ca_dir) if ca_dir else {}
        return {"script": rendered(variables), "ca_files": files}

    def _shares(self, variables: dict[str, Any]) -> dict[str, Any]:
        weights = {str(host): float(weight) for host, weight in self._task.args["weights"].items()}
        try:
            found = Settings.from_variables(variables).load.shares(weights)
        except BadInput as error:
            raise Problems(error.sentences) from error
        return {"shares": found}


class Problems(Exception):
    """What is wrong with the user's input, a sentence each."""

    def __init__(self, sentences: Iterable[str]) -> None:
        super().__init__()
        self.sentences = list(sentences)


def plain(value: Any) -> Any:
    """A copy without Ansible's own kinds of text, number and container."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


def absolute_ca_files(variables: dict[str, Any]) -> None:
    """Make paths of CA files, which users may give relative to the repository, good in any folder."""

    def absolute(value: Any) -> Any:
        return str(REPOSITORY / Path(value).expanduser()) if isinstance(value, str) and value else value

    for name in ("stampede_ca_file", "stampede_influxdb_ca_file"):
        if name in variables:
            variables[name] = absolute(variables[name])
    services = variables.get("stampede_services")
    for service in services.values() if isinstance(services, dict) else ():
        if isinstance(service, dict) and "ca_file" in service:
            service["ca_file"] = absolute(service["ca_file"])


def move_ca_files(variables: dict[str, Any], folder: str) -> dict[str, str]:
    """Let CA files be in ``folder``, which is on the host; returns where each is now, by its new name."""
    files: dict[str, str] = {}

    def moved(holder: dict[str, Any], key: str, name: str) -> None:
        if holder.get(key):
            files[name] = holder[key]
            holder[key] = f"{folder}/{name}"

    moved(variables, "stampede_ca_file", "ca.pem")
    moved(variables, "stampede_influxdb_ca_file", "ca-influxdb.pem")
    for name, service in variables["stampede_services"].items():
        moved(service, "ca_file", f"{name}-ca.pem")
    return files


def name_by_time() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def known_names(roles: Path) -> set[str]:
    """Every variable that a role's argument specs describe."""
    names: set[str] = set()
    for file in roles.glob("*/meta/argument_specs.yml"):
        specs = yaml.safe_load(file.read_text())["argument_specs"]
        for entry in specs.values():
            names |= set(entry.get("options", {}))
    return names


def unknown_names(names: Iterable[str], known: set[str]) -> list[str]:
    sentences = []
    for name in sorted(set(names) - known):
        nearest = difflib.get_close_matches(name, known, n=1)
        advice = f"did you mean {nearest[0]}?" if nearest else "the README of roles/run lists all of them."
        sentences.append(f"{name} is no variable of Stampede; {advice}")
    return sentences


def duration(variables: Mapping[str, Any], name: str, problems: list[str]) -> float:
    try:
        return seconds(variables.get(name))
    except ValueError:
        problems.append(
            f"{name} is {variables[name]!r}; it must be a number of seconds or a duration such as 5s or 2m"
        )
        return 0.0


def wrong_switches(variables: Mapping[str, Any]) -> list[str]:
    """Say so of each of ``SWITCHES`` that is neither true nor false."""
    values = {name: variables[name] for name in SWITCHES}
    return [
        f"{name} is {value!r}; it must be true or false"
        for name, value in values.items()
        if str(value).lower() not in BOOLEANS
    ]


def wrong_min_hosts(value: Any, hosts: int) -> list[str]:
    """Say so when ``value`` is no number of load hosts."""
    if str(value).isdigit() and int(value) <= hosts:
        return []
    return [f"stampede_min_hosts is {value!r}; it must be a whole number up to {hosts}, the load hosts, or 0 for all"]


def results_folder(variables: Mapping[str, Any]) -> Path:
    return REPOSITORY / Path(variables.get("stampede_results_dir") or "results").expanduser()


def nothing_to_compare_with(folder: str) -> list[str]:
    """Say so when ``stampede_compare_with`` is not the results folder of a run."""
    if not folder or list((REPOSITORY / folder).glob("*/journal.lp*")):
        return []
    return [
        f"stampede_compare_with is {folder!r}, but {REPOSITORY / folder} holds no journal of a load host; "
        "it must be the results folder of an earlier run, such as results/RUN"
    ]


def cannot_write(folder: Path, variable: str, value: str) -> list[str]:
    """Say so when ``folder`` can neither be written nor made; makes nothing that was not there."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        if not there.is_dir():
            raise NotADirectoryError(f"{there} is a file")
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        return [
            f"{variable} is {value!r}, but {folder} cannot be written ({reason}); "
            "name a folder in which you may make files"
        ]
    return []


def already_there(run_id: str, folders: Iterable[Path]) -> list[str]:
    """Say so when a run of that name has been made: its journal must not be mixed with another's."""
    return [
        f"stampede_run_id is {run_id!r}, but {folder} is there already; choose another name, or leave it empty"
        for folder in folders
        if folder.exists()
    ][:1]


def rendered(variables: Mapping[str, Any]) -> str:
    """The text of the controller script, without secrets."""
    try:
        return render_script(variables, REPOSITORY / "templates", REPOSITORY)
    except BadInput as error:
        raise Problems(error.sentences) from None


def try_out(variables: Mapping[str, Any]) -> None:
    """Take a few simulated holders through the script, in virtual time."""
    rendered(variables)
    try:
        try_script(variables, REPOSITORY / "templates", REPOSITORY)
    except BadInput as error:
        raise Problems(error.sentences) from None


def dry_run(variables: Mapping[str, Any]) -> str:
    """What the controller script says of the load that it would make."""
    with tempfile.TemporaryDirectory(prefix="stampede-") as folder:
        file = Path(folder) / "controller_script.py"
        file.write_text(rendered(variables))
        done = subprocess.run(
            [sys.executable, str(file), "dry-run"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise Problems([line for line in done.stderr.splitlines() if line.strip()] or ["The dry run failed"])
    return done.stdout
