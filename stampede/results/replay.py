"""``stampede replay``: pushes the collected journals of a run to InfluxDB, all of them or what is missing there.

The points are those that were pushed while the run went on, with the same times, so that nothing is there twice
however often they are pushed.
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
from typing import Any

from stampede.influxdb.client import complaint, connect, describe
from stampede.influxdb.delivery import MOST_LINES, Delivery, pause
from stampede.results import folder as results_folder
from stampede.results.errors import ReportError
from stampede.schema.errors import BadInput
from stampede.schema.settings import Influxdb

TELL_EVERY = 5.0
"""Seconds between two lines of progress."""
PATIENCE = 60.0
"""Seconds for which a server that does not answer, or not well, is tried again."""
ENVIRONMENT = {"influxdb_password": "STAMPEDE_INFLUXDB_PASSWORD", "influxdb_token": "STAMPEDE_INFLUXDB_TOKEN"}
"""Where the command finds password or token."""
OPTIONS = ("url", "database", "user", "org", "bucket", "ca_file")

type Tell = Callable[[str], None]


@dataclass
class NotPushed(Exception):
    """The journals are not, or not all, in InfluxDB now; the sentence says why."""

    sentence: str


class Replay:
    """One run's journals on their way to a server. Raises BadInput when there are none."""

    def __init__(self, results: Path, given: dict[str, Any]) -> None:
        """``given``: ``stampede_influxdb_*`` variables. Without a URL the run's own stand in for what is missing."""
        try:
            found = results_folder.find(results)
        except ReportError as error:
            raise BadInput(str(error)) from error
        self.journals = {host.name: host.journal for host in found.hosts if host.journal}
        if not self.journals:
            raise BadInput(f"The results folder {results} holds no journal: there is nothing to push.")
        recorded = found.run.get("settings")
        names = [f"stampede_influxdb_{option}" for option in OPTIONS]
        own = {}
        if isinstance(recorded, dict) and not given.get("stampede_influxdb_url"):
            own = {name: recorded[name] for name in names if name in recorded}
        self.target = Influxdb.from_variables(dict.fromkeys(names, "") | own | given)

    def forecast(self) -> str:
        """What would be pushed. Raises NotPushed when a journal cannot be read."""
        counts = {name: sum(batch.count(b"\n") for batch, _ in batches(path)) for name, path in self.journals.items()}
        hosts = "\n".join(f"  {name}: {count:,} points" for name, count in counts.items())
        return f"{sum(counts.values()):,} points would be pushed to {describe(self.target)}:\n{hosts}"

    def push(self, secret: str, tell: Tell, wait: Callable[[float], None] = time.sleep) -> str:
        """Push all; returns a sentence about it. Raises NotPushed."""
        server = connect(self.target, secret)
        began = told = time.monotonic()
        points = rejected = 0
        first_rejected = ""
        for name, path in self.journals.items():
            for batch, share in batches(path):
                delivery = Delivery(server, batch)
                self._deliver(delivery, tell, wait)
                points += delivery.points
                rejected += delivery.rejected
                first_rejected = first_rejected or delivery.first_rejected
                if time.monotonic() - told >= TELL_EVERY:
                    told = time.monotonic()
                    tell(f"{name}: {share:.0%} of its journal; {points:,} points in all")
        if rejected:
            raise NotPushed(
                f"{points:,} points are pushed, but {describe(self.target)} rejected {rejected:,}, "
                f"the first with {first_rejected}"
            )
        hosts = f"{len(self.journals)} host{'s' if len(self.journals) > 1 else ''}"
        return f"{points:,} points of {hosts} are in {describe(self.target)} ({time.monotonic() - began:.1f} s)."

    def _deliver(self, delivery: Delivery, tell: Tell, wait: Callable[[float], None]) -> None:
        chance = random.Random()
        failures, patience = 0, PATIENCE
        while answer := delivery.go_on():
            seconds = pause(answer, failures, chance)
            if not answer.passing or seconds > patience:
                raise NotPushed(f"{complaint(self.target, answer)}. What is pushed already can be pushed again.")
            if not failures:
                tell(f"{complaint(self.target, answer)}; it is tried again for {PATIENCE:g} s")
            wait(seconds)
            failures, patience = failures + 1, patience - seconds


def given_server(variables: Mapping[str, Any], repository: Path) -> dict[str, str]:
    """The ``stampede_influxdb_*`` variables of a server that is named; nothing when the run's own is meant.

    CA files may be given relative to the repository.
    """
    given = {name: str(variables[name]) for name in (f"stampede_influxdb_{option}" for option in OPTIONS)}
    if ca_file := given["stampede_influxdb_ca_file"] or str(variables["stampede_ca_file"]):
        given["stampede_influxdb_ca_file"] = str(repository / Path(ca_file).expanduser())
    return given if given["stampede_influxdb_url"] else {}


def secret_of(target: Influxdb, secrets: Mapping[str, Any]) -> str:
    """The password or token that the server asks for; empty when it asks for none. Raises BadInput."""
    if target.secret and not secrets.get(target.secret):
        raise BadInput(f"stampede_secrets has no {target.secret}, which the InfluxDB asks for; put it there")
    return str(secrets[target.secret]).strip() if target.secret else ""


def batches(path: Path) -> Iterator[tuple[bytes, float]]:
    """A journal's whole lines, in batches, and what share of the file is read with each. Raises NotPushed.

    What a torn journal, or a damaged archive, has no whole line of is passed over, as in the report.
    """
    try:
        with path.open("rb") as raw:
            size = max(1, path.stat().st_size)
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            lines = iter(gzip.GzipFile(fileobj=raw) if packed else raw)
            while batch := b"".join(_whole(islice(lines, MOST_LINES))):
                yield batch, raw.tell() / size
    except OSError as error:
        raise NotPushed(f"The journal {path} cannot be read: {error.strerror or error}") from error


def _whole(lines: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from (line for line in lines if line.endswith(b"\n"))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return


def main(arguments: argparse.Namespace) -> int:
    """The verb; returns its exit code."""
    given = {f"stampede_influxdb_{option}": getattr(arguments, option) for option in OPTIONS}
    try:
        replay = Replay(arguments.results, {name: value for name, value in given.items() if value is not None})
        if arguments.dry_run:
            print(replay.forecast())
            return 0
        print(replay.push(_secret(replay.target), lambda line: print(line, flush=True)))
    except BadInput as error:
        print(f"stampede replay: {error}", file=sys.stderr)
        return 2
    except NotPushed as error:
        print(f"stampede replay: {error.sentence}", file=sys.stderr)
        return 1
    return 0


def _secret(target: Influxdb) -> str:
    if not target.secret:
        return ""
    name = ENVIRONMENT[target.secret]
    secret = os.environ.get(name, "").strip()
    if not secret:
        raise BadInput(f"the environment variable {name} is not set; it must hold the {target.secret}")
    return secret
