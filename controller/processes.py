"""Processes of this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


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


@contextmanager
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
