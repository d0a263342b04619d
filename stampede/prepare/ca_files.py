"""The CA files that settings name: paths on the control node, of which a load host gets copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_OF_THE_RUN = {"stampede_ca_file": "ca.pem", "stampede_influxdb_ca_file": "ca-influxdb.pem"}
"""The variables that name a file, with the name of its copy on a load host."""


def absolute_ca_files(variables: Mapping[str, Any], repository: Path) -> dict[str, Any]:
    """The variables with absolute paths of CA files, which users may give relative to the repository."""

    def absolute(path: Any, _: str) -> Any:
        return str(repository / Path(path).expanduser()) if isinstance(path, str) else path

    return _with_ca_files(variables, absolute)


def copied_ca_files(variables: Mapping[str, Any], folder: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The variables with CA files in ``folder`` of a load host, and the original of each by its name there."""
    originals: dict[str, str] = {}

    def copied(path: Any, name: str) -> str:
        originals[name] = path
        return f"{folder}/{name}"

    return _with_ca_files(variables, copied), originals


def _with_ca_files(variables: Mapping[str, Any], change: Callable[[Any, str], Any]) -> dict[str, Any]:
    """The variables with ``change(path, name)`` in place of each CA file; ``name`` is unique among them."""
    changed = dict(variables)
    for variable, name in _OF_THE_RUN.items():
        if changed.get(variable):
            changed[variable] = change(changed[variable], name)
    services = changed.get("stampede_services")
    if isinstance(services, Mapping):
        changed["stampede_services"] = {
            name: {**service, "ca_file": change(service["ca_file"], f"{name}-ca.pem")}
            if isinstance(service, Mapping) and service.get("ca_file")
            else service
            for name, service in services.items()
        }
    return changed
