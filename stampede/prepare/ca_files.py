"""The CA files that settings name: paths on the control node, of which a load host gets copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stampede.machine.files import user_path

_OF_THE_RUN = {
    "stampede_ca_file": "ca.pem",
    "stampede_influxdb_ca_file": "ca-influxdb.pem",
    "stampede_otlp_ca_file": "ca-otlp.pem",
}
"""The variables that name a file, with the name of its copy on a load host."""


def absolute_ca_files(variables: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """The variables with absolute paths of CA files, which users may give relative to the project folder.

    Raises BadInput for one in the home folder of a user who has none.
    """

    def absolute(path: Any, variable: str, _: str) -> Any:
        return str(user_path(variable, path, project)) if isinstance(path, str) else path

    return _with_ca_files(variables, absolute)


def copied_ca_files(variables: Mapping[str, Any], folder: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The variables with CA files in ``folder`` of a load host, and the original of each by its name there."""
    originals: dict[str, str] = {}

    def copied(path: Any, _: str, name: str) -> str:
        originals[name] = path
        return f"{folder}/{name}"

    return _with_ca_files(variables, copied), originals


def named_ca_files(variables: Mapping[str, Any]) -> dict[str, str]:
    """The CA files by the variable that names each, such as ``stampede_services.issuer.ca_file``."""
    named: dict[str, str] = {}

    def noted(path: Any, variable: str, _: str) -> Any:
        if isinstance(path, str):
            named[variable] = path
        return path

    _with_ca_files(variables, noted)
    return named


def _with_ca_files(variables: Mapping[str, Any], change: Callable[[Any, str, str], Any]) -> dict[str, Any]:
    """The variables with ``change(path, variable, name)`` in place of each CA file; ``name`` is unique among them."""
    changed = dict(variables)
    for variable, name in _OF_THE_RUN.items():
        if changed.get(variable):
            changed[variable] = change(changed[variable], variable, name)
    services = changed.get("stampede_services")
    if isinstance(services, Mapping):
        changed["stampede_services"] = {
            name: {
                **service,
                "ca_file": change(service["ca_file"], f"stampede_services.{name}.ca_file", f"{name}-ca.pem"),
            }
            if isinstance(service, Mapping) and service.get("ca_file")
            else service
            for name, service in services.items()
        }
    return changed
