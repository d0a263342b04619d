"""One batch of lines on its way to InfluxDB."""

from __future__ import annotations

import random

from stampede.influxdb.client import Answer, Server

MOST_LINES = 5000
"""Of a batch."""
FIRST_RETRY, LAST_RETRY = 0.5, 30.0
"""Seconds between attempts; each takes about twice as long as the one before."""
TOO_LARGE = 413
NOT_UNDERSTOOD = frozenset({400, 422})
"""Answers about what was sent, and not about the server, the user or the database."""
MOST_SOUGHT = 100
"""Lines of a batch that are looked for because they are not understood; where there are more, it is not the lines."""


class Delivery:
    """Brings a batch to the server, in parts where it does not take it whole; what it never takes is counted.

    To bring lines that the server has already changes nothing there: they are the same points.
    """

    def __init__(self, server: Server, batch: bytes) -> None:
        self.points = 0
        self.rejected = 0
        self.first_rejected = ""
        """What the server said of the first lines that it rejected."""
        self.too_large = False
        """Whether the batch had to be parted because of its size."""
        self._server = server
        self._parts = [batch]

    def go_on(self) -> Answer | None:
        """None: all of it is delivered, or rejected for good. Else why not, now: try again later."""
        while self._parts:
            part = self._parts.pop()
            lines = part.count(b"\n")
            answer = self._server.write(part)
            if answer.ok:
                self.points += lines
            elif answer.status == TOO_LARGE or answer.status in NOT_UNDERSTOOD:
                self.too_large |= answer.status == TOO_LARGE
                in_vain = answer.status in NOT_UNDERSTOOD and self.rejected >= MOST_SOUGHT
                halves = () if in_vain or _dropped_all(answer, lines) else _halved(part)
                self._parts += reversed(halves)
                if not halves:
                    self._reject(max(1, lines), answer)
            else:
                self._parts.append(part)
                return answer
        return None

    def _reject(self, lines: int, answer: Answer) -> None:
        self.rejected += lines
        self.first_rejected = self.first_rejected or f"{answer.status}: {answer.in_short}"


def pause(answer: Answer, failures: int, chance: random.Random) -> float:
    """Seconds until the next attempt after that answer; ``failures``: how many attempts failed before it."""
    if answer.retry_after:
        return answer.retry_after
    if not answer.passing:
        return LAST_RETRY
    return min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(failures, 10)) * chance.uniform(0.5, 1.0)


def _dropped_all(answer: Answer, lines: int) -> bool:
    """Whether the server says that it understood all and took none, as it does of what is older than it keeps.

    Where it took some, its count is not to be relied on: it tells one kind of fault.
    """
    return "partial write" in answer.words and answer.words.endswith(f"dropped={lines}")


def _halved(part: bytes) -> tuple[bytes, ...]:
    """Two parts of about the same size, each of whole lines; none when it is a single line."""
    middle = len(part) // 2
    cut = part.rfind(b"\n", 0, middle) + 1 or part.find(b"\n", middle) + 1
    return (part[:cut], part[cut:]) if 0 < cut < len(part) else ()
