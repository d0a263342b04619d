"""`make release`: what it builds can be installed, its SBOM is complete, its sums can be signed and verified."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from documentation_blocks import REPOSITORY, RUN, blocks
from packaging.utils import canonicalize_name

from stampede.version import VERSION

pytestmark = pytest.mark.slow

WHEEL, SDIST, SBOM = (f"stampede_vc-{VERSION}{end}" for end in ("-py3-none-any.whl", ".tar.gz", ".cdx.json"))
COLLECTION = f"stampede-vc-{VERSION}.tar.gz"
CONSTRAINTS = "constraints.txt"


def release(folder: Path, repository: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "bin/release"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made in a clone in which somebody is at work: nothing of that is part of a release."""
    folder, clone = tmp_path_factory.mktemp("release") / "dist", tmp_path_factory.mktemp("clone") / "stampede"
    subprocess.run(["git", "clone", "-q", "--no-local", str(REPOSITORY), str(clone)], check=True)
    with (clone / "requirements.lock").open("a") as lock:
        lock.write("not-committed==1.0\n")
    (clone / "stampede/version.py").write_text('VERSION = "99"\n')
    with (clone / "stampede/report/assets/uPlot.iife.min.js").open("a") as script:
        script.write("// not committed\n")
    done = release(folder, clone)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def sbom(dist: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((dist / SBOM).read_text())
    return found


def documented(beginning: str) -> str:
    [block] = [
        each for each in blocks((REPOSITORY / "docs/releasing.md").read_text()) if each.text.startswith(beginning)
    ]
    return block.text


def test_it_makes_the_six_files_that_are_documented(dist: Path) -> None:
    made = {file.name for file in dist.iterdir()}
    assert made == {WHEEL, SDIST, COLLECTION, CONSTRAINTS, SBOM, "SHA256SUMS"}
    table = (REPOSITORY / "docs/releasing.md").read_text().partition("| file | is |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.rpartition(" | ")[0])}
    assert {name.replace("VERSION", VERSION) for name in named} == made


def test_the_constraints_are_those_of_the_lock(dist: Path) -> None:
    given = re.findall(r"^[^\s#]\S*==\S+", (dist / CONSTRAINTS).read_text(), re.M)
    locked = re.findall(r"^[^\s#]\S*==[^\s;]+", (REPOSITORY / "requirements.lock").read_text(), re.M)
    assert set(locked) <= set(given)


def test_the_documented_commands_name_no_version() -> None:
    assert re.findall(r"\d+\.\d+\.\d+", documented("git tag")) == []


def test_the_wheel_has_the_command_and_what_is_not_python(dist: Path) -> None:
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        names = set(wheel.namelist())
        [entry_points] = [name for name in names if name.endswith("entry_points.txt")]
        assert "stampede = stampede.cli:main" in wheel.read(entry_points).decode()
    assert {
        "stampede/report/report.html.j2",
        "stampede/report/assets/uPlot.iife.min.js",
        "stampede/py.typed",
    } <= names
    assert not any(name.startswith(("tests/", "website/", "benchmarks/")) for name in names)


def test_the_sbom_has_every_package_of_the_lock_and_the_javascript(sbom: dict[str, Any]) -> None:
    lock = (REPOSITORY / "requirements.lock").read_text()
    locked = {(canonicalize_name(name), version) for name, version in re.findall(r"^(\S+)==([^\s;]+)", lock, re.M)}
    listed = {(canonicalize_name(each["name"]), each["version"]) for each in sbom["components"]}
    assert len(locked) > 80
    assert listed - locked == {("uplot", "1.6.32")}
    assert locked <= listed
    root = sbom["metadata"]["component"]
    assert (root["name"], root["version"]) == ("stampede-vc", VERSION)
    [tree] = sbom["dependencies"]
    assert len(tree["dependsOn"]) == len(listed)


def test_each_package_of_the_sbom_has_its_hashes(sbom: dict[str, Any]) -> None:
    for component in sbom["components"]:
        given = component.get("hashes") or [
            each for reference in component["externalReferences"] for each in reference.get("hashes", ())
        ]
        assert given, component["name"]


def test_the_hash_of_the_javascript_is_that_of_the_file_in_the_wheel(dist: Path, sbom: dict[str, Any]) -> None:
    [uplot] = [component for component in sbom["components"] if component["name"] == "uplot"]
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        content = wheel.read("stampede/report/assets/uPlot.iife.min.js")
    assert uplot["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]


@pytest.fixture
def signed(dist: Path, tmp_path: Path) -> Path:
    """A copy of the release, signed by the documented command with a key of our own, as readers have it."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for file in dist.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    sign = documented(RUN[2]).replace("~/.ssh/id_ed25519", str(key))
    subprocess.run(["bash", "-c", sign], cwd=tmp_path, check=True, capture_output=True)
    name, namespaces = documented("releases@").split()[:2]
    (folder / "allowed_signers").write_text(f"{name} {namespaces} {key.with_suffix('.pub').read_text()}")
    return folder


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    script = "set -e\n" + documented(RUN[3])
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def test_the_sums_can_be_verified_as_documented(signed: Path) -> None:
    done = verify(signed)
    assert done.returncode == 0, done.stderr
    assert 'Good "stampede-release" signature for releases@example.org' in done.stdout
    assert all(f"{name}: OK" in done.stdout for name in (WHEEL, SDIST, COLLECTION, CONSTRAINTS, SBOM))


@pytest.mark.parametrize("name", [WHEEL, SBOM, "SHA256SUMS"])
def test_a_file_that_was_changed_is_found(signed: Path, name: str) -> None:
    with (signed / name).open("a") as file:
        file.write("\n")
    assert verify(signed).returncode != 0


def test_the_signature_of_another_key_is_not_taken(signed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    (signed / "SHA256SUMS.sig").unlink()
    words = ["ssh-keygen", "-Y", "sign", "-f", str(other), "-n", "stampede-release", str(signed / "SHA256SUMS")]
    subprocess.run(words, check=True, capture_output=True)
    assert verify(signed).returncode != 0


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "older.whl").touch()
    done = release(tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"bin/release: {tmp_path} holds older.whl; it must be new or empty\n"
