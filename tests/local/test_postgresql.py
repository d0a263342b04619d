"""Wallets in a real PostgreSQL server, which the test starts itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_playbook import Playbook

from stampede.machine.ports import free_ports
from stampede.schema.settings.web_address import in_url

PASSWORD = "p0stgr3s/wörd@:%é?#'\"\\😀"
ADDRESS = "::1" if Path("/proc/net/if_inet6").exists() else "127.0.0.1"
DATABASES = "select datname from pg_database where datname like 'stampede%'"


@pytest.fixture
def postgresql() -> Iterator[int]:
    """The port of a server of the test's own; root starts it as the user ``postgres``."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        reason = "PostgreSQL's server is not installed (Debian: apt install postgresql)"
        if os.environ.get("STAMPEDE_REQUIRE_POSTGRESQL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    port = free_ports(1)
    folder = Path(tempfile.mkdtemp(prefix="stampede-test-postgresql-"))
    user = "postgres" if os.getuid() == 0 else None
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    if user:
        shutil.chown(folder, user)
        shutil.chown(password_file, user)

    def run(program: str, *arguments: str) -> None:
        subprocess.run([folders[-1] / program, *arguments], user=user, cwd=folder, check=True, capture_output=True)

    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "holders", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync")
    options = f"-p {port} -c listen_addresses={ADDRESS} -c unix_socket_directories= -c fsync=off"
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield port
    finally:
        run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_wallets_in_postgresql(playbook: Playbook, postgresql: int) -> None:
    code, output = playbook.run(
        holders=4,
        iterations=1,
        wait_min=0.1,
        wait_max=0.3,
        presentations_max=1,
        presentations_min=1,
        wallet_storage="postgresql",
        postgresql_url=f"postgresql://holders@{in_url(ADDRESS)}:{postgresql}",
        secrets={"postgresql_password": PASSWORD},
    )
    assert code == 0, output
    assert playbook.summary()["steps"]["receive_credential"]["ok"] == 8
    assert PASSWORD not in output
    psql = subprocess.run(
        ["psql", "-h", ADDRESS, "-p", str(postgresql), "-U", "holders", "-Atc", DATABASES, "postgres"],
        env=os.environ | {"PGPASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        check=True,
    )
    assert psql.stdout == "", "the agents' databases are dropped at the end"
