"""Credo-TS in Node.js: issuer, verifier and mediator in one agent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from installs import Missing, command, installed, npm_install, program

from stampede.machine.ports import free_ports

SOURCES = Path(__file__).parent / "credo"
NATIVE = {"aries-askar-nodejs": "aries-askar==0.3.2", "anoncreds-nodejs": "anoncreds==0.2.3"}
"""Credo's packages that download a native library when they are installed, and the wheels that have the same one."""
BUILT = ("ref-napi", "ffi-napi")
"""Its packages whose bindings are compiled here, since no prebuilt ones can be downloaded."""
HEADERS = Path("/usr/include/node/node_api.h")


class Credo:
    """A Credo agent in a process of its own: ``control`` has its endpoints. Raises Missing when it cannot be had."""

    def __init__(self, folder: Path, trust: Path, strategy: str = "DirectDelivery", **issuer: str) -> None:
        """``issuer``: ``did``, ``registry`` and its ``token``."""
        self.port = free_ports(2)
        self.control = f"http://127.0.0.1:{self.port + 1}"
        given = {"port": self.port, "control": self.port + 1, "strategy": strategy, "folder": str(folder)} | issuer
        self._log = folder / "credo.log"
        with self._log.open("wb") as log:
            self._process = node(SOURCES / "agent.mjs", given, folder, trust, stdout=log, stderr=log)

    def wait(self, limit: float = 300) -> None:
        """Return when it is ready."""
        deadline = time.monotonic() + limit
        while b"ready" not in self._log.read_bytes():
            said = self._log.read_text()[-2000:]
            assert self._process.poll() is None, f"Credo ended: {said}"
            assert time.monotonic() < deadline, f"Credo is not ready: {said}"
            time.sleep(0.2)

    def invitation(self, path: str) -> str:
        """The invitation URL that one of its endpoints gives."""
        with urllib.request.urlopen(self.control + path, timeout=30) as answer:
            return str(json.load(answer)["url"])

    def stop(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def node(
    script: Path, given: Mapping[str, Any], folder: Path, trust: Path, *options: str, **files: Any
) -> subprocess.Popen[bytes]:
    """Node.js with a copy of this script in ``folder``, its home; other processes have other folders.

    It ends when its standard input is closed, also with this process. ``given`` is its argument, as JSON; it trusts
    the CA in ``trust``. ``options`` are those of Node.js, ``files`` what Popen is told about its output.
    Raises Missing when Credo cannot be had.
    """
    (folder / "node_modules").symlink_to(node_modules() / "node_modules")
    for source in (script, *SOURCES.glob("*.mjs")):
        shutil.copy(source, folder)
    return subprocess.Popen(
        ["node", *options, script.name, json.dumps(given)],
        cwd=folder,
        stdin=subprocess.PIPE,
        env=os.environ | {"HOME": str(folder), "NODE_ENV": "production", "NODE_EXTRA_CA_CERTS": str(trust)},
        **files,
    )


def node_modules() -> Path:
    """The folder where Credo is installed. Raises Missing."""
    return installed("credo", [*NATIVE.values(), SOURCES / "package.json"], _install)


def _install(folder: Path) -> None:
    npm = Path(program("npm", "npm"))
    program("g++", "g++")
    if not HEADERS.exists():
        raise Missing("the headers of Node.js (Debian: apt install libnode-dev)")
    shutil.copy(SOURCES / "package.json", folder)
    npm_install(folder)
    gyp = _node_gyp(npm.resolve())
    for name in BUILT:
        package = folder / "node_modules/@2060.io" / name
        command("node", gyp, "rebuild", f"--nodedir={HEADERS.parents[2]}", cwd=package)
    for name, requirement in NATIVE.items():
        native = folder / "node_modules/@hyperledger" / name / "native"
        native.mkdir()
        wheel = ("download", "-q", "--no-deps", "--only-binary", ":all:", "-d", native, requirement)
        command(sys.executable, "-m", "pip", *wheel)
        with zipfile.ZipFile(next(native.glob("*.whl"))) as archive:
            for member in archive.namelist():
                if member.endswith(".so"):
                    (native / Path(member).name).write_bytes(archive.read(member))


def _node_gyp(npm: Path) -> Path:
    """node-gyp: npm brings it along, Debian has it beside npm."""
    own, beside = npm.parents[1] / "node_modules", npm.parents[2]
    return next(place / "node-gyp/bin/node-gyp.js" for place in (own, beside) if (place / "node-gyp").exists())
