"""Stampede as others get it: built, installed by pip outside of any checkout, and used in a project of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from installs import command, installed

from stampede.machine.ports import free_ports
from stampede.version import VERSION

REPOSITORY = Path(__file__).resolve().parents[2]
PINS = ("pyproject.toml", "requirements.txt", "requirements-host.txt", "constraints.txt")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built from an sdist, which was built from what Git would commit."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in command("git", "ls-files", "-co", "--exclude-standard", cwd=REPOSITORY).splitlines():
        if (REPOSITORY / name).is_file():  # not one that was removed and is not committed yet
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, source / name)
    command(sys.executable, "-m", "build", "--no-isolation", "--outdir", built, source)
    assert (built / f"stampede_vc-{VERSION}.tar.gz").is_file()
    return built / f"stampede_vc-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def venv(wheel: Path) -> Path:
    """A virtual environment with what pip takes the wheel to need, and the wheel as it is now."""
    pip = ("-m", "pip", "install", "--disable-pip-version-check", "-q")

    def make(folder: Path) -> None:
        command(sys.executable, "-m", "venv", folder)
        command(folder / "bin/python", *pip, "-c", REPOSITORY / "constraints.txt", wheel)

    folder = installed("installed", [sys.version, *(REPOSITORY / name for name in PINS)], make)
    command(folder / "bin/python", *pip, "--force-reinstall", "--no-deps", wheel)
    return folder


@pytest.fixture
def project(venv: Path, tmp_path: Path) -> Path:
    """The folder of a project that ``stampede init`` has made."""
    command(venv / "bin/stampede", "init", tmp_path / "my-tests")
    return tmp_path / "my-tests"


@pytest.fixture
def untouched(venv: Path) -> Iterator[None]:
    """What is installed is only read, for it may belong to somebody else."""
    (packages,) = venv.glob("lib/python*/site-packages")

    def files() -> dict[Path, int]:
        found = (file for name in ("controller", "reference", "stampede") for file in (packages / name).rglob("*"))
        return {file: file.stat().st_mtime_ns for file in found if file.is_file() and file.suffix != ".pyc"}

    before = files()
    yield
    assert files() == before


def played(project: Path, *words: str | Path) -> str:
    """The output of a short run, which must pass."""
    settings = {"holders": 2, "iterations": 1, "agents": 1, "ramp_up": "1s", "run_id": "first"}
    settings["reference_port"] = free_ports()
    return command(
        *words,
        *(word for name, value in settings.items() for word in ("-e", f"stampede_{name}={value}")),
        cwd=project,
        PWD=str(project),
        ANSIBLE_NOCOLOR="1",
    )


def check_results(project: Path, output: str) -> None:
    """A run that passed, with its results in the project."""
    assert "Passed: " in output and f"Report: {project}/results/first/report.html" in output
    assert (project / "results/first/local/journal.lp.gz").is_file()
    assert {path.name for path in project.glob(".stampede/*")} <= {"runs", "services"}


@pytest.mark.usefixtures("untouched")
def test_a_project_of_the_user_runs_with_what_pip_installed(venv: Path, project: Path) -> None:
    check_results(project, played(project, venv / "bin/stampede", "run"))
    assert "Passed" in command(venv / "bin/stampede", "report", "results/first", cwd=project)
    done = subprocess.run(
        [venv / "bin/stampede", "run", "-e", "stampede_holders=0"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 2 and "stampede_holders is '0'" in done.stdout + done.stderr


@pytest.mark.usefixtures("untouched")
def test_the_collection_runs_without_a_checkout(
    venv: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(sys.executable, REPOSITORY / "bin/build_collection.py", tmp_path)
    archive, folder = tmp_path / f"stampede-vc-{VERSION}.tar.gz", tmp_path / "collections"
    command(venv / "bin/ansible-galaxy", "collection", "install", "--offline", "-p", folder, archive)
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(folder))
    monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
    run = (venv / "bin/ansible-playbook", "-i", "inventory/local", "stampede.vc.run_test")
    check_results(project, played(project, *run))
    unqualified = re.compile(r"^ +(?:- )?stampede_(?:settings|watch|process|collect):|[|] stampede_", re.MULTILINE)
    for file in (folder / "ansible_collections/stampede/vc").rglob("*/tasks/*.yml"):
        assert not unqualified.search(file.read_text()), file


@pytest.mark.usefixtures("untouched")
def test_the_wheel_of_load_hosts_is_built_from_what_is_installed(venv: Path, wheel: Path, tmp_path: Path) -> None:
    code = "from pathlib import Path; import sys; from stampede.prepare.wheelhouse import own_wheel; "
    code += "own_wheel(*map(Path, sys.argv[1:]))"
    command(venv / "bin/python", "-c", code, tmp_path / "source", tmp_path / "wheels", cwd=tmp_path)
    (of_host,) = (tmp_path / "wheels").iterdir()

    def names(file: Path) -> set[str]:
        return {name for name in zipfile.ZipFile(file).namelist() if not name.startswith("stampede/shipped/")}

    assert names(of_host) == {name for name in names(wheel) if "licenses" not in name}
