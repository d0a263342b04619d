"""``stampede_secrets``: texts by the names that services refer to them by. No sentence quotes one of them.

A secret may be any text. What surrounds it is another matter: a file's last line break, or the mark with which some
editors begin a file, is no part of a password that was stored in one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from stampede.schema.masking import Mask
from stampede.schema.settings.json_values import is_utf8, texts_in
from stampede.schema.settings.placeholders import SECRET, names_in
from stampede.schema.settings.request_reader import written_requests
from stampede.schema.settings.variable_reader import VariableReader, kind_of, shown

VARIABLE = "stampede_secrets"
SHORTEST_REVEALED = 10
"""Characters; what is shorter may be part of an ordinary word."""

LONGEST_SECRET = 8192
"""Characters; no header that servers take has more, and what masks it must be found in every text."""

AROUND = " \t\r\n\v\f\ufeff"
"""What is left out at both ends of a secret: blank space, line breaks, and the byte order mark."""

_UNFIT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no HTTP header can carry (RFC 9110, section 5.5)."""
_UNFIT_WORDS = "holds a line break or another control character, which no HTTP header can carry"
_NAME = re.compile(r"[^{}]{1,128}")


def check_secrets(reader: VariableReader) -> None:
    """Note what is wrong with the secrets. On a load host all are empty: their values are in a file of their own."""
    secrets = reader.variables.get(VARIABLE, {})
    if not isinstance(secrets, Mapping):
        reader.complain(f"{VARIABLE} is {kind_of(secrets)}; it must be a mapping of names to texts")
        return
    for name, value in secrets.items():
        if not isinstance(name, str) or not (name.isprintable() and _NAME.fullmatch(name)):
            reader.complain(
                f"{VARIABLE} has the name {shown(name)}; for ${{secret:NAME}} to refer to it, it must be a text of 1 "
                "to 128 characters without braces"
            )
        elif not isinstance(value, str):
            reader.complain(f"{VARIABLE}.{name} is {kind_of(value)}; it must be a text, in quotes")
        elif not is_utf8(value):
            reader.complain(f"{VARIABLE}.{name} holds half a character; it must be a text that UTF-8 can express")
        elif len(value) > LONGEST_SECRET:
            reader.complain(
                f"{VARIABLE}.{name} has {len(value):,} characters; it must be a text of at most {LONGEST_SECRET:,}"
            )


def empty_or_revealed(variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each secret that is empty, as one is that comes from a variable of the environment that is not
    set; and for each that another setting holds in clear, or percent-encoded or in base64: it would be kept with the
    results."""
    found = variables.get(VARIABLE)
    secrets = {
        name: value for name, value in (found.items() if isinstance(found, Mapping) else ()) if isinstance(value, str)
    }
    sentences = [
        f"{VARIABLE}.{name} is empty; it must be a text of at least one character, or be left out"
        for name, value in secrets.items()
        if not value.strip()
    ]
    long = {
        name: _mask_of(value)
        for name, value in secrets.items()
        if SHORTEST_REVEALED <= len(value) <= LONGEST_SECRET  # one that is longer has its sentence
    }
    for variable in sorted(variables.keys() - {VARIABLE}):
        texts = list(texts_in(variables[variable]))
        sentences += [
            f"{variable} holds {VARIABLE}.{name} in clear; it must have ${{secret:{name}}} in its place, in a "
            "service's URL, headers or body"
            for name, mask in long.items()
            if any(map(mask.finds, texts))
        ]
    return sentences


@functools.lru_cache(maxsize=64)
def _mask_of(secret: str) -> Mask:
    """Made once, for all hosts: that of a long one takes a second."""
    return Mask([secret], decoded=False)


def read_secrets(values: Any) -> dict[str, str]:
    """Secrets as they are sent, by name."""
    if not isinstance(values, Mapping):
        return {}
    return {str(name): "" if value is None else str(value).strip(AROUND) for name, value in values.items()}


def surrounded(values: Any) -> list[str]:
    """A sentence for each secret that is not sent as it is written."""
    return [
        f"{VARIABLE}.{name} has blank space or line breaks around it, which are left out"
        for name, secret in read_secrets(values).items()
        if isinstance(values.get(name), str) and values[name] != secret
    ]


def not_sendable(variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each secret that cannot be sent where it is used."""
    secrets = read_secrets(variables.get(VARIABLE))
    problems = [
        f"{header} uses {VARIABLE}.{name}, which {_UNFIT_WORDS}"
        for header, text in _headers(variables)
        for name in (used.removeprefix(SECRET) for used in names_in(text) if used.startswith(SECRET))
        if _UNFIT.search(secrets.get(name, ""))
    ]
    if variables.get("stampede_influxdb_bucket"):
        problems += no_token(secrets.get("influxdb_token", ""))
    if "\0" in secrets.get("postgresql_password", ""):
        problems.append(f"{VARIABLE}.postgresql_password holds the character NUL, which no PostgreSQL takes")
    return problems


def no_token(text: str) -> list[str]:
    """A sentence when a token for InfluxDB, which is sent in a header, cannot be."""
    return [f"{VARIABLE}.influxdb_token {_UNFIT_WORDS}"] if _UNFIT.search(text) else []


def _headers(variables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The headers of all requests: the variable and the value of each."""
    named = [(f"{where}.headers", request.get("headers")) for where, request in written_requests(variables)]
    named.append(("stampede_otlp_headers", variables.get("stampede_otlp_headers")))
    for where, headers in named:
        for name, text in headers.items() if isinstance(headers, Mapping) else ():
            yield f"{where}.{name}", str(text)
