"""``stampede doctor``: what is lacking is said, with how to mend it, and by the exit code where it is needed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import locale
import re
import resource
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stampede import doctor
from stampede.cli import main
from stampede.doctor import Finding
from stampede.machine import home


def texts(found: Iterator[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.sign, finding.text, finding.mend) for finding in found]


def test_this_machine_has_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert "ok       Python 3." in capsys.readouterr().out


def test_only_what_is_needed_decides_about_the_exit_code() -> None:
    assert doctor.report([Finding("a"), Finding("b", "do", needed=False)]) == (
        "ok       a\nto mend  b\n         -> do",
        0,
    )
    assert doctor.report([Finding("c", "do"), Finding("a")]) == ("lacking  c\n         -> do\nok       a", 1)


def test_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [found[0] for found in texts(doctor.pip())] == ["ok"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "executable", "/mine/python")
    ((sign, text, mend),) = texts(doctor.pip())
    assert (sign, mend) == ("to mend", "/mine/python -m ensurepip") and text.startswith("pip is lacking;")
    assert doctor.pip in doctor.CHECKS


def test_packages_of_other_versions_are_named() -> None:
    has = importlib.metadata.version("psutil")
    assert doctor.wrong_versions([f"psutil=={has}", 'no-such; extra == "cloud"']) == {}
    assert doctor.wrong_versions(["psutil==0.1", "no-such==1"]) == {"psutil==0.1": has, "no-such==1": ""}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions that packages seem to have, where they are other than they are; empty: not installed."""
    others: dict[str, str] = {}
    real = importlib.metadata.version

    def version(name: str) -> str:
        if others.get(name) == "":
            raise importlib.metadata.PackageNotFoundError(name)
        return others.get(name) or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(sys, "executable", "/my venv/python")
    return others


def locked(name: str) -> str:
    found = re.search(rf"^{name}==(\S+)", (home.HOME / "requirements.lock").read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_a_package_that_is_only_pulled_in_must_be_as_it_was_tested(installed: dict[str, str]) -> None:
    assert [found[0] for found in texts(doctor.packages())] == ["ok"]
    installed["yarl"] = "1.0.0"
    wanted = f"yarl=={locked('yarl')}"
    assert texts(doctor.packages()) == [
        (
            "to mend",
            f"Stampede was tested with {wanted}, not 1.0.0",
            f"'/my venv/python' -m pip install {wanted}",
        )
    ]
    installed["yarl"] = ""
    ((sign, text, _),) = texts(doctor.packages())
    assert sign == "lacking" and text.endswith(f"{wanted}, which is not installed")


def test_a_package_that_stampede_pins_is_needed(installed: dict[str, str]) -> None:
    installed["psutil"] = "0.1"
    ((sign, _, mend),) = texts(doctor.packages())
    assert sign == "lacking" and mend.endswith(f"pip install psutil=={locked('psutil')}")


def test_of_many_other_versions_the_whole_list_is_installed(installed: dict[str, str]) -> None:
    installed.update(dict.fromkeys(("aiosignal", "attrs", "frozenlist", "idna", "multidict", "six", "yarl"), "0.1"))
    ((_, text, mend),) = texts(doctor.packages())
    assert text.endswith("; and 2 more") and text.count("not 0.1") == 5
    assert mend.endswith(f"pip install --no-deps -r {home.HOME}/requirements.lock")


def test_a_locale_without_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locale, "getencoding", lambda: "ANSI_X3.4-1968")
    ((sign, text, mend),) = texts(doctor.utf8())
    assert sign == "to mend" and "ANSI_X3.4-1968" in text and mend == "export LC_ALL=C.UTF-8"


def test_folders_that_cannot_be_written_or_are_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(home.VARIABLE, str(tmp_path))
    ((sign, text, _),) = texts(doctor.folders())
    assert sign == "ok" and text.endswith(f"free in {tmp_path}")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Space(free=4e8))
    ((sign, text, _),) = texts(doctor.folders())
    assert sign == "lacking" and text == f"only 0.4 GB free in {tmp_path}; runs need about 0.5 GB"
    monkeypatch.setenv(home.VARIABLE, str(tmp_path / "none"))
    ((sign, text, _),) = texts(doctor.folders())
    assert sign == "lacking" and "which is no folder" in text


class Space:
    def __init__(self, **values: float) -> None:
        self.__dict__.update(values)


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: Space(available=1e9))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Space(free=1e6))
    (memory, _, _), (wallets, text, _) = texts(doctor.memory())
    assert memory == wallets == "to mend" and text.startswith("1 MB free in /dev/shm")


@pytest.mark.parametrize(
    ("soft", "sign", "text"),
    [
        (1024, "to mend", "a process may open 1024 files, which hundreds of holders on this machine use up"),
        (4096, "ok", "open files: 4096"),
        (resource.RLIM_INFINITY, "ok", "open files: no limit"),
    ],
)
def test_open_files(monkeypatch: pytest.MonkeyPatch, soft: int, sign: str, text: str) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert [found[:2] for found in texts(doctor.open_files())] == [(sign, text)]


def test_a_port_in_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        defaults = tmp_path / "roles/reference_services/defaults/main.yml"
        defaults.parent.mkdir(parents=True)
        defaults.write_text(f"stampede_reference_port: {number}\n")
        monkeypatch.setattr(doctor, "HOME", tmp_path)
        ((sign, text, _),) = texts(doctor.port())
        assert sign == "to mend" and f"port {number}" in text and "Address already in use" in text
    assert [found[0] for found in texts(doctor.port())] == ["ok"]


def test_no_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "sftp" else f"/usr/bin/{name}")
    ((sign, text, mend),) = texts(doctor.ssh())
    assert (sign, mend) == ("to mend", "apt-get install openssh-client") and text.startswith("no sftp;")


@pytest.mark.parametrize(("said", "sign"), [(5, "to mend"), (0, "ok")])
def test_the_clock(monkeypatch: pytest.MonkeyPatch, said: int, sign: str) -> None:
    class Library:
        @staticmethod
        def ntp_adjtime(_: Any) -> int:
            return said

    monkeypatch.setattr(doctor.ctypes, "CDLL", lambda _: Library)
    assert [found[0] for found in texts(doctor.clock())] == [sign]


def test_collections_that_clouds_need(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "HOME", tmp_path)
    assert texts(doctor.collections()) == []
    (tmp_path / "requirements.yml").write_text("collections:\n  - {name: no.such, version: 1.0.0}\n")
    ((sign, text, mend),) = texts(doctor.collections())
    assert sign == "to mend" and "no.such" in text and mend.endswith(f"install -r {tmp_path}/requirements.yml")


def test_collections_of_other_versions_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "HOME", tmp_path)
    (tmp_path / "requirements.yml").write_text(
        "collections:\n  - {name: my.cloud, version: 2.1.0}\n  - {name: my.other, version: 1.0.0}\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(tmp_path / "second")])

    def install(root: str, name: str, manifest: str) -> Path:
        folder = tmp_path / root / "ansible_collections" / "my" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "MANIFEST.json").write_text(manifest)
        return folder

    def of(version: str) -> str:
        return json.dumps({"collection_info": {"version": version}})

    install("second", "cloud", of("2.1.0"))
    install("second", "other", of("1.0.0"))
    both = "Ansible's collections for clouds: my.cloud 2.1.0, my.other 1.0.0"
    assert texts(doctor.collections()) == [("ok", both, "")]
    install("first", "cloud", of("1.9.0"))
    ((sign, text, mend),) = texts(doctor.collections())
    assert sign == "to mend"
    assert text == "Ansible's collections my.cloud 2.1.0 (1.9.0 is there) are not installed; clouds need them"
    assert "ansible galaxy collection install" in mend
    for broken in ("", "[]", "{}", '{"collection_info": []}'):
        folder = install("first", "cloud", broken)
        ((sign, text, _),) = texts(doctor.collections())
        assert f" my.cloud 2.1.0 (one without a version, in {folder}, is there) are" in text
    shutil.rmtree(tmp_path / "first")
    shutil.rmtree(tmp_path / "second/ansible_collections/my/other")
    assert [text for _, text, _ in texts(doctor.collections())] == [
        "Ansible's collections my.other 1.0.0 are not installed; clouds need them"
    ]
