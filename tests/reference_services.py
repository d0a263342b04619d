"""The reference services, started for tests."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stampede.machine.ports import free_ports

REGISTRY_SIZE = 16
"""Credentials in a revocation registry of tests/local: few, so that registries are succeeded often."""


class ReferenceServices:
    """`python -m reference`: ``settings`` is what services.json says once they are up."""

    settings: dict[str, Any]

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.port = free_ports()
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115  goes with this object
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reference", "--dir", str(folder), "--port", str(self.port), *arguments],
            stdout=self._output,
            stderr=self._output,
        )

    def ready(self, limit: float = 240) -> dict[str, Any]:
        """Return the settings as soon as all services answer."""
        path, deadline = self.folder / "services.json", time.monotonic() + limit
        while not path.exists() or json.loads(path.read_text())["pid"] != self.process.pid:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self._output.seek(0)
                raise AssertionError(f"the reference services did not start: {self._output.read()}")
            time.sleep(0.1)
        self.settings = json.loads(path.read_text())
        return self.settings

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def get(self, path: str) -> Any:
        """The JSON at ``path``, over verified TLS."""
        context = ssl.create_default_context(cafile=self.settings["ca_file"])
        with urllib.request.urlopen(f"https://localhost:{self.port}{path}", context=context, timeout=30) as answer:
            return json.load(answer)

    def variables(self) -> dict[str, Any]:
        """Settings of a run that tests these services, without the prefix ``stampede_``."""
        given = ("services", "mediator_did", "ca_file", "agent_plugins")
        return {"reference_services": False} | {name: self.settings[name] for name in given}


@contextmanager
def reference_services(folder: Path, *arguments: str) -> Iterator[ReferenceServices]:
    """Reference services for a while. They also end when this process does."""
    services = ReferenceServices(folder, "--die-with", str(os.getpid()), *arguments)
    try:
        services.ready()
        yield services
    finally:
        services.stop()
