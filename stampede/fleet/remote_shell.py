"""Commands as root on a load host: over SSH by fabric and OpenSSH, or on this machine. Options are Ansible's."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.loader import become_loader, get_shell_plugin
from invoke.exceptions import CommandTimedOut, ThreadException
from invoke.watchers import Responder

from stampede.fleet.inventory import LoadHost, plugin_variables
from stampede.fleet.openssh import SSHOptions
from stampede.fleet.snapshot import Unreachable
from stampede.fleet.ssh_connection import COMMAND_LIMIT, MOST_OUTPUT, ControlMasters, OpenSSHConnection
from stampede.schema.errors import BadInput

SSH_ERROR = 255
"""Exit code of ssh when not the command but the connection failed."""
OVER_SSH = frozenset({"ssh", "smart", "paramiko", "paramiko_ssh"})
"""Connection plugins of Ansible whose hosts have an SSH server."""


class RootShell:
    """Runs commands as root, or as the user that the inventory's ansible_become_* variables name."""

    def __init__(self, host: LoadHost) -> None:
        self._lock = threading.Lock()
        self._become: Any = None
        if boolean(host.variables.get("ansible_become", True)):
            method = str(host.variables.get("ansible_become_method", "sudo"))
            self._become = become_loader.get(method)
            if self._become is None:
                raise BadInput(f"ansible_become_method of {host.name} is {method!r}; Ansible has no such plugin")
            self._become.set_options(var_options=plugin_variables(host.variables, "become", method))
        self._shell = get_shell_plugin("sh", executable="/bin/sh")

    def run(self, command: str) -> str:
        """A command's standard output. Raises Unreachable, also when the command fails."""
        with self._lock:
            watchers = []
            if self._become:
                command = self._become.build_become_command(command, self._shell)
                if self._become.prompt:
                    answer = f"{self._become.get_option('become_pass')}\n"
                    watchers = [Responder(re.escape(self._become.prompt), answer)]
            code, output, errors = self._execute(command, watchers)
        if code:
            lines = [line for line in errors.splitlines() if line.strip()]
            raise Unreachable(lines[-1] if lines else f"the command ended with {code}")
        return "\n".join(
            line for line in output.removesuffix("\n").split("\n") if not line.startswith("BECOME-SUCCESS-")
        )

    def _execute(self, command: str, watchers: Sequence[Responder]) -> tuple[int, str, str]:
        """The exit code, standard output and standard error. Raises Unreachable."""
        raise NotImplementedError


class LocalShell(RootShell):
    """On this machine."""

    def _execute(self, command: str, watchers: Sequence[Responder]) -> tuple[int, str, str]:
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"no answer for {COMMAND_LIMIT} s") from None
        return done.returncode, done.stdout, done.stderr


class SSHShell(RootShell):
    """On a host over SSH. The first command opens the connection; after a failure the next one opens it anew."""

    def __init__(self, host: LoadHost, masters: ControlMasters) -> None:
        """Raises BadInput. Connects to nothing yet."""
        super().__init__(host)
        self._connection = OpenSSHConnection(SSHOptions.of_host(host), masters)

    def _execute(self, command: str, watchers: Sequence[Responder]) -> tuple[int, str, str]:
        connection = self._connection
        try:
            done = connection.run(
                command,
                hide=True,
                warn=True,
                in_stream=False,
                encoding="utf-8",
                timeout=COMMAND_LIMIT,
                watchers=list(watchers),
            )
        except CommandTimedOut:
            connection.close()
            raise Unreachable(f"no answer for {COMMAND_LIMIT} s") from None
        except (OSError, EOFError, ThreadException) as error:
            connection.close()
            raise Unreachable(str(error) or type(error).__name__) from None
        if connection.flooded:
            connection.close()
            raise Unreachable(f"it answered with more than {MOST_OUTPUT:,} bytes")
        if done.exited == SSH_ERROR and (reason := connection.why_lost()):
            connection.close()
            raise reason
        return done.exited, done.stdout, done.stderr


def shell_of(host: LoadHost, masters: ControlMasters) -> RootShell:
    """How commands are run on a host. Raises BadInput. Connects to nothing yet."""
    kind = str(host.variables.get("ansible_connection", "ssh"))
    name = kind.removeprefix("ansible.builtin.")
    if name == "local":
        return LocalShell(host)
    if name in OVER_SSH:
        return SSHShell(host, masters)
    raise BadInput(f"ansible_connection of {host.name} is {kind!r}; load hosts are reached by ssh or local")
