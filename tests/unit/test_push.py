"""The push: what comes out of the journal goes to the server, whatever the server says meanwhile."""

from __future__ import annotations

import json
import os
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controller.metrics.journal_tail import MAX_BYTES, JournalTail
from controller.metrics.push import EndOfJournal, Pusher, read_progress, write_progress
from stampede.influxdb.client import Response
from stampede.influxdb.delivery import LAST_RETRY, MAX_LINES, Delivery, retry_delay
from stampede.schema.push_progress import PushProgress


def lines(*numbers: int) -> bytes:
    return b"".join(b"step,step=s n=%di %d\n" % (number, number) for number in numbers)


class Strict:
    """A server with a limit for the size of a body, and a list of lines that it does not understand."""

    def __init__(self, limit: int = 10**9, bad: tuple[bytes, ...] = ()) -> None:
        self.taken: list[bytes] = []
        self.requests = 0
        self.troubles: list[Response] = []
        """What it answers first, in this order, whatever it is sent."""
        self._limit = limit
        self._bad = bad

    def write(self, body: bytes) -> Response:
        self.requests += 1
        if self.troubles:
            return self.troubles.pop(0)
        if len(body) > self._limit:
            return Response(413, "Request Entity Too Large")
        found = [line for line in self._bad if line in body]
        if found:
            return Response(400, f"unable to parse '{found[0].decode()}': missing fields")
        self.taken += body.splitlines(keepends=True)
        return Response(204)


class Waits:
    """An ``EndOfJournal`` without a clock: notes what is waited for. ``end_at`` and ``late_at`` count these waits."""

    def __init__(self, end_at: int = 0, late_at: int = 10**9) -> None:
        self.waited: list[float] = []
        self._end_at = end_at
        self._late_at = late_at

    @property
    def reached(self) -> bool:
        return len(self.waited) >= self._end_at

    @property
    def expired(self) -> bool:
        return len(self.waited) >= self._late_at

    def wait(self, seconds: float) -> None:
        if seconds:
            self.waited.append(seconds)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    file = tmp_path / "journal.lp"
    file.touch()
    return file


BEGINNING = PushProgress(server="s")


def pusher(journal: Path, server: Strict, ending: Any, progress: PushProgress = BEGINNING) -> Pusher:
    return Pusher(
        JournalTail(journal, progress.offset),
        partial(Delivery, server),
        ending,
        progress,
        describe_failure=lambda answer: f"answered {answer.status}",
        save=partial(write_progress, journal.parent),
        rng=random.Random(1),
    )


def test_a_torn_line_is_left_until_it_is_whole(journal: Path) -> None:
    tail = JournalTail(journal)
    assert tail.batch(10) == b""
    journal.write_bytes(lines(1, 2) + b"step,step=s n=3")
    batch = tail.batch(10)
    assert batch == lines(1, 2)
    tail.advance(batch)
    assert tail.batch(10) == b"" and tail.behind == len(b"step,step=s n=3")
    journal.write_bytes(lines(1, 2) + lines(4))  # the disk was full: the half was cut off, another record came
    assert tail.batch(10) == lines(4)


def test_batches_are_of_so_many_lines(journal: Path) -> None:
    journal.write_bytes(lines(*range(25)))
    tail, sizes = JournalTail(journal), []
    while batch := tail.batch(10):
        tail.advance(batch)
        sizes.append(batch.count(b"\n"))
    assert sizes == [10, 10, 5] and tail.behind == 0


def test_what_is_no_journal_ends_too(journal: Path) -> None:
    journal.write_bytes(b"\0" * (MAX_BYTES + 10) + b"\n" + lines(1))
    server = Strict(bad=(b"\0",))
    assert not pusher(journal, server, Waits()).run()
    progress = read_progress(journal.parent)
    assert server.taken == [lines(1)] and progress.rejected == 2 and progress.behind == 0


def test_a_batch_too_large_is_halved_until_it_is_taken() -> None:
    server = Strict(limit=200)
    delivery = Delivery(server, lines(*range(100)))
    assert delivery.resume() is None
    assert b"".join(server.taken) == lines(*range(100))
    assert delivery.points == 100 and delivery.rejected == 0 and delivery.too_large


def test_a_line_too_large_is_rejected_and_those_around_it_are_not() -> None:
    long = b'step,step=s text="%s" 2\n' % (b"x" * 300)
    server = Strict(limit=200)
    delivery = Delivery(server, lines(1) + long + lines(3))
    assert delivery.resume() is None
    assert b"".join(server.taken) == lines(1, 3)
    assert delivery.points == 2 and delivery.rejected == 1 and delivery.first_rejected.startswith("413")


def test_lines_that_are_not_understood_are_found_among_the_others() -> None:
    server = Strict(bad=(b"n=7i", b"n=4242i"))
    delivery = Delivery(server, lines(*range(MAX_LINES)))
    assert delivery.resume() is None
    assert delivery.points == MAX_LINES - 2 and delivery.rejected == 2
    assert b"".join(server.taken) == lines(*(number for number in range(MAX_LINES) if number not in (7, 4242)))
    assert server.requests < 60
    assert delivery.first_rejected.startswith("400: unable to parse 'n=7i'")


def test_a_batch_of_which_all_is_dropped_is_not_searched() -> None:
    server = Strict()
    server.troubles = [Response(400, "partial write: points beyond retention policy dropped=50")]
    delivery = Delivery(server, lines(*range(50)))
    assert delivery.resume() is None
    assert server.requests == 1 and delivery.rejected == 50 and delivery.points == 0


def test_a_server_that_understands_nothing_is_not_asked_for_each_line() -> None:
    server = Strict(bad=(b"step",))
    delivery = Delivery(server, lines(*range(MAX_LINES)))
    assert delivery.resume() is None
    assert delivery.rejected == MAX_LINES and delivery.points == 0
    assert server.requests < 300


def test_what_is_left_of_a_batch_is_kept_for_later() -> None:
    server = Strict(limit=200)
    delivery = Delivery(server, lines(*range(20)))
    server.troubles = [Response(413), Response(503, "busy")]
    assert delivery.resume() == Response(503, "busy")
    assert delivery.resume() is None
    assert b"".join(server.taken) == lines(*range(20)) and delivery.points == 20


def test_pauses_grow_up_to_a_limit_and_obey_the_server() -> None:
    chance = random.Random(1)
    pauses = [retry_delay(Response(0), failures, chance) for failures in range(2000)]
    assert 0.25 <= pauses[0] <= 0.5 and 1 <= pauses[2] <= 2
    assert all(LAST_RETRY / 2 <= seconds <= LAST_RETRY for seconds in pauses[6:])
    assert len(set(pauses[6:])) > 1000, "with jitter"
    assert retry_delay(Response(503, retry_after=77), 0, chance) == 77
    assert retry_delay(Response(429), 0, chance) <= 0.5
    assert {retry_delay(Response(status), 0, chance) for status in (401, 403, 404, 302)} == {LAST_RETRY}


def test_an_outage_is_waited_out(journal: Path) -> None:
    journal.write_bytes(lines(1, 2, 3))
    server, waits = Strict(), Waits()
    server.troubles = [Response(0, "Connection refused")] * 200
    assert pusher(journal, server, waits).run()
    assert len(waits.waited) == 200 and max(waits.waited) <= LAST_RETRY
    assert b"".join(server.taken) == lines(1, 2, 3)
    said = json.loads(journal.with_name("push.json").read_text())
    assert (said["points"], said["complete"], said["error"], said["error_since"]) == (3, True, "", None)


def test_when_time_is_over_what_is_missing_is_told(journal: Path) -> None:
    journal.write_bytes(lines(1, 2, 3))
    server = Strict()
    server.troubles = [Response(401)] * 5
    assert not pusher(journal, server, Waits(late_at=3)).run()
    said = json.loads(journal.with_name("push.json").read_text())
    assert said["error"] == "answered 401" and said["error_since"] and not said["complete"]
    assert said["behind"] == len(lines(1, 2, 3)) and server.taken == []


def test_a_pusher_goes_on_where_the_one_before_stood(journal: Path) -> None:
    journal.write_bytes(lines(1, 2))
    assert pusher(journal, Strict(), Waits(), read_progress(journal.parent)).run()
    journal.write_bytes(lines(1, 2, 3))
    server = Strict()
    assert pusher(journal, server, Waits(), read_progress(journal.parent)).run()
    assert server.taken == [lines(3)] and read_progress(journal.parent).points == 3


def test_smaller_batches_after_one_too_large(journal: Path) -> None:
    count = 4 * MAX_LINES
    journal.write_bytes(lines(*range(count)))
    server = Strict(limit=len(lines(*range(MAX_LINES // 2))) - 1)
    assert pusher(journal, server, Waits()).run()
    assert read_progress(journal.parent).points == count and b"".join(server.taken) == lines(*range(count))


def test_the_end_of_a_pipe_is_the_word_that_the_journal_has_ended() -> None:
    reading, writing = os.pipe()
    ending = EndOfJournal(reading, flush=0.0)
    ending.wait(0)
    assert not ending.reached and not ending.expired
    os.close(writing)
    ending.wait(1000)  # comes back at once
    assert ending.reached and ending.expired
    os.close(reading)
