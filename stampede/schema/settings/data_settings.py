"""``stampede_data``: a file of rows, of which each holder has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stampede.schema.settings.request_reader import check_keys, choice, line
from stampede.schema.settings.variable_reader import VariableReader, shown

VARIABLE = "stampede_data"
ENDINGS = (".csv", ".jsonl", ".ndjson")
ONCE, CIRCLE, RANDOM = USES = ("once", "circle", "random")


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Which file, and how its rows are dealt to holders."""

    file: str
    """On the control node."""
    use: str = ONCE
    """``once``: each row at most once over the fleet; ``circle``: from the first again after the last; ``random``."""
    secret: tuple[str, ...] = ()
    """Columns whose values are kept out of what is told of failures."""


def read_data(reader: VariableReader) -> DataSettings | None:
    """The settings; None when there is no file. What is wrong is left with the reader."""
    found: Mapping[str, Any] = reader.read("data")
    if not found:
        return None
    check_keys(reader, VARIABLE, found, {"file", "use", "secret"})
    told = len(reader.problems)
    file = line(reader, f"{VARIABLE}.file", found.get("file"))
    if len(reader.problems) == told and not file.endswith(ENDINGS):
        reader.complain(
            f"{VARIABLE}.file is {shown(found.get('file'))}; it must be the path of a file that ends in "
            f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        )
    secret = found.get("secret") or []
    if not isinstance(secret, list | tuple) or not all(isinstance(name, str) for name in secret):
        reader.complain(f"{VARIABLE}.secret is {shown(secret)}; it must be a list of columns, such as [password]")
        secret = []
    use = choice(reader, f"{VARIABLE}.use", found.get("use", ONCE), USES)
    return DataSettings(file, use, tuple(secret))
