"""What journals hold, and whether an InfluxDB holds the same."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Protocol

import pytest

LINE = re.compile(r"^(\w+),(\S+) (.*) \d+$")


class Server(Protocol):
    """An InfluxDB whose database can be asked."""

    def query(self, words: str) -> list[dict[str, Any]]:
        """See ``rows``."""


def rows(words: str, answer: str) -> list[dict[str, Any]]:
    """All rows of all series that one statement is answered with, by column and tag. Fails with what was said."""
    result = json.loads(answer)["results"][0]
    assert "error" not in result, f"{words}: {result['error']}"
    return [
        series.get("tags", {}) | dict(zip(series["columns"], values, strict=True))
        for series in result.get("series", ())
        for values in series["values"]
    ]


def journal_lines(file: Path) -> list[str]:
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
        return list(lines)


def expected(files: list[Path], measurement: str, field: str, *tags: str) -> dict[tuple[str, ...], tuple[int, float]]:
    """Count and sum of a field in journals, by tags. The sum of what is no number is 0."""
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for file in files:
        for line in journal_lines(file):
            match = LINE.match(line.replace(r"\ ", "_"))
            assert match, line
            if match[1] == measurement:
                known = dict(pair.split("=") for pair in match[2].split(","))
                value = re.search(rf"(?:^|,){field}=([-+.\de]+|\")", match[3])
                assert value, line
                found[tuple(known[tag] for tag in tags)].append(0.0 if value[1] == '"' else float(value[1]))
    return {key: (len(values), sum(values)) for key, values in found.items()}


def has_all_of(server: Server, *files: Path) -> None:
    """Counts are exactly the journals', sums but for the last bits that depend on the order of summing."""
    for measurement, field, tags in (
        ("step", "service_time", ("step", "outcome", "host")),
        ("step", "response_time", ("step", "outcome", "host")),
        ("load", "active", ("host",)),
        ("agent", "cpu", ("agent", "host")),
        ("event", "text", ("kind", "host")),
    ):
        journaled = expected(list(files), measurement, field, *tags)
        figures = f"count({field})" + ("" if field == "text" else f", sum({field})")
        found = {
            tuple(row[tag] for tag in tags): (row["count"], row.get("sum", 0.0))
            for row in server.query(f"SELECT {figures} FROM {measurement} GROUP BY {','.join(tags)}")
        }
        counts, journaled_counts = ({key: count for key, (count, _) in its.items()} for its in (found, journaled))
        assert counts == journaled_counts, measurement
        for key, (_, total) in journaled.items():
            assert found[key][1] == pytest.approx(total, rel=1e-9), (measurement, field, key)
