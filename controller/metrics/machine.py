"""What the kernel says of this machine: time stolen by its hypervisor, tasks that want a core, sockets, and segments
of TCP that had to be sent again; and of a process: how long it waited for a core. What it does not say is None."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class MachineSample:
    """Since the sample before, or at this moment."""

    steal: float | None = None
    """Cores that this machine wanted and its hypervisor gave to others."""
    running: int | None = None
    """Tasks that have a core or wait for one, at this moment."""
    sockets: int | None = None
    """Of TCP, at this moment."""
    resent: float | None = None
    """Share of TCP's segments that were sent again."""


class Machine:
    """Takes samples; ``proc`` is where the kernel's files are."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._before: dict[str, float] = {}
        self.sample()

    def sample(self) -> MachineSample:
        """What can be known now."""
        stat, snmp = self._stat(), self._snmp()
        steal, all_time = self._grown("steal", stat.get("steal")), self._grown("time", stat.get("time"))
        sent, resent = (self._grown(name, snmp.get(name)) for name in ("OutSegs", "RetransSegs"))
        running = stat.get("procs_running")
        return MachineSample(
            steal=steal / all_time * (os.cpu_count() or 1) if steal is not None and all_time else None,
            running=None if running is None else int(running),
            sockets=self._sockets(),
            resent=resent / sent if resent is not None and sent else None,
        )

    def _grown(self, name: str, now: float | None) -> float | None:
        """By how much a counter has grown since the sample before."""
        if now is None:
            return None
        before, self._before[name] = self._before.get(name, now), now
        return max(0.0, now - before)

    def _stat(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for line in self._lines("stat"):
            name, *values = line.split()
            if name == "cpu" and len(values) >= 8:
                found["time"] = sum(map(float, values[:8]))
                found["steal"] = float(values[7])
            elif name == "procs_running":
                found[name] = float(values[0])
        return found

    def _snmp(self) -> dict[str, float]:
        rows = [line.split()[1:] for line in self._lines("net/snmp") if line.startswith("Tcp:")]
        return dict(zip(rows[0], map(float, rows[1]), strict=True)) if len(rows) == 2 else {}

    def _sockets(self) -> int | None:
        counts = [
            int(line.split()[2])
            for file in ("net/sockstat", "net/sockstat6")
            for line in self._lines(file)
            if line.startswith(("TCP: inuse", "TCP6: inuse"))
        ]
        return sum(counts) if counts else None

    def _lines(self, file: str) -> list[str]:
        try:
            return (self._proc / file).read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):
            return []


class CpuWait:
    """How long a process's threads were ready to run and had no core: all are busy, those that it may use are, or the
    quota of its cgroup is used up.

    https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
    """

    def __init__(self, pid: int, proc: Path = PROC) -> None:
        self._threads = proc / str(pid) / "task"
        self._before: dict[str, float] | None = None
        self._at = 0.0

    def sample(self) -> float | None:
        """Since the sample before, in cores: how many threads waited, on average. None for the first."""
        at, now = time.monotonic(), self._waited()
        before, self._before = self._before, now
        since, self._at = at - self._at, at
        if before is None or not now or since <= 0:
            return None
        return sum(max(0.0, waited - before.get(thread, 0.0)) for thread, waited in now.items()) / since

    def _waited(self) -> dict[str, float]:
        """Seconds, by thread; of those that have run, for a kernel that does not count says 0 of all."""
        found = {}
        with contextlib.suppress(OSError):
            for thread in self._threads.iterdir():
                with contextlib.suppress(OSError, ValueError):
                    ran, waited, *_ = map(int, (thread / "schedstat").read_bytes().split())
                    if ran:
                        found[thread.name] = waited / NANOSECONDS
        return found
