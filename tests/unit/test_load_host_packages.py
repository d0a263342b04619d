"""A load host has requirements-host.txt and what that brings along, and nothing of the control node: it runs so."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stampede.prepare.rendering import render_script

REPOSITORY = Path(__file__).resolve().parents[2]
CONTROL_NODE_ONLY = {"ansible-core", "fabric", "invoke", "numpy", "paramiko", "pygments", "rich"}

# Runs a file as a load host does: whatever is not installed there cannot be imported.
ON_A_LOAD_HOST = """
import runpy, sys
from importlib.machinery import PathFinder

class Installed:
    find_distributions = staticmethod(PathFinder.find_distributions)

    def __init__(self, allowed, finders):
        self.allowed, self.finders = allowed, finders

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.allowed or name.startswith("_sysconfigdata"):  # Python's own
            return next(filter(None, (finder.find_spec(name, path, target) for finder in self.finders)), None)

allowed, sys.argv = set(sys.argv[1].split(",")), sys.argv[2:]
sys.meta_path[:] = [Installed(allowed | set(sys.stdlib_module_names), sys.meta_path[:])]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

IMPORTS_ALL = """
import importlib, pkgutil, controller
for module in pkgutil.walk_packages(controller.__path__, "controller."):
    importlib.import_module(module.name)
    print(module.name)
"""


def pinned(file: str) -> dict[str, str]:
    """The versions that a requirements file pins, by package."""
    lines = (REPOSITORY / file).read_text().splitlines()
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)", line) for line in lines if line and line[0] not in "#-"]
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def resolved(names: set[str]) -> set[str]:
    """These packages and all that they need, by what the installed ones say of themselves."""
    done: set[str] = set()
    waiting = {(name, "") for name in names}
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        seen.add((name, extra))
        done.add(name)
        for text in distribution(name).requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                key = canonicalize_name(needed.name)
                waiting |= {(key, found) for found in ("", *needed.extras)} - seen
    return done


@pytest.fixture(scope="module")
def host_packages() -> set[str]:
    return resolved(set(pinned("requirements-host.txt")))


def on_a_load_host(packages: set[str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a Python file where only these packages and Stampede itself can be imported."""
    modules = {
        module
        for module, owners in packages_distributions().items()
        if packages & {canonicalize_name(owner) for owner in owners}
    }
    allowed = ",".join(sorted(modules | {"controller", "stampede", "__main__"}))
    return subprocess.run(
        [sys.executable, "-c", ON_A_LOAD_HOST, allowed, *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_package_of_the_control_node_is_among_them(host_packages: set[str]) -> None:
    assert host_packages >= {"acapy-agent", "aiohttp", "uvloop"}
    assert host_packages & CONTROL_NODE_ONLY == set()


def test_each_is_pinned_in_the_version_that_is_installed(host_packages: set[str]) -> None:
    constraints = pinned("constraints.txt")
    assert {name: constraints.get(name) for name in host_packages} == {
        name: distribution(name).version for name in host_packages
    }


@pytest.mark.parametrize(("verb", "said"), [("check", ""), ("dry-run", "A run of 4 holders would take about")])
def test_the_controller_script_runs_on_them(
    host_packages: set[str], variables: dict[str, Any], tmp_path: Path, verb: str, said: str
) -> None:
    script = tmp_path / "controller_script.py"
    script.write_text(render_script(variables, REPOSITORY / "templates"))
    done = on_a_load_host(host_packages, script, verb)
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout


def test_every_module_of_the_controller_can_be_imported(host_packages: set[str], tmp_path: Path) -> None:
    (tmp_path / "imports.py").write_text(IMPORTS_ALL)
    done = on_a_load_host(host_packages, tmp_path / "imports.py")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    files = (file.relative_to(REPOSITORY).with_suffix("") for file in (REPOSITORY / "controller").rglob("*.py"))
    assert set(done.stdout.split()) | {"controller"} == {
        ".".join(file.parts).removesuffix(".__init__") for file in files
    }


@pytest.mark.parametrize("module", ["fabric", "numpy", "rich", "stampede.report.page"])
def test_what_needs_the_control_node_fails_there(host_packages: set[str], tmp_path: Path, module: str) -> None:
    """The tests above can fail: these modules are installed here, and are absent there."""
    (tmp_path / "imports.py").write_text(f"import {module}\n")
    done = on_a_load_host(host_packages, tmp_path / "imports.py")
    assert done.returncode == 1
    assert re.search(r"ModuleNotFoundError: No module named '[\w.]+'", done.stderr), done.stderr
