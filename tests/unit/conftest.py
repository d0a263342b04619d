"""What the unit tests share beyond tests/conftest.py: an SSH server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ssh_servers import SSHD, SSHServer


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """An sshd on the loopback. Skipped where there is none, which STAMPEDE_REQUIRE_SSHD=1 makes a failure."""
    if not SSHD:
        if os.environ.get("STAMPEDE_REQUIRE_SSHD") == "1":
            pytest.fail("sshd is not installed")
        pytest.skip("sshd is not installed; Debian's package openssh-server has it")
    server = SSHServer(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.stop()
