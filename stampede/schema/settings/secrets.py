"""The values of ``stampede_secrets``: how they are read, and whether they can be sent where they are used.

A secret may hold any text. What surrounds it is another matter: a file's last line break, or the mark with which some
editors begin a file, is no part of a password that was stored in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

AROUND = " \t\r\n\v\f\ufeff"
"""What is left out at both ends of a secret: blank space, line breaks, and the byte order mark."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no HTTP header can carry (RFC 9110, section 5.5)."""
_USED = re.compile(r"\$\{secret:([^}]*)\}")
_CANNOT = "holds a line break or another control character, which no HTTP header can carry"


def read_secrets(values: Any) -> dict[str, str]:
    """Secrets as they are sent, by name."""
    if not isinstance(values, Mapping):
        return {}
    return {str(name): "" if value is None else str(value).strip(AROUND) for name, value in values.items()}


def secret_notices(values: Any) -> list[str]:
    """A sentence for each secret that is not sent as it is written. It tells nothing of the secret."""
    return [
        f"stampede_secrets.{name} has blank space or line breaks around it, which are left out"
        for name, secret in read_secrets(values).items()
        if values[name] is not None and str(values[name]) != secret
    ]


def secret_problems(variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each secret that cannot be sent where it is used, and each header that cannot be sent at all."""
    secrets = read_secrets(variables.get("stampede_secrets"))
    problems = [
        f"stampede_secrets.{name} holds bytes that are no UTF-8; it must be text"
        for name, secret in secrets.items()
        if any("\ud800" <= character <= "\udfff" for character in secret)
    ]
    for header, text in _headers(variables.get("stampede_services")):
        if _CONTROL.search(text):
            problems.append(f"{header} {_CANNOT}")
        problems += [
            f"{header} uses stampede_secrets.{name}, which {_CANNOT}"
            for name in _USED.findall(text)
            if _CONTROL.search(secrets.get(name, ""))
        ]
    if variables.get("stampede_influxdb_bucket"):
        problems += token_problems(secrets.get("influxdb_token", ""))
    if "\0" in secrets.get("postgresql_password", ""):
        problems.append("stampede_secrets.postgresql_password holds the character NUL, which no PostgreSQL takes")
    return problems


def token_problems(token: str) -> list[str]:
    """A sentence when a token for InfluxDB, which is sent in a header, cannot be."""
    return [f"stampede_secrets.influxdb_token {_CANNOT}"] if _CONTROL.search(token) else []


def _headers(services: Any) -> Iterator[tuple[str, str]]:
    """The headers of all requests: the variable and the value of each."""
    for service, requests in services.items() if isinstance(services, Mapping) else ():
        for kind, request in requests.items() if isinstance(requests, Mapping) else ():
            headers = request.get("headers") if isinstance(request, Mapping) else None
            for name, text in headers.items() if isinstance(headers, Mapping) else ():
                yield f"stampede_services.{service}.{kind}.headers.{name}", str(text)
