"""A process that does what is not to be trusted: bounded in time and memory, ended with all that it started."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

MEMORY = 2 << 30
"""Bytes of address space."""
LARGEST_ANSWER = 1 << 20
START = 30.0
"""Seconds that a process may take to start, on a machine that has much else to do."""
_KEPT = (
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "PATH",
    "PYTHONPATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
)
"""What of the environment it gets; a load host's controller has no more, and none of it is a secret."""


class NoAnswer(Exception):
    """The process gave no answer; the message says how it ended, as the end of a sentence."""


def answer_of(
    argv: Sequence[str], question: str, seconds: float, stays: Callable[[str], bool] = lambda answer: False
) -> str:
    """What ``argv`` answers at the file descriptor that is its last argument, with ``question`` as its input: first
    an empty line, as a sign that it has started, then a line with the answer.

    It has a session of its own, which is killed when it has answered, or ``seconds`` after it has started; but not
    when it ``stays`` by its answer. What it prints is lost. Raises NoAnswer.
    """
    left = False
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile() as asked, os.fdopen(read_end, "rb", buffering=0) as answers:
        asked.write(question.encode())
        asked.seek(0)
        try:
            process = subprocess.Popen(
                [*argv, str(write_end)],
                stdin=asked,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[write_end],
                start_new_session=True,
                env=_environment(),
            )
        finally:
            os.close(write_end)
        try:
            _limit(process.pid, START + seconds)
            if _line_from(answers.fileno(), START) is None:
                raise NoAnswer(f"had not begun after {START:g} s")
            line = _line_from(answers.fileno(), seconds)
            if line is None:
                raise NoAnswer(f"was not over after {seconds:g} s")
            if not line.endswith(b"\n"):
                raise NoAnswer(_how_it_ended(process.pid))
            answer = line.decode(errors="replace")
            left = stays(answer)
            return answer
        finally:
            if not left:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}


def _limit(pid: int, seconds: float) -> None:
    """Bound its memory, and its CPU time, for the case that nobody is left to end it."""
    if not hasattr(resource, "prlimit"):  # Linux has it
        return
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        limit = int(seconds)
        resource.prlimit(pid, resource.RLIMIT_CPU, (limit, limit))


def _line_from(descriptor: int, seconds: float) -> bytes | None:
    """What is read up to the first end of a line, or to the end; None when neither came in time."""
    found, deadline = b"", time.monotonic() + seconds
    while not found.endswith(b"\n") and len(found) < LARGEST_ANSWER:
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return None
        more = os.read(descriptor, 65536 if found else 1)
        if not more:
            break
        found += more
    return found


def _how_it_ended(pid: int) -> str:
    """The end of a process that has closed its answers, which is left to be waited for."""
    for _ in range(20):
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended and ended.si_code == os.CLD_EXITED:
            return f"ended with the exit code {ended.si_status}"
        if ended:
            return f"was killed by {signal.Signals(ended.si_status).name}"
        time.sleep(0.05)
    return "gave no answer"
