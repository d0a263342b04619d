"""The image of the control node: hadolint finds no fault in its recipe, and its steps build something that works.

The steps are done in the test hosts' base tree, since there need be no container engine, and no registry of images.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from installs import command, had, program
from software import hadolint

from .base import base_tree
from .fleet import why_not_here
from .playbooks import REPOSITORY

pytestmark = pytest.mark.timeout(1500)  # the first to need the base tree makes it

FILE = REPOSITORY / "Containerfile"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""That of an image."""


def test_the_recipe_has_no_fault() -> None:
    assert command(had(hadolint), FILE) == ""


def steps() -> list[tuple[str, str]]:
    """The recipe's instructions, each with what follows it."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, rest in (line.split(" ", 1) for line in text.splitlines() if line)]


def context() -> list[Path]:
    """What of the repository a build sees: files that git knows, as .containerignore leaves them."""
    rules = [line for line in (REPOSITORY / ".containerignore").read_text().splitlines() if line and line[0] != "#"]
    known = command("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=REPOSITORY).splitlines()
    shown = [rule[1:] for rule in rules if rule.startswith("!")]
    assert rules[0] == "*"
    return [
        Path(name)
        for name in known
        if any(fnmatch.fnmatch(name, rule) or name.startswith(f"{rule}/") for rule in shown)
    ]


@dataclass
class Stage:
    """A stage of the build, or the image: a tree on top of the base tree."""

    root: Path
    folder: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"

    def run(self, *words: str) -> str:
        """What a command prints in it."""
        given = {"PATH": PATH, "HOME": "/root" if self.user == "root" else "/home/stampede"}
        given |= {
            name: value for name, value in os.environ.items() if name.startswith("PIP_") or "proxy" in name.lower()
        }
        given |= self.environment
        inside = (
            program("chroot", "coreutils"),
            "--userspec",
            self.user,
            str(self.root),
            "/usr/bin/env",
            "-C",
            self.folder,
            *words,
        )
        done = subprocess.run(inside, env=given, capture_output=True, text=True, check=False, timeout=580)
        assert done.returncode == 0, f"{shlex.join(words)[:200]}: {(done.stdout + done.stderr)[-2000:]}"
        return done.stdout

    def copy(self, sources: list[Path], target: str) -> None:
        """Files of the context, into a folder of it."""
        for source in sources:
            place = self.root / (self.folder + "/" + target).lstrip("/") / source
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / source, place)


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Stage]:
    if reason := why_not_here():
        pytest.skip(reason)
    base, stages, mounted = base_tree(print), dict[str, Stage](), list[Path]()
    try:
        stage = Stage(tmp_path)
        for word, rest in steps():
            match word:
                case "FROM":
                    name = rest.split(" AS ")[-1]
                    stage = stages[name] = Stage(laid(base, tmp_path / str(len(stages)), mounted))
                case "RUN":
                    stage.run("sh", "-c", rest)
                case "COPY" if rest.startswith("--from="):
                    source, at, to = shlex.split(rest.removeprefix("--from="))
                    shutil.copytree(stages[source].root / at[1:], stage.root / to[1:], symlinks=True)
                case "COPY":
                    wanted = shlex.split(rest)[0]
                    stage.copy([file for file in context() if wanted in (".", str(file))], "")
                case "WORKDIR":
                    stage.folder = rest
                    (stage.root / rest[1:]).mkdir(parents=True, exist_ok=True)
                case "ENV":
                    pairs = (pair.split("=", 1) for pair in shlex.split(rest))
                    stage.environment |= {key: value.replace("$PATH", PATH) for key, value in pairs}
                case "USER":
                    stage.user = rest
        yield stage
    finally:
        for root in reversed(mounted):
            subprocess.run(["umount", "--lazy", root], check=True)


def laid(base: Path, folder: Path, mounted: list[Path]) -> Path:
    """A tree of its own on top of the base tree, which reaches the same package indexes as this machine."""
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(parents=True)
    root = folder / "root"
    layers = f"lowerdir={base},upperdir={folder}/upper,workdir={folder}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, root], check=True)
    mounted.append(root)
    for name in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
        (root / name).unlink(missing_ok=True)
        shutil.copyfile(f"/{name}", root / name)
    for shared in ("dev", "dev/shm", "proc"):
        subprocess.run(["mount", "--bind", f"/{shared}", root / shared], check=True)
        mounted.append(root / shared)
    return root


def test_its_steps_build_a_control_node(image: Stage) -> None:
    assert steps()[-2:] == [("ENTRYPOINT", '["stampede"]'), ("CMD", '["--help"]')]
    assert image.run("stampede", "--version").startswith("stampede ")
    user, image.user = image.user, "root"
    image.run("chown", user, "/project")  # as a volume of the user's would be
    image.user = user
    image.run("stampede", "init", "tests")
    image.folder = "/project/tests"
    said = image.run("stampede", "run", "--check")
    assert "Nothing was started." in said, said
