"""What tests with real agents share: the reference services, and a user who runs the playbook."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_playbook import Playbook
from reference_services import REGISTRY_SIZE, ReferenceServices, reference_services


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceServices]:
    """Issuer, verifier, mediator and registry, for all tests of a session."""
    with reference_services(tmp_path_factory.mktemp("reference"), "--registry-size", str(REGISTRY_SIZE)) as services:
        yield services


@pytest.fixture
def playbook(tmp_path: Path, reference: ReferenceServices) -> Iterator[Playbook]:
    """A user of the playbook, with the session's reference services under test."""
    user = Playbook(tmp_path, {f"stampede_{name}": value for name, value in reference.variables().items()})
    yield user
    if user.process and user.process.poll() is None:
        os.killpg(user.process.pid, signal.SIGKILL)
        user.process.wait()
