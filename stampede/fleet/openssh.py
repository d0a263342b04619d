"""What OpenSSH's client is given for a load host, and what its answers mean.

OpenSSH itself decides whom to trust and how to reach a host: known_hosts files, certificates, HostKeyAlias,
KnownHostsCommand, ProxyJump and the user's configuration all work as with ``ssh``.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader

from stampede.fleet.inventory import LoadHost, plugin_variables
from stampede.fleet.snapshot import Refused, Unreachable
from stampede.schema.errors import BadInput

UNKNOWN_KEY = "Host key verification failed"
NO_LOGIN = re.compile(r"Permission denied \(|Too many authentication failures")
UNINFORMATIVE = re.compile(
    r"debug\d: |\s*$|Connection closed by UNKNOWN port|kex_exchange_identification: |stdio forwarding failed"
    r"|mux_client_request_session: |Control socket connect|Shared connection to "
)
"""Lines of ssh's that follow from another one, which says why."""


@dataclass(frozen=True)
class SSHOptions:
    """How ``ssh`` is called for one host."""

    words: Sequence[str]
    """The command line up to the host's address: no command, and no secret."""
    effective: Mapping[str, Sequence[str]]
    """What OpenSSH makes of it and of its configuration (``ssh -G``): values by keyword in lower case."""
    password: str = ""
    pin: bool = False
    """The password is the PIN of a PKCS#11 token."""

    @classmethod
    def of_host(cls, host: LoadHost) -> SSHOptions:
        """The inventory's options, in Ansible's order. Raises BadInput when OpenSSH does not accept them."""
        plugin = connection_loader.get("ssh", PlayContext())
        plugin.set_options(var_options=plugin_variables(host.variables, "connection", "ssh"))
        words = [str(plugin.get_option("ssh_executable"))]
        password = str(plugin.get_option("password") or "")
        provider = plugin.get_option("pkcs11_provider")
        if password and provider:
            words += ["-o", "PreferredAuthentications=publickey", "-o", f"PKCS11Provider={provider}"]
        # Of an option that is given twice OpenSSH takes the first.
        words += shlex.split(plugin.get_option("ssh_args") or "")
        if plugin.get_option("host_key_checking") is False:
            words += ["-o", "StrictHostKeyChecking=no"]
        if port := plugin.get_option("port"):
            words += ["-o", f"Port={port}"]
        for option, keyword in (("private_key_file", "IdentityFile"), ("remote_user", "User")):
            if value := plugin.get_option(option):
                words += ["-o", f'{keyword}="{value}"']
        for option in ("ssh_common_args", "ssh_extra_args"):
            words += shlex.split(plugin.get_option(option) or "")
        words.append(str(host.variables.get("ansible_host") or host.variables.get("ansible_ssh_host") or host.name))
        return cls(words, effective_options(words, host.name), password, bool(provider))

    @property
    def executable(self) -> str:
        return self.words[0]

    @property
    def user(self) -> str:
        return self.effective["user"][0]

    @property
    def hostname(self) -> str:
        return self.effective["hostname"][0]

    @property
    def port(self) -> int:
        return int(self.effective["port"][0])

    @property
    def login(self) -> str:
        """As ssh names it in its prompts for a password."""
        alias = self.effective.get("hostkeyalias", ["none"])[0]
        host = self.hostname.lower() if alias == "none" else alias
        return f"{self.user[:30]}@{host[:128]}"

    @property
    def known_hosts(self) -> str:
        """The files, or the command, that know hosts' keys, for a sentence."""
        names = shlex.split(
            " ".join([*self.effective["userknownhostsfile"], *self.effective.get("globalknownhostsfile", [])])
        )
        sources = [str(file) for name in names if (file := Path(name).expanduser()).is_file()]
        commands = [command for command in self.effective.get("knownhostscommand", []) if command != "none"]
        sources += [f"the output of {command}" for command in commands]
        return " or ".join(sources) or "any known_hosts file"

    def explain(self, errors: str) -> Unreachable:
        """Why a connection came to nothing, of what ``ssh`` wrote to its standard error."""
        lines = [line.strip() for line in errors.splitlines() if not UNINFORMATIVE.match(line)]
        for line in lines:
            if line.startswith(UNKNOWN_KEY):
                # Of a jump host, whose client has the same standard error, the failure is not the last word.
                return Refused(self._key_refusal(errors, of_jump_host=self._jumps and "UNKNOWN port" in errors))
            if NO_LOGIN.search(line):
                login = line.partition(": Permission denied")[0]
                if self._jumps and "@" in login and login != f"{self.user}@{self.hostname.lower()}":
                    return Refused(f"its jump host does not accept the login: {line.rstrip('.')}")
                reason = line.rpartition(": ")[2].rstrip(".")
                return Refused(f"it does not accept the login of {self.user}: {reason}")
        return Unreachable(lines[-1].removeprefix("ssh: ") if lines else "ssh ended and gave no reason")

    def _key_refusal(self, errors: str, *, of_jump_host: bool) -> str:
        whose = "the host key of its jump host" if of_jump_host else "its host key"
        if "REVOKED HOST KEY" in errors:
            return f"{whose} is revoked"
        if found := re.search(r"^Offending \S+ key(?: for .*)? in (.*):(\d+)\s*$", errors, re.MULTILINE):
            return f"{whose} is not the one in {found[1]}, line {found[2]}"
        return f"{whose} is not known here" if of_jump_host else f"{whose} is not in {self.known_hosts}"

    @property
    def _jumps(self) -> bool:
        return any(
            value.lower() != "none"
            for keyword in ("proxyjump", "proxycommand")
            for value in self.effective.get(keyword, [])
        )


def effective_options(words: Sequence[str], name: str) -> Mapping[str, list[str]]:
    """What OpenSSH makes of its command line and configuration: values by keyword in lower case. Raises BadInput."""
    try:
        done = subprocess.run(
            [words[0], "-G", *words[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise BadInput(f"The command {words[0]} is not installed; Stampede needs OpenSSH's client") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise BadInput(f"The SSH options of {name} cannot be used ({shlex.join(words)}): {said[0]}")
    options: defaultdict[str, list[str]] = defaultdict(list)
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        options[keyword].append(value)
    return options
