"""Passwords of any Unicode, at a real InfluxDB. Those for PostgreSQL are in test_postgresql."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from influxdb_servers import DATABASE, Influxd, running

from stampede.influxdb.client import connect
from stampede.schema.settings.influxdb_settings import Influxdb

REPOSITORY = Path(__file__).resolve().parents[2]
WORDS = [
    "wörd",
    "😀🗝",
    "a:b@c%d/e?f#g",
    "'one' \"two\" `three`",
    "back\\slash\\",
    ".dots.",
    "$HOME ${x} {{ y }}",
    "é\u0301",
]
LINE = b"step,run=r service_time=1 1\n"


def plugin() -> ModuleType:
    """The module that sets up the InfluxDB of a metrics host."""
    spec = importlib.util.spec_from_file_location(
        "influxdb_module", REPOSITORY / "plugins/modules/stampede_influxdb.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def running_without_users() -> Iterator[Influxd]:
    server = Influxd()
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder)


@pytest.fixture(scope="module")
def influxd() -> Iterator[Influxd]:
    with running(Influxd) as server:
        yield server


@pytest.mark.parametrize("word", WORDS)
def test_influxdb_takes_the_login_from_the_pusher_and_from_a_replay(
    influxd: Influxd, tmp_path: Path, word: str
) -> None:
    quoted = plugin()
    user = f"user {word.replace(':', '')}"
    influxd.query(f"CREATE USER {quoted.name(user)} WITH PASSWORD {quoted.text(word)}")
    influxd.query(f"GRANT WRITE ON {DATABASE} TO {quoted.name(user)}")
    target = Influxdb(influxd.url, DATABASE, user)
    assert connect(target, word).write(LINE).ok
    assert connect(target, word[:-1]).write(LINE).status == 401

    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1/journal.lp").write_bytes(b"step,run=r service_time=1 %d\n" % time.time_ns())
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("stampede"), "replay", tmp_path),
            *("--url", influxd.url, "--database", DATABASE, "--user", user),
        ],
        env=os.environ | {"STAMPEDE_INFLUXDB_PASSWORD": f"{word}\n", "HTTP_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0 and "1 points of 1 host are in InfluxDB" in done.stdout, done.stdout + done.stderr


def test_a_metrics_host_keeps_passwords_that_somebody_chose(tmp_path: Path) -> None:
    module = plugin()
    chosen = {"admin": 'ädmin\'s \\ "word"', "writer": "wörd 😀", "reader": "{{ x }} $HOME"}
    for user, password in chosen.items():
        (tmp_path / f"{user}-password").write_text(f"{password}\n", encoding="utf-8")
    wanted = {
        "admin": "admin",
        "database": "stämpede",
        "retention": "INF",
        "users": {"writer": "WRITE", "reader": "READ"},
    }
    with running_without_users() as server:
        keeper = module.Keeper(module.Server(server.url, ""), module.Passwords(tmp_path), wanted, dry=False)
        keeper.keep()
        assert connect(Influxdb(server.url, "stämpede", "writer"), chosen["writer"]).write(LINE).ok
        again = module.Keeper(module.Server(server.url, ""), module.Passwords(tmp_path), wanted, dry=False)
        again.keep()
        assert again.changes == []
