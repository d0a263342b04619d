"""steps.csv.gz: every step of every host as a row, for further analysis.

Rows are written in batches, so that a million of them take little memory and a few seconds.
"""

import csv
import gzip
import io
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from stampede.analysis.load_window import SECOND
from stampede.results.journal_columns import OUTCOMES, JournalColumns

COLUMNS = (
    "time",
    "epoch_ns",
    "host",
    "step",
    "outcome",
    "error",
    "service",
    "service_time",
    "response_time",
    "holder",
    "iteration",
    "attempt",
    "script",
    "group",
)
BATCH = 20_000  # rows
FORMULA = ("=", "+", "-", "@", "\t", "\r")
FAST = 1  # zlib's level: higher ones take three times as long and save a sixth


def write(journal: JournalColumns, path: Path) -> None:
    """Write steps to `path`, host by host in the order of their journals. The file appears complete or not at all.

    `time` and `epoch_ns` are the step's end, times are seconds with the digits of the journal. Raises OSError.
    """
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file, gzip.GzipFile(path.stem, "wb", FAST, file, mtime=0) as packed:
        packed.write((",".join(COLUMNS) + "\r\n").encode())
        for rows in itertools.batched(_rows(journal), BATCH, strict=False):
            packed.write("".join(rows).encode(errors="replace"))
    part.chmod(0o644)
    part.replace(path)


def _rows(journal: JournalColumns) -> Iterator[str]:
    steps = journal.steps
    hosts, names, services, scripts, groups = (
        _quoted(names.list)
        for names in (journal.hosts, journal.step_names, journal.services, journal.scripts, journal.groups)
    )
    errors = [*_quoted(journal.errors.list), ""]  # -1, for none, is the last of them
    seconds: dict[int, str] = {}
    columns = zip(
        steps.end,
        steps.host,
        steps.step,
        steps.outcome,
        steps.error,
        steps.service,
        steps.service_time,
        steps.response_time,
        steps.holder,
        steps.iteration,
        steps.attempt,
        steps.script,
        steps.group,
        strict=True,
    )
    for (
        end,
        host,
        step,
        outcome,
        error,
        service,
        service_time,
        response_time,
        holder,
        iteration,
        attempt,
        script,
        group,
    ) in columns:
        second, rest = divmod(end, SECOND)
        clock = seconds.get(second)
        if clock is None:
            clock = seconds[second] = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
        yield (
            f"{clock}.{rest:09}Z,{end},{hosts[host]},{names[step]},{OUTCOMES[outcome]},{errors[error]},"
            f"{services[service]},{service_time!r},{response_time!r},{holder},{iteration},{attempt},{scripts[script]},{groups[group]}\r\n"
        )


def _quoted(names: list[str]) -> list[str]:
    """The names, quoted where CSV requires it. One that a spreadsheet would take for a formula gets an apostrophe."""
    return [_as_csv(f"'{name}" if name.startswith(FORMULA) else name) for name in names]


def _as_csv(name: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([name])
    return text.getvalue() if name else ""
