"""fabric's connection, opened by OpenSSH: a control master for each host, and a session over it for each command."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fabric import Config, Connection
from invoke.runners import Local

from stampede.fleet.openssh import SSHOptions
from stampede.fleet.snapshot import Unreachable

CONNECT_LIMIT = 5
"""Seconds for a TCP connection, unless the inventory's options say another ConnectTimeout."""
COMMAND_LIMIT = 10
"""Seconds after which a connection is given up and opened anew: the network may be back by then."""
MOST_OUTPUT = 4_000_000
"""Bytes that a command may write; a host that writes more is not listened to."""
OPENING_AT_ONCE = 50
END_LIMIT = 1.0
"""Seconds that a control master has to close its connection."""
LONGEST_FOLDER = 60
"""Characters. A UNIX socket's path has at most 104, and ssh adds 17 while it makes one."""

# Kills everything in its process group, itself included, once the other end of its standard input is closed: that is
# when this process has ended, in whatever way.
WATCHDOG = """trap '' HUP INT TERM; read -r line; rm -rf -- "$1"; kill -KILL 0"""

# Gives the password only to the host it is for: a jump host may ask for one too, and a key for its passphrase.
ASKPASS = """#!/bin/sh
case "$1" in
"$STAMPEDE_SSH_LOGIN's password: "* | "($STAMPEDE_SSH_LOGIN) "*[Pp]assword*) ;;
"Enter PIN for "*) [ "$STAMPEDE_SSH_PIN" = yes ] || exit 1 ;;
*) exit 1 ;;
esac
printf '%s\\n' "$STAMPEDE_SSH_PASSWORD"
"""


@dataclass(frozen=True)
class Master:
    """An ``ssh`` process that holds a connection."""

    process: subprocess.Popen[bytes]
    socket: Path
    log: Path

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def errors(self) -> str:
        """What it wrote to its standard error."""
        try:
            return self.log.read_text(errors="replace")
        except OSError:
            return ""

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for file in (self.socket, self.log):
            with contextlib.suppress(OSError):
                file.unlink()


class ControlMasters:
    """The control masters of all hosts, in a folder that nobody else may enter.

    None of them, and no file, outlives this process: they are ended on exit, and when this process is killed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opening = threading.BoundedSemaphore(OPENING_AT_ONCE)
        self._numbers = itertools.count(1)
        self._masters: list[Master] = []
        self._folder: Path | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, options: SSHOptions) -> Master:
        """A connection that is up. Raises Unreachable, or Refused when trying again does not help."""
        with self._opening:
            master = self._start(options)
            deadline = time.monotonic() + COMMAND_LIMIT
            try:
                # ssh links its socket to this name when it has logged in and listens.
                while not master.socket.exists():
                    if not master.is_alive:
                        raise options.explain(master.errors)
                    if time.monotonic() > deadline:
                        raise Unreachable(f"no answer for {COMMAND_LIMIT} s")
                    time.sleep(0.02)
            except BaseException:
                self.stop(master)
                raise
        return master

    def stop(self, master: Master) -> None:
        """End a connection; one that has ended is no error."""
        master.stop()
        with self._lock, contextlib.suppress(ValueError):
            self._masters.remove(master)

    def spawn(self, words: Sequence[str], environment: Mapping[str, str], **files: Any) -> subprocess.Popen[bytes]:
        """Start a process that ends with this one. Raises Unreachable once the masters are closed."""
        with self._lock:
            self._folder_and_watchdog()
            assert self._watchdog
            return subprocess.Popen(words, env=environment, process_group=self._watchdog.pid, **files)

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            self._closed = True
            masters, self._masters = self._masters, []
            watchdog, folder = self._watchdog, self._folder
        for master in masters:
            master.process.terminate()
        deadline = time.monotonic() + END_LIMIT
        for master in masters:
            with contextlib.suppress(subprocess.TimeoutExpired):
                master.process.wait(max(0.0, deadline - time.monotonic()))
        if watchdog and watchdog.stdin:
            watchdog.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                watchdog.wait(END_LIMIT)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self, options: SSHOptions) -> Master:
        with self._lock:
            folder = self._folder_and_watchdog()
            number = next(self._numbers)
        socket, log = folder / str(number), folder / f"{number}.log"
        words = [
            options.executable,
            *("-N", "-T", "-o", "ControlMaster=yes", "-o", "ControlPersist=no", "-o", "ClearAllForwardings=yes"),
            *("-o", f"BatchMode={'no' if options.password else 'yes'}", "-o", "NumberOfPasswordPrompts=1"),
            *options.words[1:-1],
            *("-o", f"ConnectTimeout={CONNECT_LIMIT}"),
            *("-S", str(socket).replace("%", "%%")),
            options.words[-1],
        ]
        with log.open("wb") as errors:
            process = self.spawn(
                words,
                os.environ | answers(options, folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        master = Master(process, socket, log)
        with self._lock:
            self._masters.append(master)
        return master

    def _folder_and_watchdog(self) -> Path:
        """To be called with the lock held."""
        if self._closed:
            raise Unreachable("its connection was closed")
        if self._folder is None:
            parent = tempfile.gettempdir() if len(tempfile.gettempdir()) <= LONGEST_FOLDER else "/tmp"  # noqa: S108
            self._folder = Path(tempfile.mkdtemp(prefix="stampede-ssh-", dir=parent))  # mode 0700
            askpass = self._folder / "askpass"
            askpass.write_text(ASKPASS)
            askpass.chmod(stat.S_IRWXU)
            self._watchdog = subprocess.Popen(
                ["/bin/sh", "-c", WATCHDOG, "stampede-ssh", self._folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        return self._folder


def answers(options: SSHOptions, folder: Path) -> dict[str, str]:
    """The environment in which ssh, and that of a jump host, ask a program and never a terminal.

    A process's environment is readable by its own user only.
    """
    return {
        "SSH_ASKPASS": str(folder / "askpass"),
        "SSH_ASKPASS_REQUIRE": "force",
        "STAMPEDE_SSH_LOGIN": options.login,
        "STAMPEDE_SSH_PASSWORD": options.password,
        "STAMPEDE_SSH_PIN": "yes" if options.pin else "no",
    }


class OpenSSHConnection(Connection):  # type: ignore[misc]
    """A fabric connection whose transport is OpenSSH's: fabric runs, OpenSSH trusts and encrypts."""

    def __init__(self, options: SSHOptions, masters: ControlMasters) -> None:
        """Connects to nothing yet."""
        # fabric keeps in its configuration what is assigned otherwise.
        self._set(options=options, masters=masters, master=None, flooded=False)
        super().__init__(
            options.hostname, user=options.user, port=options.port, gateway=False, config=Config(lazy=True)
        )

    @property
    def is_connected(self) -> bool:
        return self.master is not None and self.master.is_alive

    def open(self) -> None:
        """Raises Unreachable, or Refused when trying again does not help."""
        if not self.is_connected:
            self.close()
            self._set(master=self.masters.open(self.options))

    def close(self) -> None:
        master = self.master
        self._set(master=None)
        if master is not None:
            self.masters.stop(master)

    def why_lost(self) -> Unreachable | None:
        """Why the connection has ended; None while it is up."""
        master = self.master
        if master is None:
            return Unreachable("its connection was closed")
        with contextlib.suppress(subprocess.TimeoutExpired):
            master.process.wait(END_LIMIT)
            return self.options.explain(master.errors)  # type: ignore[no-any-return]
        return None

    def session(self, command: str) -> list[str]:
        """The command line that runs a command over the master, and over nothing else."""
        return [
            self.options.executable,
            *("-F", "none", "-T", "-o", "ControlMaster=no", "-o", "ProxyCommand=false", "-o", "BatchMode=yes"),
            *("-S", str(self.master.socket).replace("%", "%%"), "--", self.options.hostname, command),
        ]

    def _remote_runner(self) -> Session:
        self._set(flooded=False)
        return Session(self)


class Session(Local):
    """Runs one command of an OpenSSHConnection."""

    process: subprocess.Popen[bytes]
    _killed = False
    _received = 0

    def start(self, command: str, shell: str, env: dict[str, Any]) -> None:
        connection: Any = self.context
        self.process = connection.masters.spawn(
            connection.session(command),
            os.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def read_proc_stdout(self, num_bytes: int) -> bytes | None:
        return self._counted(super().read_proc_stdout(num_bytes))

    def read_proc_stderr(self, num_bytes: int) -> bytes | None:
        return self._counted(super().read_proc_stderr(num_bytes))

    def _counted(self, data: bytes | None) -> bytes | None:
        """What was read; nothing more, and the end of the connection, when it is too much."""
        self._received += len(data or b"")
        if self._received <= MOST_OUTPUT:
            return data
        if not self.context.flooded:
            self.context._set(flooded=True)
            super().kill()
            self.context.close()
        return None

    def kill(self) -> None:
        """End the connection as well: its master holds this session's pipes, which are read until they are closed."""
        self._killed = True
        super().kill()
        self.context.close()

    @property
    def timed_out(self) -> bool:
        return self._killed

    def send_interrupt(self, interrupt: KeyboardInterrupt) -> None:
        """Ctrl-C is not for the host: it ends this process's waiting."""
        self.kill()
        raise interrupt

    def stop(self) -> None:
        super().stop()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
