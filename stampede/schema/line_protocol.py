"""InfluxDB line protocol, as the journal holds it.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

from collections.abc import Mapping

type FieldValue = str | bool | int | float


def tag(value: str) -> str:
    """Escape a tag key or value."""
    return (
        value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ").replace("\n", "\\ ")
    )


def field(value: FieldValue) -> str:
    """Write a field value: ``12i``, ``0.25``, ``true`` or ``"text"``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return f"{value:.9g}"
    text = " ".join(value.splitlines()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def line(series: str, fields: Mapping[str, FieldValue], timestamp: int) -> str:
    """One record: ``series`` is the measurement with its tags, ``timestamp`` in nanoseconds."""
    return f"{series} {','.join(f'{key}={field(value)}' for key, value in fields.items())} {timestamp}\n"
