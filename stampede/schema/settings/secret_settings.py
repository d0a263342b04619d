"""``stampede_secrets``: texts by the names that services refer to them by. No sentence quotes one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stampede.schema.settings.json_values import is_utf8, texts_in
from stampede.schema.settings.variable_reader import VariableReader, kind_of, shown

VARIABLE = "stampede_secrets"
SHORTEST_REVEALED = 8
"""Characters; a shorter secret may be part of an ordinary word."""
REVEALING = ("stampede_services", "stampede_agent_args", "stampede_influxdb_url", "stampede_postgresql_url")
"""The variables that may come to hold a secret in clear, as ``{{ stampede_secrets.token }}`` in one of them would."""

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{}]{1,128}")


def check_secrets(reader: VariableReader) -> None:
    """Note what is wrong with the secrets. On a load host all are empty: their values are in a file of their own."""
    secrets = reader.variables.get(VARIABLE, {})
    if not isinstance(secrets, Mapping):
        reader.complain(f"{VARIABLE} is {kind_of(secrets)}; it must be a mapping of names to texts")
        return
    for name, value in secrets.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            reader.complain(
                f"{VARIABLE} has the name {shown(name)}; for ${{secret:NAME}} to refer to it, it must be a text of 1 "
                "to 128 characters without braces"
            )
        elif not isinstance(value, str):
            reader.complain(f"{VARIABLE}.{name} is {kind_of(value)}; it must be a text, in quotes")
        elif not is_utf8(value):
            reader.complain(f"{VARIABLE}.{name} holds half a character; it must be a text that UTF-8 can express")


def empty_or_revealed(variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each secret that is empty, as one is that comes from a variable of the environment that is not
    set; and for each that another setting holds in clear, which would be kept with the results."""
    secrets = {name: value for name, value in variables[VARIABLE].items() if isinstance(value, str)}
    sentences = [
        f"{VARIABLE}.{name} is empty; it must be a text of at least one character, or be left out"
        for name, value in secrets.items()
        if not value.strip()
    ]
    long = {name: value for name, value in secrets.items() if len(value) >= SHORTEST_REVEALED}
    for variable in REVEALING:
        texts = list(texts_in(variables.get(variable)))
        sentences += [
            f"{variable} holds {VARIABLE}.{name} in clear; it must have ${{secret:{name}}} in its place, in a "
            "service's URL, headers or body"
            for name, value in long.items()
            if any(value in text for text in texts)
        ]
    return sentences
