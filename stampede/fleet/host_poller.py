"""Looking at all hosts of a fleet at the same time, none of which can hold up the others."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping

from stampede.fleet.host_view import Fault, HostView
from stampede.fleet.snapshot import Look, Refused, Unreachable

HOSTS_PER_SECOND = 25
"""How many hosts of a large fleet are looked at each second."""


class Lookers:
    """A looker for each host, in a daemon thread of its own.

    A look over a dead connection may hang for long. It is a daemon's, so that it does not hold up the end of this
    process either.
    """

    def __init__(self, looks: Mapping[str, Callable[[], Look]], views: Mapping[str, HostView], pause: float) -> None:
        """``looks`` and ``views`` by host; ``pause``: the least seconds between two looks at the same host."""
        self._views = views
        self._seen: queue.SimpleQueue[tuple[str, float, Look | Unreachable]] = queue.SimpleQueue()
        self._enough = {name: threading.Event() for name in looks}
        self._pause = max(pause, len(looks) / HOSTS_PER_SECOND)
        # Epoch seconds that neither jump nor run on while this machine sleeps: no host is lost because of that.
        self._zero = time.time() - time.monotonic()
        for name, look in looks.items():
            threading.Thread(target=self._look, args=(name, look), name=f"look at {name}", daemon=True).start()

    def now(self) -> float:
        """Epoch seconds, as ``HostView`` wants them."""
        return self._zero + time.monotonic()

    def _look(self, name: str, look: Callable[[], Look]) -> None:
        enough = self._enough[name]
        while not enough.is_set():
            try:
                seen: Look | Unreachable = look()
            except Unreachable as problem:
                seen = problem
            except Exception as error:  # else the host would be lost, and nobody told why
                seen = Unreachable(f"{type(error).__name__}: {error}")
            self._seen.put((name, self.now(), seen))
            enough.wait(self._pause)

    def wait(self, limit: float) -> list[Fault]:
        """Take in what is seen within ``limit`` seconds; returns early with the faults that began or ended."""
        deadline = time.monotonic() + limit
        faults: list[Fault] = []
        while not faults and (left := deadline - time.monotonic()) > 0:
            try:
                name, at, seen = self._seen.get(timeout=left)
            except queue.Empty:
                break
            view = self._views[name]
            if isinstance(seen, Look):
                faults += view.saw(seen, at)
            else:
                view.missed(str(seen), refused=isinstance(seen, Refused))
            if view.over and not view.lost:
                self._enough[name].set()
        now = self.now()
        for view in self._views.values():
            faults += view.pass_time(now)
        return faults
