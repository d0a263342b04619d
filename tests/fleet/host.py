"""One host: a network namespace, an overlay on the base tree, and a systemd of its own in them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from .base import ADMIN
from .commands import FleetError, run

CGROUPS = Path("/sys/fs/cgroup")
DIE_LIMIT = 10.0
"""Seconds that a host's processes may take to be gone after they were killed."""


def subnet(fleet: str) -> str:
    """The first three parts of the addresses of a fleet, by its name, so that fleets keep out of each other's way."""
    return "10.99.0" if fleet == "stampede" else f"10.99.{1 + zlib.crc32(fleet.encode()) % 255}"


@dataclass(frozen=True)
class Host:
    """A host of a fleet. Everything that it has on this machine is found by its names alone."""

    fleet: str
    name: str
    group: str
    number: int
    folder: Path
    """Its part of the fleet's state folder."""

    @property
    def address(self) -> str:
        return f"{subnet(self.fleet)}.{self.number}"

    @property
    def machine(self) -> str:
        """Name of the machine and of its network namespace."""
        return f"{self.fleet}-{self.name}"

    @property
    def cable(self) -> str:
        """The network device of this machine that leads to the host."""
        return f"{self.fleet[:10]}-{self.number}"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    # ---------------------------------------------------------------- up

    def plug_in(self, bridge: str) -> None:
        """Make the network namespace and lead a cable to the bridge. Raises FleetError."""
        inside = ("ip", "-n", self.machine)
        run("ip", "netns", "add", self.machine)
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "host0", "netns", self.machine)
        run("ip", "link", "set", self.cable, "master", bridge, "up")
        run(*inside, "address", "add", f"{self.address}/24", "dev", "host0")
        run(*inside, "link", "set", "host0", "up")
        run(*inside, "link", "set", "lo", "up")

    def lay(self, base: Path, hosts_file: str, public_key: str) -> str:
        """Make the host's file tree; returns its public host key. Raises FleetError."""
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={base},upperdir={self.folder}/upper,workdir={self.folder}/work"
        run("mount", "-t", "overlay", self.machine, "-o", layers, self.root)
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "etc/hosts").write_text(hosts_file)
        ssh = self.root / "home" / ADMIN / ".ssh"
        ssh.mkdir(mode=0o700, exist_ok=True)
        (ssh / "authorized_keys").write_text(public_key)
        owner = (self.root / "home" / ADMIN).stat()
        for path in (ssh, ssh / "authorized_keys"):
            os.chown(path, owner.st_uid, owner.st_gid)
        host_key = self.root / "etc/ssh/ssh_host_ed25519_key"
        host_key.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", host_key)
        return host_key.with_suffix(".pub").read_text().rsplit(" ", 1)[0].strip()

    def boot(self) -> None:
        """Start the host's systemd; returns at once."""
        legacy = not (CGROUPS / "cgroup.controllers").exists()  # this machine has cgroup v1 only
        # Control groups of its own: systemd takes all processes in one for its own.
        groups = cgroups(self.machine)
        for group in groups:
            group.mkdir(exist_ok=True)
        join = "".join(f"echo $$ >{group}/cgroup.procs && " for group in groups)
        words = [
            *("sh", "-c", f'{join}exec "$@"', "sh"),
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--console=pipe"),
            *("--directory", str(self.root), f"--machine={self.machine}", f"--hostname={self.name}"),
            *(f"--network-namespace-path=/run/netns/{self.machine}", "--resolv-conf=off", "--timezone=off"),
            *(("-E", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1") if legacy else ()),
            "--boot",
            "systemd.mask=dpkg-db-backup.timer",  # which writes files of its own at midnight
            *(("systemd.unified_cgroup_hierarchy=0",) if legacy else ()),
        ]
        with (self.folder / "console.log").open("ab") as console:
            subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=os.environ | {"SYSTEMD_NSPAWN_LOCK": "0"},
                start_new_session=True,
            )

    # -------------------------------------------------------------- faults

    def cut_power(self) -> None:
        """End the host as a power cut would: at once, and without a word. Its disk stays."""
        for pid in self.managers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + DIE_LIMIT
        while self.processes():
            if time.monotonic() > deadline:
                raise FleetError(f"Processes of {self.name} are still there: {self.processes()}")
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def cut_network(self) -> None:
        """Pull the cable."""
        run("ip", "link", "set", self.cable, "down")

    def mend_network(self) -> None:
        """Plug the cable in again."""
        run("ip", "link", "set", self.cable, "up")

    # ----------------------------------------------------------------- NAT

    def hide(self, control_node: str) -> None:
        """Have nobody reach the host, as behind NAT, but the control node by SSH; its own connections go out."""
        rules = (
            "table inet nat { chain input { type filter hook input priority filter; policy drop; "
            'iifname "lo" accept; ct state established,related accept; meta l4proto icmp accept; '
            f"ip saddr {control_node} tcp dport 22 accept; }}; }}"
        )
        run("ip", "netns", "exec", self.machine, "nft", rules)

    def show(self) -> None:
        """Have the others reach it again."""
        run("ip", "netns", "exec", self.machine, "nft", "add table inet nat; delete table inet nat")

    def reaches(self, other: Host, port: int) -> bool:
        """Whether a connection to another host comes about within two seconds."""
        attempt = f"import socket; socket.create_connection(({other.address!r}, {port}), 2)"
        words = ("ip", "netns", "exec", self.machine, sys.executable, "-c", attempt)
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    # ---------------------------------------------------------------- down

    def remove(self) -> None:
        """Take everything of the host away; what is gone already is no fault."""
        self.cut_power()
        while os.path.ismount(self.root):
            run("umount", "--lazy", self.root)
        if Path(f"/sys/class/net/{self.cable}").exists():
            run("ip", "link", "delete", self.cable)
        if Path(f"/run/netns/{self.machine}").exists():
            run("ip", "netns", "delete", self.machine)
        remove_cgroups(self.machine)
        shutil.rmtree(self.folder, ignore_errors=True)

    def managers(self) -> list[int]:
        """The systemd-nspawn processes of this host."""
        word = f"--machine={self.machine}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                if word in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def has_ended(self) -> bool:
        """Whether it runs no more. It is looked at twice: a process has no command line while it executes another."""
        if self.managers():
            return False
        time.sleep(0.2)
        return not self.managers()

    def processes(self) -> list[int]:
        """All processes of the host, and its managers."""
        found = set(self.managers())
        for top in cgroups(self.machine):
            for folder, _, _ in os.walk(top):
                with contextlib.suppress(OSError):
                    found |= {int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split()}
        return sorted(found)


def cgroups(machine: str) -> list[Path]:
    """A machine's control groups, in each hierarchy in which systemd keeps its own."""
    tops = (CGROUPS, CGROUPS / "systemd", CGROUPS / "unified")  # v2; v1; both mixed
    return [top / machine for top in tops if (top / "cgroup.procs").exists()]


def remove_cgroups(machine: str) -> None:
    """Remove the control groups of a machine whose processes were killed. Raises FleetError."""
    deadline = time.monotonic() + DIE_LIMIT
    for top in cgroups(machine):
        while top.exists():
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):  # busy until its last process has been reaped
                    Path(folder).rmdir()
            if time.monotonic() > deadline:
                raise FleetError(f"The control group {top} cannot be removed")
            time.sleep(0.02)
