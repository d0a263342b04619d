"""An Indy ledger of four real nodes on this machine."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from installs import Missing, command, installed, program, python, virtualenv

from stampede.machine.ports import free_ports

SCRIPT = Path(__file__).parent / "indy_ledger/indy.py"
REQUIREMENTS = Path(__file__).parent / "indy_ledger/requirements.txt"
NODE = ("indy-bls==0.1.0", "indicio-indy-plenum==1.13.2rc20", "indicio-indy-node==1.13.3rc4")
"""Installed without what they ask for: it includes RocksDB and more that has no wheel."""
OLD_BUILD = ("pip<24", "setuptools<60", "wheel", "cython<3")
SEEDS = ("Trustee1", "Steward1", "Steward2", "Steward3", "Steward4")
"""The last letters of the seeds of DIDs that may write to the ledger."""


def seed(name: str) -> str:
    """The seed of a DID of the genesis, such as Steward1."""
    assert name in SEEDS
    return name.rjust(32, "0")


class IndyLedger:
    """Four nodes, in a folder of their own. Raises Missing when they cannot be had on this machine."""

    def __init__(self, folder: Path) -> None:
        self._python = indy_node() / "bin/python"
        self._folder = folder
        self._port = free_ports(8)
        self._nodes: list[subprocess.Popen[bytes]] = []
        command(self._python, "-W", "ignore", SCRIPT, folder, str(self._port), "genesis", HOME=str(folder))
        self.genesis = (folder / "interop/pool_transactions_genesis").read_text()

    def start(self) -> None:
        """Start the nodes; they answer a few seconds after ``wait``."""
        for number in (1, 2, 3, 4):
            with (self._folder / f"node{number}.log").open("wb") as log:
                words = [self._python, "-W", "ignore", SCRIPT, self._folder, str(self._port), str(number)]
                self._nodes.append(
                    subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | {"HOME": str(self._folder)})
                )

    def wait(self, limit: float = 300) -> None:
        """Return when all nodes listen to clients."""
        deadline = time.monotonic() + limit
        for number, node in enumerate(self._nodes, 1):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", self._port + 2 * number - 1), 1).close()
                    break
                except OSError:
                    log = self._folder / f"node{number}.log"
                    assert node.poll() is None, f"node {number} ended: {log.read_text()[-2000:]}"
                    assert time.monotonic() < deadline, f"node {number} does not listen: {log.read_text()[-2000:]}"
                    time.sleep(0.2)

    def stop(self) -> None:
        """End the nodes and remove what they wrote."""
        for node in self._nodes:
            node.kill()
        for node in self._nodes:
            node.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def indy_node() -> Path:
    """The virtual environment of the nodes. Raises Missing."""
    interpreter = python(8, headers=True)
    program("g++", "g++")
    if not ctypes.util.find_library("sodium"):
        raise Missing("libsodium (Debian: apt install libsodium23)")
    return installed("indy-node", [*OLD_BUILD, REQUIREMENTS, *NODE], lambda made: _install(made, interpreter))


def _install(folder: Path, interpreter: Path) -> None:
    virtualenv(folder, interpreter, *OLD_BUILD)
    pip = (folder / "bin/python", "-m", "pip", "-q", "install")
    command(*pip, "--no-build-isolation", "-r", REQUIREMENTS)
    command(*pip, "--no-deps", *NODE)
