"""Commands on a load host, over SSH by fabric or on this machine, as Ansible would run them: same options, same root.

OpenSSH itself works out what the inventory's options and the user's configuration come to (``ssh -G``); fabric and
paramiko know but a part of both. Host keys are always checked.
"""

from __future__ import annotations

import itertools
import logging
import re
import shlex
import subprocess
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader, get_shell_plugin
from fabric import Config, Connection
from invoke.exceptions import CommandTimedOut, ThreadException
from invoke.watchers import Responder
from paramiko import AuthenticationException, BadHostKeyException, RejectPolicy, SSHException
from paramiko.hostkeys import InvalidHostKey

from stampede.fleet.inventory import LoadHost, chosen
from stampede.fleet.snapshot import Refused, Unreachable
from stampede.schema.errors import BadInput

CONNECT_LIMIT = 5
COMMAND_LIMIT = 10
"""Seconds after which a connection is given up and made anew: the network may be back by then."""

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # what goes wrong is told once, as a sentence


class Root:
    """Runs commands as root, or as who the inventory's ansible_become_* variables say."""

    def __init__(self, host: LoadHost) -> None:
        self._lock = threading.Lock()
        self._become: Any = None
        if boolean(host.variables.get("ansible_become", True)):
            method = str(host.variables.get("ansible_become_method", "sudo"))
            self._become = become_loader.get(method)
            if self._become is None:
                raise BadInput(f"ansible_become_method of {host.name} is {method!r}; Ansible has no such plugin")
            self._become.set_options(var_options=chosen(host.variables, "become", method))
        self._shell = get_shell_plugin("sh", executable="/bin/sh")

    def run(self, command: str) -> str:
        """What the command says. Raises Unreachable."""
        with self._lock:
            watchers = []
            if self._become:
                command = self._become.build_become_command(command, self._shell)
                if self._become.prompt:
                    answer = f"{self._become.get_option('become_pass')}\n"
                    watchers = [Responder(re.escape(self._become.prompt), answer)]
            code, output, errors = self._execute(command, watchers)
        if code:
            said = [line for line in errors.splitlines() if line.strip()]
            raise Unreachable(said[-1] if said else f"the command ended with {code}")
        return "\n".join(line for line in output.splitlines() if not line.startswith("BECOME-SUCCESS-"))

    def _execute(self, command: str, watchers: Sequence[Responder]) -> tuple[int, str, str]:
        raise NotImplementedError


class Here(Root):
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


class There(Root):
    """On a host over SSH."""

    def __init__(self, host: LoadHost) -> None:
        super().__init__(host)
        words = ssh_words(host)
        self._settings = effective(words, host.name)
        self._jump = jump_command(words, self._settings)
        self._password = host.variables.get("ansible_password") or host.variables.get("ansible_ssh_pass")
        self._connection: Connection | None = None

    def _execute(self, command: str, watchers: Sequence[Responder]) -> tuple[int, str, str]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            done = self._connection.run(
                command,
                hide=True,
                warn=True,
                in_stream=False,
                encoding="utf-8",
                timeout=COMMAND_LIMIT,
                watchers=list(watchers),
            )
            return done.exited, done.stdout, done.stderr
        except BadHostKeyException:
            self._drop()
            raise Refused(f"its host key is another than {self._known_hosts} {has(self._known_hosts)}") from None
        except AuthenticationException as error:
            self._drop()
            raise Refused(f"it does not let {self._settings['user'][0]} in: {error}") from None
        except (OSError, EOFError, SSHException, CommandTimedOut, ThreadException) as error:
            self._drop()
            if "not found in known_hosts" in str(error):
                raise Refused(f"its host key is not in {self._known_hosts}") from None
            if isinstance(error, CommandTimedOut):
                raise Unreachable(f"no answer for {COMMAND_LIMIT} s") from None
            raise Unreachable(re.sub(r"^\[Errno \w+\] ", "", str(error)) or type(error).__name__) from None

    def _connect(self) -> Connection:
        settings = self._settings
        keys = [str(file) for name in settings["identityfile"] if (file := Path(name).expanduser()).is_file()]
        connection = Connection(
            settings["hostname"][0],
            user=settings["user"][0],
            port=int(settings["port"][0]),
            gateway=self._jump or False,
            connect_timeout=CONNECT_LIMIT,
            config=Config(lazy=True),
            connect_kwargs={
                "key_filename": keys,
                "allow_agent": settings["identitiesonly"] != ["yes"],
                "look_for_keys": False,
                "password": self._password,
                "banner_timeout": COMMAND_LIMIT,
                "auth_timeout": COMMAND_LIMIT,
                "channel_timeout": COMMAND_LIMIT,
            },
        )
        connection.client.set_missing_host_key_policy(RejectPolicy())  # fabric's own takes any key
        for file in self._known_hosts_files:
            try:
                connection.client.load_system_host_keys(str(file))
            except (OSError, InvalidHostKey) as error:
                raise Refused(f"{file} cannot be read: {error}") from None
        connection.open()
        return connection

    @property
    def _known_hosts_files(self) -> list[Path]:
        names = shlex.split(" ".join(self._settings["userknownhostsfile"] + self._settings["globalknownhostsfile"]))
        return [file for name in names if (file := Path(name).expanduser()).is_file()]

    @property
    def _known_hosts(self) -> str:
        return " or ".join(map(str, self._known_hosts_files)) or "any file of known hosts"

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.client.close()


def has(names: str) -> str:
    return "have" if " or " in names else "has"


# --------------------------------------------------------------- OpenSSH's options


def ssh_words(host: LoadHost) -> list[str]:
    """OpenSSH's command line for a host. Options are in Ansible's order: of two the first one counts."""
    plugin = connection_loader.get("ssh", PlayContext())
    plugin.set_options(var_options=chosen(host.variables, "connection", "ssh"))
    words = [str(plugin.get_option("ssh_executable")), *shlex.split(plugin.get_option("ssh_args") or "")]
    for option, keyword in (("port", "Port"), ("private_key_file", "IdentityFile"), ("remote_user", "User")):
        if value := plugin.get_option(option):
            words += ["-o", f"{keyword}={value}"]
    for option in ("ssh_common_args", "ssh_extra_args"):
        words += shlex.split(plugin.get_option(option) or "")
    address = host.variables.get("ansible_host") or host.variables.get("ansible_ssh_host") or host.name
    return [*words, str(address)]


def effective(words: Sequence[str], name: str) -> Mapping[str, list[str]]:
    """What OpenSSH makes of its command line and configuration, by keyword in small letters. Raises BadInput."""
    try:
        done = subprocess.run(
            [words[0], "-G", *words[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise BadInput(f"The command {words[0]} is not installed; stampede watch needs OpenSSH's client") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it does not say why"]
        raise BadInput(f"The SSH options of {name} cannot be used ({shlex.join(words)}): {said[0]}")
    settings: defaultdict[str, list[str]] = defaultdict(list)
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        settings[keyword].append(value)
    return settings


def jump_command(words: Sequence[str], settings: Mapping[str, list[str]]) -> str:
    """A ProxyCommand, as given or as OpenSSH itself makes it of a ProxyJump; empty when there is neither."""
    for command in settings.get("proxycommand", []):
        if command.lower() != "none":
            return command
    hops = [hop for hop in ",".join(settings.get("proxyjump", [])).split(",") if hop and hop.lower() != "none"]
    if not hops:
        return ""
    file = [word for pair in itertools.pairwise(words) if pair[0] == "-F" for word in pair]
    before = ["-J", ",".join(hops[:-1])] if hops[:-1] else []
    # An ssh:// address may hold a port, a plain word with a colon does as well only in ProxyJump.
    last = hops[-1] if hops[-1].startswith("ssh://") else f"ssh://{hops[-1]}"
    return shlex.join([words[0], *file, "-o", "BatchMode=yes", *before, "-W", "[%h]:%p", last])
