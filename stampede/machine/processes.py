"""Processes of this machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
NICE = 5
"""With it the schedule lag's p99, on cores that the agents keep busy, was 5 to 15 ms; without, 20 to 50 ms."""


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux, prctl(2))."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent == 1 or os.getppid() != parent:
        sys.exit("the controller is gone")


def give_way() -> None:
    """Take a lower priority than the controller's, which takes the times and needs little of the CPU.

    Where Linux schedules by session (autogroups, sched(7)), a process's own niceness counts within its session
    only, and the session has one too.
    """
    os.nice(NICE)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICE), encoding="ascii")


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Interrupted(BaseException):
    """The worker is to end, by this signal."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextlib.contextmanager
def cleaning_up_when_interrupted() -> Iterator[None]:
    """Let a signal that ends this worker unwind it first, so that nothing half done is left here nor on the host."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupt(number: int, frame: object) -> None:
        for each in former:  # ansible-playbook sends its workers the one, and the other at once after it
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    for number in former:
        signal.signal(number, interrupt)
    interrupted = 0
    try:
        yield
    except Interrupted as interruption:
        interrupted = interruption.number
        raise
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if interrupted:
            os.kill(os.getpid(), interrupted)
