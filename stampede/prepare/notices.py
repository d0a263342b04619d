"""What a run does otherwise than its user may expect: told at its check, and no reason against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stampede.machine.proxies import proxy_notices
from stampede.prepare.ca_checks import ca_file_warnings
from stampede.prepare.ca_files import named_ca_files
from stampede.schema.settings.agent_patches import switched_off
from stampede.schema.settings.secret_settings import surrounded


def notices(variables: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """A sentence each."""
    return [
        *surrounded(variables.get("stampede_secrets")),
        *switched_off(variables),
        *ca_file_warnings(named_ca_files(variables)),
        *proxy_notices(environment),
    ]
