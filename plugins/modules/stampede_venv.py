#!/usr/bin/python
"""A virtualenv of exactly the wheels of one wheelhouse. Runs on the host, on its plain Python.

``plugins/action/stampede_venv.py`` runs it twice: without ``wheelhouse`` to learn whether one is needed, and then
with it. The link to the virtualenv in use is replaced only when the new one is complete.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stampede_venv
short_description: create a virtualenv from a wheelhouse
description:
  - The host needs no package index. The wheelhouse is copied to the host only when it is not installed already.
  - Each wheel is checked against its hash on the wheelhouse's list; a wheel that is not on it is not installed.
  - The virtualenv in use is replaced only when the new one is complete.
options:
  dir:
    description: Folder on the host that gets the virtualenv, as C(venv) within it.
    type: path
    required: true
  python:
    description: Python on the host from which the virtualenv is created.
    type: path
    required: true
  fingerprint:
    description: Name of what is in the wheelhouse, as M(stampede_wheelhouse) returns it.
    type: str
    required: true
  wheelhouse:
    description: The wheelhouse, a file on the control node.
    type: path
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Install the wheelhouse
  stampede_venv:
    dir: /opt/stampede
    python: /usr/bin/python3
    fingerprint: "{{ wheelhouse.fingerprint }}"
    wheelhouse: "{{ wheelhouse.path }}"
"""

RETURN = r"""
venv:
  description: The virtualenv in use, a link on the host.
  type: path
  returned: success
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "dir": {"type": "path", "required": True},
            "python": {"type": "path", "required": True},
            "fingerprint": {"type": "str", "required": True},
            "wheelhouse": {"type": "path"},
        },
        supports_check_mode=True,
    )
    folder = Path(module.params["dir"])
    venv = folder / f"venv-{module.params['fingerprint']}"
    link = folder / "venv"
    if link.is_symlink() and link.resolve() == venv.resolve() and (venv / "complete").exists():
        module.exit_json(changed=False, venv=str(link))
    wheelhouse = module.params["wheelhouse"]
    if module.check_mode or not wheelhouse:
        module.exit_json(changed=True, venv=str(link))
    try:
        make(venv, module.params["python"], Path(wheelhouse))
    except InstallError as error:
        shutil.rmtree(venv, ignore_errors=True)
        module.fail_json(msg=f"The virtualenv {venv} cannot be made: {error}")
    former = link.resolve() if link.is_symlink() else None
    draft = folder / "venv.new"
    draft.unlink(missing_ok=True)
    draft.symlink_to(venv.name)
    draft.replace(link)
    # The previous one may be in use by an active run; older ones are not.
    for stale in folder.glob("venv-*"):
        if stale not in (venv, former):
            shutil.rmtree(stale)
    module.exit_json(changed=True, venv=str(link))


class InstallError(Exception):
    """The virtualenv cannot be made; the message says why."""


def make(venv: Path, python: str, wheelhouse: Path) -> None:
    run([python, "-m", "venv", "--clear", str(venv)])
    with tempfile.TemporaryDirectory(dir=venv) as folder:
        with tarfile.open(wheelhouse) as tar:
            tar.extractall(folder, filter="data")
        offline = (
            "--no-index",
            f"--find-links={folder}",
            "--no-deps",
            "--disable-pip-version-check",
            "--no-cache-dir",
        )
        listed = ("--require-hashes", "--requirement", str(Path(folder) / "wheels.txt"))
        run([str(venv / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet", *offline, *listed])
    (venv / "complete").touch()


def run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise InstallError("; ".join(said[-3:]) or f"{words[0]} ended with {done.returncode}")


if __name__ == "__main__":
    main()
