"""SSH servers on the loopback: OpenSSH's own sshd, and one that takes a password without a user of this machine."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
import psutil

from stampede.fleet.inventory import LoadHost
from stampede.machine.ports import free_ports

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or ""
USER = getpass.getuser()
IPV6 = Path("/proc/net/if_inet6").exists()
START_LIMIT = 20.0
CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
{ipv6}
HostKey {folder}/host_key
HostCertificate {folder}/host_key-cert.pub
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
SetEnv SHLVL=2
"""
"""With that SHLVL bash does not read the user's ~/.bashrc, which may take its time."""


def make_key(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", file], check=True)


def load_host(**variables: Any) -> LoadHost:
    """A host with ``ansible_*`` variables."""
    return LoadHost("load-1", False, Path("/runs"), {f"ansible_{name}": value for name, value in variables.items()})


class SSHServer:
    """sshd on a free port, with a host key, a certificate of it for the host ``load-1``, and a user's key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_ports(1)
        for name in ("host_key", "user_key", "other_key", "authority"):
            make_key(folder / name)
        subprocess.run(
            ["ssh-keygen", "-q", "-s", "authority", "-I", "load-1", "-h", "-n", "load-1", "host_key.pub"],
            cwd=folder,
            check=True,
        )
        (folder / "sshd_config").write_text(
            CONFIGURATION.format(port=self.port, folder=folder, ipv6="ListenAddress ::1" if IPV6 else "")
        )
        self._process: subprocess.Popen[bytes] | None = None

    def public(self, name: str) -> str:
        """A public key as a known_hosts file has it: type and key."""
        return " ".join((self.folder / f"{name}.pub").read_text().split()[:2])

    @property
    def address(self) -> str:
        """As known_hosts files name it."""
        return f"[127.0.0.1]:{self.port}"

    def known_hosts(self, text: str) -> Path:
        file = self.folder / "known_hosts"
        file.write_text(text)
        return file

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd has to have it, as root
        with (self.folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", self.folder / "sshd_config"], stdin=subprocess.DEVNULL, stderr=log
            )
        deadline = time.monotonic() + START_LIMIT
        while not answers(self.port):
            assert self._process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and all that is connected to it."""
        if self._process:
            for process in self.processes():
                process.kill()
            self._process.wait()
            self._process = None

    def processes(self) -> list[psutil.Process]:
        """The server, and those of its connections."""
        assert self._process
        server = psutil.Process(self._process.pid)
        return [server, *server.children(recursive=True)]

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text()

    def host(self, **variables: Any) -> LoadHost:
        """The server as a load host that is known by its key; other variables by argument."""
        common = variables.pop("ssh_common_args", None)
        if common is None:
            common = f"-o UserKnownHostsFile={self.known_hosts(f'{self.address} {self.public("host_key")}\n')}"
        defaults = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": USER,
            "become": False,
            "ssh_private_key_file": str(self.folder / "user_key"),
            "ssh_args": "-F none -o IdentitiesOnly=yes -o IdentityAgent=none -o GlobalKnownHostsFile=/dev/null",
            "ssh_common_args": common,
        }
        return load_host(**defaults | variables)


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


# ------------------------------------------------------------ a server that takes a password


class _PasswordServer(paramiko.ServerInterface):
    def __init__(self, password: str, offered: list[str]) -> None:
        self._password, self._offered = password, offered

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        self._offered.append(password)
        return int(paramiko.AUTH_SUCCESSFUL if password == self._password else paramiko.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def run() -> None:
            done = subprocess.run(
                ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
            channel.sendall(done.stdout)
            channel.send_exit_status(done.returncode)
            channel.close()

        threading.Thread(target=run, daemon=True).start()
        return True


@contextmanager
def password_server(password: str, key: Path) -> Iterator[tuple[int, list[str]]]:
    """The port of a server with that host key that takes only this password, and the passwords that it was offered.

    sshd would compare it with that of a user of this machine.
    """
    offered: list[str] = []
    host_key = paramiko.Ed25519Key.from_private_key_file(str(key))
    transports: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:  # closed
                    return
                transport = paramiko.Transport(client)
                transport.add_server_key(host_key)
                transport.start_server(event=threading.Event(), server=_PasswordServer(password, offered))
                transports.append(transport)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], offered
        listener.shutdown(socket.SHUT_RDWR)
    for transport in transports:
        transport.close()
