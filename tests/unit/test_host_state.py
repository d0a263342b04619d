"""What a prepared host is compared with, and that every doubt is a difference."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugin_files import load_plugin

state = load_plugin("modules/stampede_host_state")
NOTHING: dict[str, Any] = {"packages": [], "user": {}, "files": {}, "folders": {}}


def differences(**wanted: Any) -> list[str]:
    return list(state.differences(NOTHING | wanted))


@pytest.fixture
def of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests make is root's, whoever plays them."""
    lstat = os.lstat

    def as_root(path: Any) -> os.stat_result:
        found = lstat(path)
        return os.stat_result((*found[:4], 0, *found[5:10]))

    monkeypatch.setattr(state.os, "lstat", as_root)


def make_folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o750)


def link_to_a_folder(path: Path) -> None:
    make_folder(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


@pytest.mark.usefixtures("of_root")
@pytest.mark.parametrize(
    ("make", "is_right"),
    [
        (make_folder, True),
        (lambda path: path.mkdir(mode=0o700), False),
        (link_to_a_folder, False),
        (lambda path: path.touch(0o750), False),
        (lambda path: None, False),
    ],
)
def test_a_folder_is_a_folder_with_its_mode(tmp_path: Path, make: Callable[[Path], None], is_right: bool) -> None:
    folder = tmp_path / "folder"
    make(folder)
    assert differences(folders={str(folder): {"mode": "0750"}}) == ([] if is_right else [f"folder {folder}"])


@pytest.mark.usefixtures("of_root")
def test_a_folder_has_its_group(tmp_path: Path) -> None:
    make_folder(tmp_path / "f")
    own = state.grp.getgrgid((tmp_path / "f").stat().st_gid).gr_name
    other = next(group.gr_name for group in state.grp.getgrall() if group.gr_name != own)
    assert differences(folders={f"{tmp_path}/f": {"mode": "0750", "group": own}}) == []
    for group in (other, "nobody-has-this"):
        assert differences(folders={f"{tmp_path}/f": {"mode": "0750", "group": group}}) == [f"folder {tmp_path}/f"]


def test_what_is_not_root_s_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "f")
    lstat = os.lstat
    monkeypatch.setattr(state.os, "lstat", lambda path: os.stat_result((*lstat(path)[:4], 65534, *lstat(path)[5:10])))
    assert differences(folders={f"{tmp_path}/f": {"mode": "0750"}}) == [f"folder {tmp_path}/f"]


@pytest.mark.usefixtures("of_root")
@pytest.mark.parametrize(
    ("text", "mode", "is_right"),
    [("ä\n", 0o644, True), ("ä", 0o644, False), ("ä\n", 0o600, False), ("", 0o644, False)],
)
def test_a_file_has_its_text_and_mode(tmp_path: Path, text: str, mode: int, is_right: bool) -> None:
    file = tmp_path / "unit"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    assert differences(files={str(file): "ä\n"}) == ([] if is_right else [f"file {file}"])
    (tmp_path / "link").symlink_to(file)
    assert differences(files={f"{tmp_path}/link": "ä\n"}) == [f"file {tmp_path}/link"]


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ("python3 installed\npython3-venv installed\n", []),
        ("python3 installed\npython3-venv config-files\n", ["package python3-venv"]),
        ("python3 installed\n", ["package python3-venv"]),
        ("", ["package python3", "package python3-venv"]),
    ],
)
def test_packages_are_those_that_dpkg_has_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, missing: list[str]
) -> None:
    (tmp_path / "said").write_text(said)
    (tmp_path / "dpkg-query").write_text(f"#!/bin/sh\ncat {tmp_path}/said\nexit 1\n")
    (tmp_path / "dpkg-query").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert differences(packages=["python3", "python3-venv"]) == missing


def test_without_dpkg_packages_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert differences(packages=["python3"]) == ["package python3"]


@pytest.mark.parametrize(
    ("entry", "shadow", "is_right"),
    [
        ({}, "other:$6$x:1::::::\nstampede:!:1::::::\n", True),
        ({}, "stampede:!*:1::::::\n", True),
        ({}, "stampede:$6$x:1::::::\n", False),
        ({}, "stampede-2:!:1::::::\n", False),
        ({"pw_shell": "/bin/sh"}, "stampede:!:1::::::\n", False),
        ({"pw_dir": "/home/stampede"}, "stampede:!:1::::::\n", False),
        ({"pw_gecos": ""}, "stampede:!:1::::::\n", False),
        (None, "stampede:!:1::::::\n", False),
    ],
)
def test_a_user_has_its_entry_and_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: dict[str, str] | None, shadow: str, is_right: bool
) -> None:
    (tmp_path / "shadow").write_text(shadow)
    monkeypatch.setattr(state, "SHADOW", tmp_path / "shadow")
    right = {"pw_gecos": "Runs", "pw_dir": "/var/lib/stampede", "pw_shell": "/usr/sbin/nologin"}

    def found(name: str) -> Any:
        if entry is None:
            raise KeyError(name)
        of = right | entry
        return pwd.struct_passwd((name, "x", 999, 999, of["pw_gecos"], of["pw_dir"], of["pw_shell"]))

    monkeypatch.setattr(state.pwd, "getpwnam", found)
    user = {"name": "stampede", "comment": "Runs", "home": "/var/lib/stampede", "shell": "/usr/sbin/nologin"}
    assert differences(user=user) == ([] if is_right else ["user stampede"])


def test_a_virtualenv_counts_when_it_is_complete(tmp_path: Path) -> None:
    link, venv = tmp_path / "venv", tmp_path / "venv-0123abc"
    assert state.fingerprint(link) == ""
    venv.mkdir()
    link.symlink_to(venv.name)
    assert state.fingerprint(link) == ""
    (venv / "complete").touch()
    assert state.fingerprint(link) == "0123abc"
    link.unlink()
    venv.rename(link)
    assert state.fingerprint(link) == ""


def test_a_python_says_what_it_is() -> None:
    found = state.about(sys.executable)
    assert found["minor"] == [sys.version_info.major, sys.version_info.minor]
    assert set(found) == {"version", "minor", "machine", "libc"}


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false", "/bin/true", "/bin/echo"])
def test_what_is_no_python_says_nothing(python: str) -> None:
    assert state.about(python) == {}
