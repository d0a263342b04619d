"""``stampede replay``: pushes the collected journals of a run to InfluxDB.

The points are those of the run, with their original timestamps, so that pushing them again duplicates nothing.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from stampede import wording
from stampede.influxdb.client import connect, describe, failure_message
from stampede.influxdb.delivery import MAX_LINES, Delivery, retry_delay
from stampede.machine.files import user_path
from stampede.results import folder as results_folder
from stampede.results.errors import ReportError
from stampede.schema import line_protocol
from stampede.schema.errors import BadInput
from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.secret_settings import read_secrets

TELL_EVERY = 5.0
"""Seconds between two lines of progress."""
MOST_SERIES = 10_000
"""Series of a journal that are remembered, so as not to be parsed again."""
PATIENCE = 60.0
"""Seconds for which a failing server is retried."""
ENVIRONMENT = {"influxdb_password": "STAMPEDE_INFLUXDB_PASSWORD", "influxdb_token": "STAMPEDE_INFLUXDB_TOKEN"}
"""Environment variables with the password or the token."""
OPTIONS = ("url", "database", "user", "org", "bucket", "ca_file")

type Tell = Callable[[str], None]


@dataclass
class NotPushed(Exception):
    """Not all points are in InfluxDB; the sentence says why."""

    sentence: str


class Replay:
    """Pushes the journals of one run to a server. Raises BadInput if there are none."""

    def __init__(self, results: Path, given: dict[str, Any]) -> None:
        """``given``: ``stampede_influxdb_*`` variables. Without a URL, the run's settings fill the gaps."""
        try:
            found = results_folder.find(results)
        except ReportError as error:
            raise BadInput(str(error)) from error
        self.journals = {host.name: host.journal for host in found.hosts if host.journal}
        # The folder of a single host may have any name.
        self._owners = {
            host.name: Owner(host.record.host if host.journal.parent == results else host.name, found.run.run_id)
            for host in found.hosts
            if host.journal
        }
        if not self.journals:
            raise BadInput(f"The results folder {results} contains no journal: there is nothing to push.")
        recorded = found.run.settings
        names = [f"stampede_influxdb_{option}" for option in OPTIONS]
        own = {}
        if not given.get("stampede_influxdb_url"):
            own = {name: recorded[name] for name in names if name in recorded}
        self.target = Influxdb.from_variables(dict.fromkeys(names, "") | own | given)

    def forecast(self) -> str:
        """What would be pushed, as text. Raises NotPushed if a journal cannot be read."""
        counts = {name: sum(batch.count(b"\n") for batch, _ in batches(path)) for name, path in self.journals.items()}
        hosts = "\n".join(f"  {name}: {count:,} points" for name, count in counts.items())
        return f"{sum(counts.values()):,} points would be pushed to {describe(self.target)}:\n{hosts}"

    def push(self, secret: str, tell: Tell, wait: Callable[[float], None] = time.sleep) -> str:
        """Push everything; returns a sentence about the result. Raises NotPushed."""
        server = connect(self.target, secret)
        began = told = time.monotonic()
        points = rejected = foreign = 0
        first_rejected = ""
        for name, path in self.journals.items():
            owner = self._owners[name]
            for batch, share in batches(path):
                own = owner.own(batch)
                foreign += batch.count(b"\n") - own.count(b"\n")
                if not own:
                    continue
                delivery = Delivery(server, own)
                self._deliver(delivery, tell, wait)
                points += delivery.points
                rejected += delivery.rejected
                first_rejected = first_rejected or delivery.first_rejected
                if time.monotonic() - told >= TELL_EVERY:
                    told = time.monotonic()
                    tell(f"{name}: {share:.0%} of its journal; {points:,} points in total")
        if rejected:
            raise NotPushed(
                f"{points:,} points were pushed, but {describe(self.target)} rejected {rejected:,}, "
                f"the first with {first_rejected}"
            )
        if foreign:
            raise NotPushed(
                f"{points:,} points were pushed; {foreign:,} lines were not, because they are in the name of another "
                "host or run than the journal that holds them"
            )
        hosts = f"{len(self.journals)} host{'s' if len(self.journals) > 1 else ''}"
        return f"{points:,} points of {hosts} are in {describe(self.target)} ({time.monotonic() - began:.1f} s)."

    def _deliver(self, delivery: Delivery, tell: Tell, wait: Callable[[float], None]) -> None:
        chance = random.Random()
        failures, patience = 0, PATIENCE
        while answer := delivery.resume():
            seconds = retry_delay(answer, failures, chance)
            if not answer.temporary or seconds > patience:
                raise NotPushed(
                    f"{failure_message(self.target, answer)}. Replaying again later duplicates no points."
                )
            if not failures:
                tell(f"{failure_message(self.target, answer)}; retrying for {PATIENCE:g} s")
            wait(seconds)
            failures, patience = failures + 1, patience - seconds


class Owner:
    """The host whose journal it is: it speaks for itself, and for its run, alone."""

    def __init__(self, host: str, run: str) -> None:
        """Either is empty where it is not known."""
        self._tags = {name: value for name, value in (("host", host), ("run", run)) if value}
        self._known: dict[bytes, bool] = {}

    def own(self, batch: bytes) -> bytes:
        """The lines of a batch that are not in the name of another host or run."""
        lines = batch.split(b"\n")[:-1]
        return b"".join(line + b"\n" for line in lines if self._is_own(line))

    def _is_own(self, line: bytes) -> bool:
        head = line.partition(b" ")[0]
        if head.endswith(b"\\"):  # an escaped space
            return self._names_no_other(line)
        if head not in self._known and len(self._known) < MOST_SERIES:
            self._known[head] = self._names_no_other(line)
        found = self._known.get(head)
        return self._names_no_other(line) if found is None else found

    def _names_no_other(self, line: bytes) -> bool:
        try:
            series, _ = line_protocol.split(line.decode())
            _, tags = line_protocol.decode_series(series)
        except ValueError:
            return False
        return all(
            tags.get(name, value) == value and series.count(f",{name}=") <= 1 for name, value in self._tags.items()
        )


def given_server(variables: Mapping[str, Any], project: Path) -> dict[str, str]:
    """The ``stampede_influxdb_*`` variables of a server that was specified; empty if the run's own is meant.

    CA files can be relative to the project folder.
    """
    given = {name: str(variables[name]) for name in (f"stampede_influxdb_{option}" for option in OPTIONS)}
    if ca_file := given["stampede_influxdb_ca_file"] or str(variables["stampede_ca_file"]):
        given["stampede_influxdb_ca_file"] = str(user_path("stampede_influxdb_ca_file", ca_file, project))
    return given if given["stampede_influxdb_url"] else {}


def secret_of(target: Influxdb, secrets: Mapping[str, Any]) -> str:
    """The password or token for the server; empty if it needs none. Raises BadInput."""
    secret = read_secrets(secrets).get(target.secret, "")
    if target.secret and not secret:
        raise BadInput(f"stampede_secrets has no {target.secret}; it must have one for the InfluxDB")
    return secret


def batches(path: Path) -> Iterator[tuple[bytes, float]]:
    """Batches of a journal's complete lines, each with the share of the file read so far. Raises NotPushed.

    Incomplete lines of a truncated journal or a damaged archive are skipped, as in the report.
    """
    try:
        with path.open("rb") as raw:
            size = max(1, path.stat().st_size)
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            lines = iter(gzip.GzipFile(fileobj=raw) if packed else raw)
            while batch := b"".join(_whole(islice(lines, MAX_LINES))):
                yield batch, raw.tell() / size
    except OSError as error:
        raise NotPushed(f"The journal {path} cannot be read: {error.strerror or error}") from error


def _whole(lines: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from (line for line in lines if line.endswith(b"\n"))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return


def main(arguments: argparse.Namespace) -> int:
    """The subcommand; returns its exit code."""
    given = {f"stampede_influxdb_{option}": getattr(arguments, option) for option in OPTIONS}
    try:
        replay = Replay(arguments.results, {name: value for name, value in given.items() if value is not None})
        if arguments.dry_run:
            tell(replay.forecast())
            return 0
        tell(replay.push(_secret(replay.target), tell))
    except BadInput as error:
        tell(f"stampede replay: {error}", sys.stderr)
        return 2
    except NotPushed as error:
        tell(f"stampede replay: {error.sentence}", sys.stderr)
        return 1
    return 0


def tell(text: str, stream: TextIO | None = None) -> None:
    """Print what servers and journals say, on standard output unless another stream is given."""
    print(wording.printable_lines(text), file=stream, flush=True)


def _secret(target: Influxdb) -> str:
    if not target.secret:
        return ""
    name = ENVIRONMENT[target.secret]
    secret = read_secrets(os.environ).get(name, "")
    if not secret:
        raise BadInput(f"the environment variable {name} is not set; it must hold the {target.secret}")
    return secret
