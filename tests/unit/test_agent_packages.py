"""Packages with ACA-Py's plugins: what may be one, what is built of it, and whether ACA-Py takes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stampede.prepare import agent_packages
from stampede.prepare.agent_packages import AgentPackage, built_packages, package_problems
from stampede.prepare.overlay import build_overlay
from stampede.prepare.wheelhouse import Kind, fingerprint
from stampede.schema.errors import BadInput

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGIN = "tests/agent_plugin"
CONSTRAINTS = REPOSITORY / "constraints.txt"


def problems(*entries: str, plugins: tuple[str, ...] = ("p",), folder: Path = REPOSITORY) -> list[str]:
    return package_problems({"stampede_agent_packages": entries, "stampede_agent_plugins": plugins}, folder)


class TestEntries:
    @pytest.mark.parametrize(
        "entry",
        [
            "name",
            "name==1.0",
            "Name.x[extra] >= 1, < 2",
            "name @ https://example.org/name-1-py3-none-any.whl",
            "name @ git+https://example.org/n.git@v1#subdirectory=a",
            PLUGIN,
            "./tests/agent_plugin",
            str(REPOSITORY / PLUGIN),
        ],
    )
    def test_a_package(self, entry: str) -> None:
        assert problems(entry) == []

    @pytest.mark.parametrize(
        ("entry", "said"),
        [
            (
                "",
                "has '', which is no package; it must be a requirement such as NAME==1.0, or the path of a wheel or",
            ),
            ("-r requirements.txt", "which is no package"),
            ("--index-url=https://x.example.org", "but there is no such folder or wheel"),
            ("--pre", "which is no package"),
            (f"./{'x' * 300}", "a file's name must have at most 255"),
            ("a b", "which is no package"),
            ("https://example.org/a.tar.gz", "but there is no such folder or wheel"),
            (
                "name @ https://me:secret@example.org/n.zip",
                "has 'name @ https://***@example.org/n.zip', whose URL",
            ),
            ("n @ git+https://secret@example.org/n.git", "has 'n @ git+https://***@example.org/n.git', whose URL"),
            ("git+https://secret@example.org/n.git", "has 'git+https://***@example.org/n.git', which is no package"),
            ("./missing", "but there is no such folder or wheel ('/"),
            ("missing-1.0-py3-none-any.whl", "but there is no such folder or wheel ('/"),
            ("tests/unit", "has neither pyproject.toml nor setup.py; it must be a Python package's folder"),
            ("./pyproject.toml", "but there is no such folder or wheel"),
        ],
    )
    def test_what_is_none(self, entry: str, said: str) -> None:
        (sentence,) = problems("name", entry)
        assert sentence.startswith("stampede_agent_packages has ") and said in sentence

    def test_wheels(self, tmp_path: Path) -> None:
        for name in ("p-1.0-py3-none-any.whl", "p.whl"):
            with zipfile.ZipFile(tmp_path / name, "w"):
                pass
        (tmp_path / "q-1.0-py3-none-any.whl").write_text("no zip")
        assert problems("p-1.0-py3-none-any.whl", folder=tmp_path) == []
        (misnamed,) = problems("p.whl", folder=tmp_path)
        assert "which is not named as a wheel" in misnamed
        (broken,) = problems("q-1.0-py3-none-any.whl", folder=tmp_path)
        assert "is no wheel, which is a zip file" in broken

    def test_packages_of_which_nothing_is_loaded(self) -> None:
        (sentence,) = problems(PLUGIN, plugins=())
        assert "but stampede_agent_plugins names no plugin" in sentence
        assert problems(plugins=()) == []

    @pytest.mark.parametrize("value", [None, "name", [1], {"a": 1}])
    def test_a_wrong_shape_is_told_elsewhere(self, value: object) -> None:
        assert package_problems({"stampede_agent_packages": value}, REPOSITORY) == []

    @pytest.mark.fuzz
    @given(st.one_of(st.text(), st.from_regex(r"[a-z]{1,3}( ?@ ?|[=<>]=|\[|;)?(git\+)?(https://)?[a-z@:/.]{0,9}")))
    @example("~\x00")
    def test_any_text_is_a_package_or_not(self, entry: str) -> None:
        assert all(sentence.isprintable() for sentence in problems(entry))


def plugin_folder(folder: Path, module: str, text: str, needs: str = "[]", backend: str = "setuptools") -> Path:
    """A package with one module, which is a folder."""
    (folder / module).mkdir(parents=True)
    (folder / module / "__init__.py").write_text(text)
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["setuptools"]\nbuild-backend = "{backend}.build_meta"\n'
        f'[project]\nname = "test-{module}"\nversion = "1.0"\ndependencies = {needs}\n'
        f'[tool.setuptools]\npackages = ["{module}"]\n'
    )
    return folder


def files(folder: Path) -> set[Path]:
    return {file.relative_to(folder) for file in folder.rglob("*")}


class TestBuilding:
    def test_a_folder_is_built_once_for_each_content(self, tmp_path: Path) -> None:
        source = plugin_folder(tmp_path / "source", "one", "A = 1\n")
        before = files(source)
        (first,) = built_packages([str(source)], REPOSITORY, tmp_path / "cache")
        made = Path(first.requirement).stat().st_mtime_ns
        (again,) = built_packages([str(source)], REPOSITORY, tmp_path / "cache")
        assert again == first and Path(again.requirement).stat().st_mtime_ns == made
        assert (first.name, first.entry, first.is_wheel) == ("test-one", str(source), True)
        assert files(source) == before
        (source / "one/__init__.py").write_text("A = 2\n")
        (changed,) = built_packages([str(source)], REPOSITORY, tmp_path / "cache")
        assert changed.digest != first.digest
        assert zipfile.ZipFile(changed.requirement).read("one/__init__.py") == b"A = 2\n"
        kind = Kind("3.13", "x86_64", "2.41")
        names = {fingerprint(kind, packages) for packages in ([], [first], [changed])}
        assert len(names) == 3 and fingerprint(kind) in names

    def test_a_requirement_is_left_to_pip(self, tmp_path: Path) -> None:
        assert [(each.name, each.requirement) for each in built_packages(["A_b.c>=1"], REPOSITORY, tmp_path)] == [
            ("a-b-c", "A_b.c>=1")
        ]

    def test_one_that_cannot_be_built(self, tmp_path: Path) -> None:
        source = plugin_folder(tmp_path / "source", "one", "", backend="nobody")
        with pytest.raises(BadInput, match=r"which cannot be built into a wheel: .*nobody.*\(pip wheel\)") as raised:
            built_packages([str(source)], REPOSITORY, tmp_path / "cache")
        assert str(raised.value).isprintable()
        assert not list((tmp_path / "cache").glob("*/*.whl"))

    def test_one_that_is_there_twice(self, tmp_path: Path) -> None:
        source = plugin_folder(tmp_path / "source", "one", "")
        with pytest.raises(BadInput, match=r"'test.ONE==1', which is the package test-one, as is '"):
            built_packages([str(source), "test.ONE==1"], REPOSITORY, tmp_path / "cache")

    @pytest.mark.parametrize(
        "entries",
        [("Foo_Bar==1", "foo-bar"), ("p-1.0-py3-none-any.whl", "P>=1"), (PLUGIN, f"./{PLUGIN}")],
    )
    def test_one_that_is_there_twice_is_told_before_it_is_built(
        self, entries: tuple[str, str], tmp_path: Path
    ) -> None:
        with zipfile.ZipFile(tmp_path / "p-1.0-py3-none-any.whl", "w"):
            pass
        (tmp_path / "tests").symlink_to(REPOSITORY / "tests")
        (sentence,) = problems(*entries, folder=tmp_path)
        assert f"has {entries[1]!r}, which is the package " in sentence and sentence.endswith("it must be there once")

    def test_a_folder_behind_a_link_is_part_of_it(self, tmp_path: Path) -> None:
        source = plugin_folder(tmp_path / "source", "one", "")
        (source / "one").rename(tmp_path / "elsewhere")
        (source / "one").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere/again").symlink_to(tmp_path / "elsewhere")
        (first,) = built_packages([str(source)], REPOSITORY, tmp_path / "cache")
        assert "one/__init__.py" in zipfile.ZipFile(first.requirement).namelist()
        (tmp_path / "elsewhere/__init__.py").write_text("A = 2\n")
        (changed,) = built_packages([str(source)], REPOSITORY, tmp_path / "cache")
        assert changed.digest != first.digest

    def test_one_that_cannot_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_: Path) -> bytes:
            raise PermissionError(13, "Permission denied", "setup.py")

        monkeypatch.setattr(Path, "read_bytes", fail)
        with pytest.raises(BadInput, match=r"which cannot be read \(Permission denied: setup.py\); it must be a"):
            built_packages([PLUGIN], REPOSITORY, tmp_path / "cache")

    def test_one_that_is_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agent_packages, "MOST_FILES", 1)
        with pytest.raises(BadInput, match="has more than 1 files or 100 MB"):
            built_packages([PLUGIN], REPOSITORY, tmp_path / "cache")
        source = plugin_folder(tmp_path / "source", "one", "")
        (source / "everything").symlink_to("/")
        with pytest.raises(BadInput, match="has more than 1 files or 100 MB"):
            built_packages([str(source)], REPOSITORY, tmp_path / "cache")

    def test_what_this_python_has_is_not_installed_again(self, tmp_path: Path) -> None:
        source = plugin_folder(tmp_path / "source", "one", "", needs='["aiohttp"]')
        packages = built_packages([str(source), "psutil"], REPOSITORY, tmp_path)
        overlay = build_overlay(packages, sys.executable, CONSTRAINTS, tmp_path)
        assert {path.name for path in overlay.iterdir()} == {"one", "test_one-1.0.dist-info"}
        assert build_overlay(packages, sys.executable, CONSTRAINTS, tmp_path) == overlay

    def test_a_version_that_does_not_go_with_the_agents(self, tmp_path: Path) -> None:
        source = plugin_folder(tmp_path / "source", "one", "", needs='["aiohttp<3"]')
        packages = built_packages([str(source)], REPOSITORY, tmp_path)
        with pytest.raises(
            BadInput, match=r"which cannot be installed beside the packages of .*: .*test-one"
        ) as raised:
            build_overlay(packages, sys.executable, CONSTRAINTS, tmp_path)
        assert "; test-one 1.0 depends on aiohttp<3; The user requested (constraint) aiohttp==" in str(raised.value)
        assert not list(tmp_path.glob("overlay-*"))


NOISY = 'print("hello")\nasync def setup(context):\n    pass\n'


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modules, as an overlay has them, of which some are plugins."""
    folder = tmp_path_factory.mktemp("modules")
    for name, text in (("noisy", NOISY), ("idle", ""), ("broken", "1/0\n"), ("quits", "raise SystemExit(0)\n")):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(text)
    (folder / "single.py").write_text(NOISY)
    for name, module, needs in (("one", "noisy", "test_Two[x]>1"), ("two", "lib", ""), ("three", "idle", "")):
        info = folder / f"test_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: test-{name}\nVersion: 1.0\n" + f"Requires-Dist: {needs}\n" * bool(needs)
        )
        (info / "RECORD").write_text(f"{module}/__init__.py,,\n../../bin/tool.py,,\n")
    return folder


class TestWhetherAcapyTakesThem:
    def asked(self, modules: Path, plugins: list[str], packages: dict[str, str]) -> tuple[int, list[str]]:
        done = subprocess.run(
            [sys.executable, "-m", "controller.agents.plugin_check"],
            input=json.dumps({"host": "load-1", "plugins": plugins, "packages": packages}),
            env=os.environ | {"PYTHONPATH": str(modules)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.returncode, done.stdout.splitlines()

    def test_plugins(self, modules: Path) -> None:
        assert self.asked(modules, ["noisy", "reference.didweb_anoncreds"], {"test-one": "./one"}) == (0, [])

    def test_a_package_that_a_plugin_needs(self, modules: Path) -> None:
        assert self.asked(modules, ["noisy"], {"test-one": "./one", "test-two": "two==1"}) == (0, [])

    def test_what_is_none(self, modules: Path) -> None:
        names = ["missing", "idle", "broken", "quits", "single"]
        code, said = self.asked(modules, names, {})
        assert code == 1 and len(said) == len(names)
        for name, sentence, words in zip(
            names,
            said,
            (
                "cannot be imported on load-1 (ModuleNotFoundError: No module named 'missing')",
                "which ACA-Py does not take; it must be a package (a folder) with a function setup(), or",
                "cannot be imported on load-1 (ZeroDivisionError: ",
                "cannot be imported on load-1 (SystemExit: 0)",
                "which ACA-Py does not take; it must be a package (a folder)",
            ),
            strict=True,
        ):
            assert sentence.startswith(f"stampede_agent_plugins has {name!r}, ") and words in sentence

    def test_packages_that_are_none_or_not_there(self, modules: Path) -> None:
        packages = {"test-one": "./one", "test-three": "./three", "test-four": "four"}
        code, said = self.asked(modules, ["noisy"], packages)
        assert code == 1
        assert said == [
            "stampede_agent_packages has 'four', but the package test-four is not installed on load-1; "
            "stampede provision installs it",
            "stampede_agent_packages has './three', but stampede_agent_plugins names none of its modules (idle); it "
            "must be the package of a plugin that is named there, or one that such a package needs",
        ]


def test_only_the_newest_wheels_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_packages, "KEPT", 1)
    packages: list[AgentPackage] = []
    for number in (1, 2):
        source = plugin_folder(tmp_path / "source", "one", f"A = {number}\n")
        packages += built_packages([str(source)], REPOSITORY, tmp_path / "cache")
        os.utime(Path(packages[-1].requirement).parent, (number, number))
        shutil.rmtree(source)
    built_packages(["name"], REPOSITORY, tmp_path / "cache")
    assert [Path(package.requirement).exists() for package in packages] == [False, True]
