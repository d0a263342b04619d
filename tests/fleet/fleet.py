"""A fleet: hosts on one bridge, with keys and an inventory. Its state folder holds all of it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from .base import ADMIN, base_tree, cache_folder
from .commands import FleetError, run
from .host import CGROUPS, Host, subnet

BOOT_LIMIT = 90.0
"""Seconds that all hosts may take to boot."""


def why_not_here() -> str:
    """Why no fleet can be brought up on this machine; empty when it can."""
    if sys.platform != "linux":
        return f"the test fleet needs Linux, this is {sys.platform}"
    if os.geteuid() != 0:
        return "the test fleet needs root"
    return ""


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other process is here: for what changes more than a fleet of one's own."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "fleets.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Fleet:
    """Load hosts, a services host and a metrics host, as the playbooks see them over SSH."""

    def __init__(self, name: str = "stampede", load_hosts: int = 3, tell: Callable[[str], None] = print) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,9}", name):
            raise FleetError(f"The fleet's name is {name!r}; it must be 1 to 10 of a-z 0-9 and begin with a letter")
        if not 1 <= load_hosts <= 100:
            raise FleetError(f"The number of load hosts is {load_hosts}; it must be from 1 to 100")
        self.name = name
        self.folder = cache_folder() / "fleets" / name
        self.bridge = f"{name}-br"
        self._tell = tell
        self.hosts = [
            *(self._host(f"load-{number}", "load_hosts", 10 + number) for number in range(1, load_hosts + 1)),
            self._host("services-1", "services", 201),
            self._host("metrics-1", "metrics", 202),
        ]

    def _host(self, name: str, group: str, number: int) -> Host:
        return Host(self.name, name, group, number, self.folder / name)

    @property
    def gateway(self) -> str:
        """The address by which the hosts reach this machine."""
        return f"{subnet(self.name)}.1"

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory" / "hosts.yml"

    def __getitem__(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    # ---------------------------------------------------------------- up

    def up(self) -> Path:
        """Bring up all hosts anew and return the inventory's path. Raises FleetError, and leaves nothing then."""
        if reason := why_not_here():
            raise FleetError(reason[0].upper() + reason[1:])
        base = base_tree(self._tell)
        down(self.name)
        try:
            self._make_bridge()
            self._make_keys()
            self._start(base)
            self._write_inventory()
            self.wait_until_booted()
        except BaseException:
            down(self.name)
            raise
        return self.inventory

    def _make_bridge(self) -> None:
        network = subnet(self.name)
        if f" {network}." in run("ip", "-4", "-o", "address"):
            raise FleetError(f"This machine has an address in {network}.0/24 already; give the fleet another --name")
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "address", "add", f"{self.gateway}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")

    def _make_keys(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        run(
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            f"fleet {self.name}",
            "-f",
            self.folder / "id_ed25519",
        )

    def _start(self, base: Path) -> None:
        hosts_file = "127.0.0.1 localhost\n" + "".join(f"{host.address} {host.name}\n" for host in self.hosts)
        public_key = (self.folder / "id_ed25519.pub").read_text()
        known = []
        for host in self.hosts:
            host.plug_in(self.bridge)
            known.append(f"{host.address} {host.lay(base, hosts_file, public_key)}\n")
            host.boot()
        (self.folder / "known_hosts").write_text("".join(known))

    def _write_inventory(self) -> None:
        groups: dict[str, dict[str, dict[str, dict[str, str]]]] = {}
        for host in self.hosts:
            groups.setdefault(host.group, {"hosts": {}})["hosts"][host.name] = {"ansible_host": host.address}
        everywhere = {
            "ansible_user": ADMIN,
            "ansible_ssh_private_key_file": str(self.folder / "id_ed25519"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.folder}/known_hosts -o IdentitiesOnly=yes",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        group_vars = self.inventory.parent / "group_vars"
        group_vars.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(__file__).with_name("group_vars.yml"), group_vars / "all.yml")
        document = {"all": {"vars": everywhere, "children": groups}}
        self.inventory.write_text(yaml.safe_dump(document, sort_keys=False))

    def wait_until_booted(self) -> None:
        """Return when all hosts answer over SSH and their systemd has come up. Raises FleetError."""
        deadline = time.monotonic() + BOOT_LIMIT
        for host in self.hosts:
            while not (self.answers(host) and self._is_up(host)):
                console = host.folder / "console.log"
                if host.has_ended():
                    raise FleetError(f"{host.name} ended at boot: {last_line(console)}")
                if time.monotonic() > deadline:
                    raise FleetError(f"{host.name} was not up after {BOOT_LIMIT:g} s: {last_line(console)}")
                time.sleep(0.3)

    @staticmethod
    def answers(host: Host) -> bool:
        """Whether the host's SSH port can be reached."""
        with suppress(OSError), socket.create_connection((host.address, 22), timeout=1):
            return True
        return False

    def _is_up(self, host: Host) -> bool:
        done = self.ssh(host, "systemctl is-system-running --wait")
        return done.stdout.strip() in ("running", "degraded")

    def ssh(self, host: Host, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on a host as its administrator, its key checked."""
        return subprocess.run(
            [
                *("ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "IdentitiesOnly=yes"),
                *("-o", f"UserKnownHostsFile={self.folder}/known_hosts", "-i", str(self.folder / "id_ed25519")),
                *(f"{ADMIN}@{host.address}", command),
            ],
            capture_output=True,
            text=True,
            errors="replace",  # journald's binary fields, for one
            check=False,
        )


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"


# -------------------------------------------------------------------- down


def down(name: str) -> None:
    """Take a fleet down without a trace, however it ended, and whether or not there is one."""
    folder = cache_folder() / "fleets" / name
    for host in sorted(left_hosts(name)):
        Host(name, host, "", number_of(name, host), folder / host).remove()
    for device in Path("/sys/class/net").glob(f"{name}-*"):
        if re.fullmatch(rf"{name}-(\d+|br)", device.name):
            run("ip", "link", "delete", device.name)
    shutil.rmtree(folder, ignore_errors=True)


def left_hosts(name: str) -> set[str]:
    """Names of a fleet's hosts of which there is anything on this machine."""
    folder = cache_folder() / "fleets" / name
    folders = {path.parent.name for path in folder.glob("*/root")}
    namespaces = {path.name.removeprefix(f"{name}-") for path in Path("/run/netns").glob(f"{name}-*")}
    words = " ".join(command_lines())
    return folders | namespaces | set(re.findall(rf"--machine={name}-([a-z0-9-]+)", words))


def number_of(name: str, host: str) -> int:
    """The last part of a host's address, by its name."""
    return next((left.number for left in Fleet(name, 100).hosts if left.name == host), 0)


def command_lines() -> Iterator[str]:
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def traces(name: str) -> list[str]:
    """What is left of a fleet on this machine: processes, namespaces, devices, mounts, groups and files."""
    folder = cache_folder() / "fleets" / name
    found = [f"process {words[:100]}" for words in command_lines() if f"--machine={name}-" in words]
    found += [f"namespace {path.name}" for path in Path("/run/netns").glob(f"{name}-*")]
    found += [f"device {path.name}" for path in Path("/sys/class/net").glob(f"{name}-*")]
    found += [f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if f"{folder}/" in line]
    found += [f"group {path}" for pattern in (f"{name}-*", f"*/{name}-*") for path in CGROUPS.glob(pattern)]
    if folder.exists():
        found.append(f"folder {folder}")
    return found
