"""What a run does otherwise than its user may expect: told at its check, and no reason against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from stampede import wording
from stampede.load_models.catalog import DEFAULT, VARIABLE, own_settings
from stampede.machine.home import HOME
from stampede.machine.proxies import proxy_notices
from stampede.prepare.ca_checks import ca_file_warnings
from stampede.prepare.ca_files import named_ca_files
from stampede.schema.settings.agent_patches import switched_off
from stampede.schema.settings.secret_settings import surrounded
from stampede.schema.settings.variables import VARIABLES

DEFAULTS = HOME / "roles/run/defaults/main.yml"


def notices(variables: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """A sentence each."""
    return [
        *surrounded(variables.get("stampede_secrets")),
        *switched_off(variables),
        *unused(variables),
        *ca_file_warnings(named_ca_files(variables)),
        *proxy_notices(environment),
    ]


def unused(variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each setting that has another value than its default, and that the run ignores."""
    own, model = own_settings(), variables.get(VARIABLE, DEFAULT)
    defaults = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))
    found = []
    for name in sorted(frozenset[str]().union(*own.values()) - own[model]):
        variable = f"stampede_{name}"
        read, default = VARIABLES[variable].read, defaults[variable]
        if read(variables.get(variable, default)) != read(default):
            others = wording.listed(sorted(other for other, names in own.items() if name in names))
            found.append(f"{variable} is set, but the load model {model} ignores it; it is for {others}")
    of_scripts = [script.get("settings") or {} for script in variables.get("stampede_scripts") or ()] or [{}]
    if variables.get("stampede_observed_think_times") and not any(
        {**variables, **own}.get("stampede_think_times") == "observed" for own in of_scripts
    ):
        found.append("stampede_observed_think_times is set, but stampede_think_times is not observed")
    return found
