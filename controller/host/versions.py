"""Versions of what makes the load, and the machine that it runs on: ``host.json``."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import shutil
import socket
from pathlib import Path

import psutil

from controller.acapy_patches import registry
from controller.agents.flags import patch_names
from stampede.schema.run_record import HostRecord
from stampede.schema.settings.run_settings import Settings
from stampede.version import VERSION

PACKAGES = ("acapy-agent", "anoncreds", "aries-askar", "aiohttp")


def host_record(settings: Settings, run_dir: Path) -> HostRecord:
    """What is known of this host before the run starts."""
    return HostRecord(
        run_id=settings.run_id,
        host=settings.host_name,
        scenario=settings.scenario,
        settings=settings.public(),
        versions=versions() | {"agent patches": " ".join(applied_patches(settings)) or "none"},
        cores=psutil.cpu_count() or 0,
        memory=psutil.virtual_memory().total,
        disk_free=shutil.disk_usage(run_dir).free,
    )


def applied_patches(settings: Settings) -> list[str]:
    """The names of the patches that the agents run with: those that are on and fit what is installed."""
    names = patch_names(settings)
    left_out = registry.left_out(names)
    return [name for name in names if name not in left_out]


def versions() -> dict[str, str]:
    """Versions of Stampede, Python, the system and the packages that make the load; and the host's name."""
    known = {
        "stampede": VERSION,
        "python": platform.python_version(),
        "system": platform.platform(),
        "hostname": socket.gethostname(),
    }
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            known[package] = importlib.metadata.version(package)
    return known
