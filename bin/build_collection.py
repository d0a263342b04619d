#!/usr/bin/env python3
"""Build an Ansible collection of the playbooks, roles and plugins: dist/stampede-vc-VERSION.tar.gz.

The checkout is the one source. In the copy that is built, names of plugins and roles are qualified by the
collection's, and playbooks have names that are Python's, as Ansible wants them: run-test.yml is stampede.vc.run_test.

    .venv/bin/python bin/build_collection.py [FOLDER]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from stampede.version import VERSION  # noqa: E402

NAMESPACE, NAME = "stampede", "vc"
PREFIX = f"{NAMESPACE}.{NAME}."
COPIED = ("plugins", "roles", "playbooks", "dashboards", "LICENSE")
"""Of these, the files that Git has, and nothing of the builder's own."""
README = f"""\
# {NAMESPACE}.{NAME}

Load tests of verifiable-credential services with real holder wallets. Its plugins need the Python package of the same
version where Ansible runs: `pip install stampede-vc=={VERSION}`.

    stampede init my-tests && cd my-tests
    ansible-playbook -i inventory/local {PREFIX}run_test

Inventories of clouds, such as inventory/aws, are read by its plugin {PREFIX}stampede_cloud, which Ansible has to be
told: `ANSIBLE_INVENTORY_ENABLED={PREFIX}stampede_cloud,yaml,ini`.
"""


def generate(target: Path) -> None:
    """Write the collection's files below ``target``."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--", *COPIED), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        file = Path(name)
        if file.match("dashboards/*.py"):
            continue
        copy = target / (file.with_name(file.name.replace("-", "_")) if file.parts[0] == "playbooks" else file)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / file, copy)
    (target / "README.md").write_text(README)
    (target / "galaxy.yml").write_text(yaml.safe_dump(_galaxy(), sort_keys=False))
    (target / "meta").mkdir()
    (target / "meta/runtime.yml").write_text("requires_ansible: '>=2.21.0'\n")
    for file in target.rglob("*"):
        if file.suffix in (".py", ".yml"):
            text = file.read_text(encoding="utf-8")
            file.write_text(qualified(text, file.relative_to(target)), encoding="utf-8")


def _galaxy() -> dict[str, object]:
    return {
        "namespace": NAMESPACE,
        "name": NAME,
        "version": VERSION,
        "readme": "README.md",
        "authors": ["The Stampede contributors"],
        "description": "Load tests of verifiable-credential services with real holder wallets",
        "license": ["Apache-2.0"],
        "tags": ["testing", "didcomm"],
    }


def qualified(text: str, place: Path) -> str:
    """The text of a file, with the collection's name before those of its plugins and roles."""
    modules = "|".join(file.stem for file in (REPOSITORY / "plugins/modules").glob("*.py"))
    if place.parts[:2] == ("plugins", "action"):
        return re.sub(rf'(_execute_module\(\s*(?:module_name=)?")({modules})"', rf'\1{PREFIX}\2"', text)
    text = re.sub(rf"^( +(?:- )?)({modules}):", rf"\1{PREFIX}\2:", text, flags=re.MULTILINE)
    if place.suffix == ".py":
        return text
    filters = "|".join(file.stem for file in (REPOSITORY / "plugins/filter").glob("*.yml"))
    text = re.sub(rf"\|\s*({filters})\b", rf"| {PREFIX}\1", text)
    return re.sub(r'((?:include|import)_role:\n +name: "?)', rf"\1{PREFIX}", text)


def main() -> None:
    """Build it into the folder that is named, or dist/."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=REPOSITORY / "dist", metavar="FOLDER", help="dist")
    folder = parser.parse_args().folder.resolve()
    with tempfile.TemporaryDirectory() as name:
        generate(Path(name))
        galaxy = (sys.executable, "-m", "ansible", "galaxy", "collection", "build", "--force")
        subprocess.run([*galaxy, "--output-path", folder, name], check=True)


if __name__ == "__main__":
    main()
