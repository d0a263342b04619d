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
"""While the agents keep all cores busy, the p99 of the schedule lag is 5 to 15 ms with this, 20 to 50 ms without."""


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent exits (Linux, prctl(2))."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent == 1 or os.getppid() != parent:
        sys.exit("the controller is gone")


def lower_priority() -> None:
    """Lower this process's priority below the controller's, which measures and needs little of the CPU.

    Where Linux schedules by session (autogroups, sched(7)), the nice value of a process only counts within its
    session, so that the session's own is set as well.
    """
    os.nice(NICE)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICE), encoding="ascii")


def is_alive(pid: int) -> bool:
    """Whether a process is running; a zombie is not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Interrupted(BaseException):
    """This process was asked to end by a signal."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextlib.contextmanager
def cleaning_up_when_interrupted() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into an exception, so that cleanup code runs, and die of the signal afterwards."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupt(number: int, frame: object) -> None:
        for each in former:  # ansible-playbook sends its workers both, one right after the other
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
