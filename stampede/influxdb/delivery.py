"""Delivers a batch of lines to InfluxDB."""

from __future__ import annotations

import random

from stampede.influxdb.client import Response, Server

MAX_LINES = 5000
"""Lines per batch."""
FIRST_RETRY, LAST_RETRY = 0.5, 30.0
"""Bounds in seconds of the delay between attempts, which about doubles each time."""
TOO_LARGE = 413
UNPARSABLE = frozenset({400, 422})
"""Status codes about the content that was sent, not about the server, the user or the database."""
MAX_SEARCHED = 100
"""Rejected lines of a batch that are located individually; with more of them, the problem is not in the lines."""


class Delivery:
    """Delivers a batch, in parts if the server does not accept it as a whole, and counts the lines it rejects.

    Delivering lines that the server already has is harmless: they are the same points.
    """

    def __init__(self, server: Server, batch: bytes) -> None:
        self.points = 0
        self.rejected = 0
        self.first_rejected = ""
        """The server's error message about the first rejected lines."""
        self.too_large = False
        """Whether the batch had to be divided because of its size."""
        self._server = server
        self._parts = [batch]

    def resume(self) -> Response | None:
        """Deliver what is left. Returns None if every line was delivered or rejected, else why to retry later."""
        while self._parts:
            part = self._parts.pop()
            lines = part.count(b"\n")
            answer = self._server.write(part)
            if answer.ok:
                self.points += lines
            elif answer.status == TOO_LARGE or answer.status in UNPARSABLE:
                self.too_large |= answer.status == TOO_LARGE
                give_up = answer.status in UNPARSABLE and self.rejected >= MAX_SEARCHED
                halves = () if give_up or _dropped_all(answer, lines) else _halved(part)
                self._parts += reversed(halves)
                if not halves:
                    self._reject(max(1, lines), answer)
            else:
                self._parts.append(part)
                return answer
        return None

    def lacking(self, before: str) -> str:
        """Why InfluxDB does not have every line up to here; ``before``: up to this batch."""
        return before or self.first_rejected

    def _reject(self, lines: int, answer: Response) -> None:
        self.rejected += lines
        self.first_rejected = self.first_rejected or f"{answer.status}: {answer.excerpt}"


def retry_delay(answer: Response, failures: int, chance: random.Random) -> float:
    """Seconds until the next attempt after this response; ``failures`` is the number of failed attempts before it."""
    if answer.retry_after:
        return answer.retry_after
    if not answer.temporary:
        return LAST_RETRY
    return min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(failures, 10)) * chance.uniform(0.5, 1.0)


def _dropped_all(answer: Response, lines: int) -> bool:
    """Whether the server parsed all lines and dropped all of them, as it does with those beyond its retention policy.

    If it accepted some, its count is unreliable: it covers only one kind of error.
    """
    return "partial write" in answer.message and answer.message.endswith(f"dropped={lines}")


def _halved(part: bytes) -> tuple[bytes, ...]:
    """Two parts of about the same size, split at a line boundary; none if there is a single line."""
    middle = len(part) // 2
    cut = part.rfind(b"\n", 0, middle) + 1 or part.find(b"\n", middle) + 1
    return (part[:cut], part[cut:]) if 0 < cut < len(part) else ()
