#!/usr/bin/python
"""Compare a host with what a role would make of it, in one round trip. Runs on the host, on its plain Python.

A role plays its tasks where something differs. So whatever cannot be compared is told as a difference: its tasks know
what to do about it.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stampede_host_state
short_description: compare a host with what a role would make of it
description:
  - Names what differs, so that a role plays its tasks only where they have something to do. Changes nothing.
options:
  packages:
    description: Debian packages that are to be installed.
    type: list
    elements: str
    default: []
  user:
    description: Entries C(name), C(comment), C(home) and C(shell) of a user with a locked password; none when empty.
    type: dict
    default: {}
  files:
    description: Texts of files by their paths. Each is to be a file of root's with mode 0644.
    type: dict
    default: {}
  folders:
    description: Folders by their paths. Each has C(mode), in octal digits, and may have C(group); the owner is root.
    type: dict
    default: {}
  virtualenv:
    description: Link to a virtualenv of M(stampede_venv), of which RV(virtualenv) is told; none when empty.
    type: str
    default: ""
  python:
    description: A Python of the host of which RV(python) is told; none when empty.
    type: str
    default: ""
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Compare the host with a prepared one
  stampede_host_state:
    packages: [python3-venv]
    folders:
      /opt/stampede: {mode: "0755"}
    virtualenv: /opt/stampede/venv
    python: /usr/bin/python3
  register: found
"""

RETURN = r"""
differences:
  description: What is not as it is to be, in words for a log.
  type: list
  elements: str
  returned: success
  sample: ["package python3-venv", "folder /opt/stampede"]
virtualenv:
  description: Fingerprint of the wheelhouse that the virtualenv is made of; empty when none is complete.
  type: str
  returned: success
python:
  description: The C(version), C(minor), C(machine) and C(libc) of O(python); empty if it does not run.
  type: dict
  returned: success
"""

ABOUT_ITSELF = """
import json, platform, sys
print(json.dumps({"version": platform.python_version(), "minor": list(sys.version_info[:2]),
                  "machine": platform.machine(), "libc": platform.libc_ver()}))
"""
SHADOW = Path("/etc/shadow")
PYTHON_LIMIT = 20
"""Seconds within which a Python says what it is."""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "user": {"type": "dict", "default": {}},
            "files": {"type": "dict", "default": {}},
            "folders": {"type": "dict", "default": {}},
            "virtualenv": {"type": "str", "default": ""},
            "python": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    module.exit_json(
        differences=list(differences(wanted)),
        virtualenv=fingerprint(Path(wanted["virtualenv"])) if wanted["virtualenv"] else "",
        python=about(wanted["python"]) if wanted["python"] else {},
    )


def differences(wanted: Mapping[str, Any]) -> Iterator[str]:
    """What is not as it is to be."""
    there = installed(wanted["packages"]) if wanted["packages"] else set()
    checks: list[tuple[str, Callable[[], bool]]] = [
        *((f"package {name}", partial(there.__contains__, name)) for name in wanted["packages"]),
        *((f"user {user['name']}", partial(has_user, user)) for user in [wanted["user"]] if user),
        *((f"folder {path}", partial(has_folder, path, how)) for path, how in wanted["folders"].items()),
        *((f"file {path}", partial(has_file, path, text)) for path, text in wanted["files"].items()),
    ]
    for what, is_right in checks:
        try:
            if is_right():
                continue
        except (OSError, KeyError, ValueError):
            pass
        yield what


def installed(names: list[str]) -> set[str]:
    """Those of the packages that dpkg has installed."""
    words = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *names]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return set()
    return {line.removesuffix(" installed") for line in done.stdout.splitlines() if line.endswith(" installed")}


def has_user(wanted: Mapping[str, str]) -> bool:
    found = pwd.getpwnam(wanted["name"])
    locked = (
        line.split(":")[1].startswith("!")
        for line in SHADOW.read_text(encoding="utf-8").splitlines()
        if line.startswith(f"{wanted['name']}:")
    )
    same = (found.pw_gecos, found.pw_dir, found.pw_shell) == (wanted["comment"], wanted["home"], wanted["shell"])
    return same and next(locked, False)


def has_folder(path: str, wanted: Mapping[str, str]) -> bool:
    found = os.lstat(path)
    group = grp.getgrnam(wanted["group"]).gr_gid if "group" in wanted else found.st_gid
    right = stat.S_IFDIR | int(wanted["mode"], 8)
    return (found.st_mode, found.st_uid, found.st_gid) == (right, 0, group)


def has_file(path: str, text: str) -> bool:
    found = os.lstat(path)
    if (found.st_mode, found.st_uid) != (stat.S_IFREG | 0o644, 0):
        return False
    return Path(path).read_bytes() == text.encode()


def fingerprint(link: Path) -> str:
    """See ``stampede_venv``, which makes the link and its target."""
    name = link.resolve().name if link.is_symlink() else ""
    return name.removeprefix("venv-") if (link / "complete").exists() else ""


def about(python: str) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [python, "-c", ABOUT_ITSELF], capture_output=True, text=True, check=True, timeout=PYTHON_LIMIT
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    main()
