"""Polls all hosts of a fleet concurrently; no host can delay another."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping

from stampede.fleet.host_view import HostView
from stampede.fleet.snapshot import Refused, Snapshot, Unreachable
from stampede.schema.faults import Fault

HOSTS_PER_SECOND = 25
"""How many hosts of a large fleet are polled each second."""


class HostPoller:
    """Polls each host in a daemon thread of its own.

    A poll over a dead connection may hang for long; a daemon thread does not keep this process from exiting.
    """

    def __init__(
        self, probes: Mapping[str, Callable[[], Snapshot]], views: Mapping[str, HostView], pause: float
    ) -> None:
        """``probes``, by host, take a snapshot or raise Unreachable; ``views``, by host, receive what they return.

        ``pause``: the minimum number of seconds between two polls of the same host.
        """
        self._views = views
        self._results: queue.SimpleQueue[tuple[str, float, Snapshot | Unreachable]] = queue.SimpleQueue()
        self._ended = {name: threading.Event() for name in probes}
        self._pause = max(pause, len(probes) / HOSTS_PER_SECOND)
        # Epoch seconds that neither jump nor advance while this machine sleeps, so that neither loses a host.
        self._zero = time.time() - time.monotonic()
        for name, probe in probes.items():
            threading.Thread(target=self._poll, args=(name, probe), name=f"poll {name}", daemon=True).start()

    def now(self) -> float:
        """Epoch seconds, as ``HostView`` wants them."""
        return self._zero + time.monotonic()

    def _poll(self, name: str, probe: Callable[[], Snapshot]) -> None:
        ended = self._ended[name]
        while not ended.is_set():
            try:
                result: Snapshot | Unreachable = probe()
            except Unreachable as problem:
                result = problem
            except Exception as error:  # otherwise the host would be lost without a reason
                result = Unreachable(f"{type(error).__name__}: {error}")
            self._results.put((name, self.now(), result))
            ended.wait(self._pause)

    def wait(self, limit: float) -> list[Fault]:
        """Process the results of ``limit`` seconds; returns early with the faults that began or ended.

        And without faults when a host has come to another phase.
        """
        deadline = time.monotonic() + limit
        faults: list[Fault] = []
        moved = False
        while not (faults or moved) and (left := deadline - time.monotonic()) > 0:
            try:
                name, at, result = self._results.get(timeout=left)
            except queue.Empty:
                break
            view = self._views[name]
            before = view.phase
            if isinstance(result, Snapshot):
                faults += view.update(result, at)
            else:
                view.poll_failed(str(result), refused=isinstance(result, Refused))
            moved = view.phase != before
            if view.over and not view.lost:
                self._ended[name].set()
        now = self.now()
        for view in self._views.values():
            faults += view.check_absence(now)
        return faults
