"""Wheels are those that were locked, by their hashes: those that are downloaded, and those that hosts install."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stampede.prepare import wheelhouse
from stampede.prepare.wheel_hashes import LIST, hash_problems, write_list
from stampede.schema.errors import BadInput

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
KIND = wheelhouse.Kind(f"{sys.version_info[0]}.{sys.version_info[1]}", "x86_64", "2.41")


def wheel(folder: Path, name: str, version: str = "1.0", content: str = "") -> Path:
    """A small wheel that pip can install."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(f"{name}.py", content)
        packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")
    return file


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def lock(folder: Path, *wheels: Path) -> Path:
    """A lock file that has these wheels, each after another file of its version."""
    lines = [
        f"{file.name.split('-')[0]}==1.0 ; python_version > '3' \\\n"
        f"    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{sha256(file)}\n"
        for file in wheels
    ]
    (folder / "requirements.lock").write_text("".join(lines))
    return folder / "requirements.lock"


class TestDownload:
    def test_wheels_that_are_locked_are_right(self, tmp_path: Path) -> None:
        files = [wheel(tmp_path / "wheels", name) for name in ("one", "an_other")]
        assert list(hash_problems(tmp_path / "wheels", lock(tmp_path, *files), own=())) == []

    def test_a_wheel_with_another_content_is_told_by_its_name_and_hash(self, tmp_path: Path) -> None:
        wheels = tmp_path / "wheels"
        locked = lock(tmp_path, wheel(wheels, "one"), wheel(wheels, "two"))
        changed = wheel(wheels, "one", content="import os")
        assert list(hash_problems(wheels, locked, own=())) == [
            f"one-1.0-py3-none-any.whl has the SHA-256 {sha256(changed)}, which requirements.lock does not have for "
            "one; pip must get the files that were locked, so look at its package index, or lock anew (make lock)"
        ]

    def test_a_wheel_that_is_not_locked_is_told(self, tmp_path: Path) -> None:
        wheels = tmp_path / "wheels"
        locked = lock(tmp_path, wheel(wheels, "one"))
        wheel(wheels, "more")
        [problem] = hash_problems(wheels, locked, own=())
        assert problem.startswith("more-1.0-py3-none-any.whl has the SHA-256 ")

    def test_the_hash_of_another_package_does_not_do(self, tmp_path: Path) -> None:
        wheels = tmp_path / "wheels"
        locked = lock(tmp_path, wheel(wheels, "one"), wheel(wheels, "two"))
        (wheels / "one-1.0-py3-none-any.whl").write_bytes((wheels / "two-1.0-py3-none-any.whl").read_bytes())
        assert len(list(hash_problems(wheels, locked, own=()))) == 1

    def test_packages_of_the_user_need_no_place_in_the_lock_but_others_do(self, tmp_path: Path) -> None:
        wheels = tmp_path / "wheels"
        locked = lock(tmp_path, wheel(wheels, "one"))
        wheel(wheels, "mine")
        wheel(wheels, "brought_along")
        assert list(hash_problems(wheels, locked, own={"mine"})) == []
        wheel(wheels, "one", content="import os")
        assert len(list(hash_problems(wheels, locked, own={"mine"}))) == 1

    def test_nothing_is_kept_of_a_wheelhouse_with_a_wrong_wheel(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in wheelhouse.BESIDE_THEM:
            (tmp_path / name).write_text("")

        def download(*words: str) -> str:
            wheel(Path(words[words.index("--dest") + 1]), "one")
            return ""

        monkeypatch.setattr(wheelhouse, "pip", download)
        monkeypatch.setattr(wheelhouse.home, "HOME", tmp_path)
        with pytest.raises(BadInput, match=r"one-1\.0-py3-none-any\.whl has the SHA-256"):
            wheelhouse.build(tmp_path / "cache", KIND)
        assert [file.name for file in (tmp_path / "cache").iterdir()] == ["lock"]


class TestHost:
    """``pip`` as a load host calls it (plugins/modules/stampede_venv.py)."""

    def install(self, wheels: Path, target: Path) -> subprocess.CompletedProcess[str]:
        words = ("--no-index", f"--find-links={wheels}", "--no-deps", "--require-hashes", "-r", str(wheels / LIST))
        command = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--target", str(target), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def test_it_installs_what_is_listed_and_nothing_else(self, tmp_path: Path) -> None:
        wheels = tmp_path / "wheels"
        wheel(wheels, "one")
        write_list(wheels)
        wheel(wheels, "more")
        done = self.install(wheels, tmp_path / "target")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "target/one.py").exists()
        assert not (tmp_path / "target/more.py").exists()

    def test_it_refuses_a_wheel_that_was_changed_on_the_way(self, tmp_path: Path) -> None:
        wheels = tmp_path / "wheels"
        wheel(wheels, "one")
        write_list(wheels)
        wheel(wheels, "one", content="import os")
        done = self.install(wheels, tmp_path / "target")
        assert done.returncode == 1
        assert "DO NOT MATCH THE HASHES" in done.stderr
        assert not (tmp_path / "target/one.py").exists()

    def test_the_wheelhouse_has_the_list_with_the_projects_own_wheel(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """But for the download, the real build: the wheel is that of this checkout."""

        def nothing_to_download(*words: str) -> str:
            if words[0] != "download":
                return real_pip(*words)
            wheel(Path(words[words.index("--dest") + 1]), "one")
            return ""

        real_pip = wheelhouse.pip
        monkeypatch.setattr(wheelhouse, "pip", nothing_to_download)
        monkeypatch.setattr(wheelhouse, "hash_problems", lambda *given: [])
        tar = wheelhouse.build(tmp_path / "cache", KIND)
        with tarfile.open(tar) as packed:
            packed.extractall(tmp_path / "wheels", filter="data")
        [own] = (tmp_path / "wheels").glob("stampede_vc-*.whl")
        listed = dict(line.split(" --hash=sha256:") for line in (tmp_path / "wheels" / LIST).read_text().splitlines())
        assert listed[f"stampede-vc=={own.name.split('-')[1]}"] == sha256(own)
        assert len(listed) == 2


class TestLocks:
    """What `make lock` writes follows from the requirements files."""

    def pins(self, file: str) -> dict[str, str]:
        found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (REPOSITORY / file).read_text(), re.MULTILINE)
        return {canonicalize_name(name): version for name, version in found}

    @pytest.mark.parametrize("file", LOCKS)
    def test_each_has_the_versions_of_the_constraints_and_a_hash_of_each(self, file: str) -> None:
        text = (REPOSITORY / file).read_text().replace("\\\n", " ")
        for line in filter(None, text.splitlines()):
            requirement, *hashes = line.split(" --hash=")
            assert Requirement(requirement).specifier, line
            assert hashes
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64} *", each) for each in hashes), line
        assert self.pins(file).items() <= self.pins("constraints.txt").items()

    def test_the_constraints_are_those_of_the_largest_lock(self) -> None:
        assert self.pins("constraints.txt") == self.pins("requirements-dev.lock")

    @pytest.mark.parametrize("file", ["requirements.txt", "requirements-host.txt", "requirements-dev.txt"])
    def test_what_is_required_is_locked(self, file: str) -> None:
        locked = self.pins("requirements-dev.lock" if file == "requirements-dev.txt" else "requirements.lock")
        assert self.pins(file)
        assert self.pins(file).items() <= locked.items()
