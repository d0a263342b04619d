"""The files of a new project: inventories made from the shipped ones, and what lies in ``files/``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from stampede.machine.home import HOME
from stampede.schema.errors import BadInput
from stampede.schema.settings.shapes import CONTROL
from stampede.version import VERSION

FILES = Path(__file__).parent / "files"
PLACES = {
    "readme": "README.md",
    "requirements.txt": "requirements.txt",
    "first_scenario.py": "scenarios/first.py",
    "gitignore": ".gitignore",
    "github.yml": ".github/workflows/load-test.yml",
    "gitlab.yml": ".gitlab-ci.yml",
}
"""Where each of ``files/`` comes to lie."""
SCRIPT = "stampede_script: scenarios/first.py\n"
THRESHOLDS = "stampede_thresholds: [errors < 1 %, present_proof p95 < 5 s]\n"
CHANGES = {
    "local/group_vars/all.yml": (
        ("`make run`", "`stampede run`"),
        ('make run ARGS="-e stampede_holders=50"', "stampede run -e stampede_holders=50"),
        ("roles/run/README.md", "inventory/variables.schema.json"),
        # Where the command is typed: the playbooks may be anywhere.
        ("or playbook_dir | dirname }}", "or lookup('ansible.builtin.env', 'PWD') }}"),
        (
            "# A short run that exercises everything.\n",
            "# What a holder does, and what a run must achieve to pass.\n"
            f"{SCRIPT}{THRESHOLDS}\n# A short run that exercises everything.\n",
        ),
    ),
    "example/group_vars/all.yml": (
        ("roles/run/README.md describes all\n# variables.", "inventory/variables.schema.json\n# describes all."),
        ("# stampede_script: issue_present_revoke\n", SCRIPT),
        (" (docs/thresholds.md)", ""),
        (
            "# stampede_thresholds: [present_proof p95 response_time < 2 s, errors < 1 %, throughput >= 5/s during "
            "steady]\n",
            THRESHOLDS,
        ),
        (" (docs/influxdb.md)", ""),
        (" (docs/opentelemetry.md)", ""),
    ),
    "example/hosts.yml": (
        ("Copy this folder, list your hosts", "List your hosts"),
        ("ansible-playbook -i inventory/mine playbooks/provision.yml", "stampede provision -i inventory/fleet"),
        ("ansible-playbook -i inventory/mine playbooks/run-test.yml", "stampede run -i inventory/fleet"),
        ("ansible-playbook -i inventory/mine playbooks/teardown.yml", "stampede teardown -i inventory/fleet"),
    ),
    "local/hosts.yml": (),
    "aws/aws_ec2.yml": (),
    "aws/group_vars/load_hosts.yml": (),
    "aws/group_vars/all.yml": (
        (
            " docs/clouds.md shows how to use it, roles/cloud/README.md describes each\n# cloud_ variable, and "
            "roles/run/README.md each stampede_ variable.",
            "\n# inventory/variables.schema.json describes all variables.",
        ),
        ("stampede_holders: 300\n", f"{SCRIPT}{THRESHOLDS}stampede_holders: 300\n"),
    ),
    "hetzner/hcloud.yml": (),
    "hetzner/group_vars/load_hosts.yml": (),
    "hetzner/group_vars/all.yml": (
        (
            " docs/clouds.md shows how to use it, roles/cloud/README.md describes\n# each cloud_ variable, and "
            "roles/run/README.md each stampede_ variable.",
            "\n# inventory/variables.schema.json describes all variables.",
        ),
        ("stampede_holders: 300\n", f"{SCRIPT}{THRESHOLDS}stampede_holders: 300\n"),
    ),
    "variables.schema.json": (),
}
"""What reads differently in a project than in a checkout, by file of the shipped inventories."""


def make_project(folder: Path) -> list[Path]:
    """Write a new project's files, and return their paths in the order of reading.

    Raises BadInput when one of them is there already, or one cannot be written, or runs would refuse the folder's
    path; then nothing is left of the others.
    """
    _check_path(folder.resolve())
    texts = {folder / place: text for place, text in _texts()}
    made: list[Path] = []
    try:
        for file in texts:
            _check_place(folder, file.relative_to(folder))
        for file, text in texts.items():
            _make_folder(file.parent, made)
            with file.open("x", encoding="utf-8") as new:
                made.append(file)
                new.write(text)
    except OSError as error:
        for path in reversed(made):
            with contextlib.suppress(OSError):  # others may have put something there meanwhile
                path.rmdir() if path.is_dir() else path.unlink()
        raise BadInput(
            f"{error.filename or file} cannot be written ({error.strerror}); name a folder that you may make"
        ) from None
    return list(texts)


def _check_path(path: Path) -> None:
    """Raises BadInput when Ansible would take the path for several, or settings cannot hold it."""
    if "," in str(path) or CONTROL.search(str(path)):
        raise BadInput(
            f"{str(path)!r} has a comma, a control character or half a character, with which no run is possible; "
            "name another folder"
        )


def _check_place(folder: Path, place: Path) -> None:
    """Raises BadInput when a file cannot be made in its place, or would come to lie outside of the folder."""
    if os.path.lexists(folder / place):
        raise BadInput(f"{folder} has a {place} already, which is not overwritten; name another folder")
    for parent in place.parents:
        inside = folder / parent
        if os.path.lexists(inside) and not inside.is_dir():
            raise BadInput(f"{inside} is there and no folder, so {place} cannot be made in it; name another folder")
        if parent != Path() and inside.is_symlink():
            raise BadInput(f"{inside} is a link, so {place} would be elsewhere; name another folder")


def _make_folder(folder: Path, made: list[Path]) -> None:
    """A folder with those above it; what is made is added to ``made``."""
    if not folder.is_dir():
        _make_folder(folder.parent, made)
        folder.mkdir()
        made.append(folder)


def _texts() -> Iterator[tuple[str, str]]:
    for name, place in PLACES.items():
        yield place, (FILES / name).read_text(encoding="utf-8").replace("VERSION", VERSION)
    for name, changes in CHANGES.items():
        text = (HOME / "inventory" / name).read_text(encoding="utf-8")
        for old, new in changes:
            if old not in text:
                raise LookupError(f"inventory/{name} has no {old!r} any more")
            text = text.replace(old, new)
        yield f"inventory/{name.replace('example/', 'fleet/')}", text
