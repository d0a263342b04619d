#!/usr/bin/python
"""Make a run's folder on a host, write files into it, or remove it. Runs on the host, on its plain Python.

The folder belongs to a user without rights, who may lay links in it; this module may run as root. So it works by
descriptors: it follows no link below the folder of runs, and gives away nothing but what it has just made.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stampede_run_folder
short_description: make a run's folder on a host, write files into it, or remove it
description:
  - Follows no link within the folder of runs, and changes the owner of nothing but what it makes.
  - A new folder is made by this module or by nobody, also when two playbooks try at the same time.
options:
  path:
    description: The run's folder, which is in the folder of runs.
    type: path
    required: true
  state:
    description:
      - V(new) makes the folder, and fails if it is there.
      - V(present) writes into it and removes from it, and fails if it is not there.
      - V(absent) removes it.
    type: str
    choices: [new, present, absent]
    default: present
  owner:
    description: User to whom a new folder belongs; the connection's own when empty. Files belong to the same user.
    type: str
    default: ""
  host:
    description: Name of the host in the inventory, which a new folder records.
    type: str
    default: ""
  files:
    description: Texts by the name of the file within the folder that gets them; for its owner alone.
    type: dict
    default: {}
  secret_files:
    description: As O(files), and masked wherever Ansible tells of the task.
    type: dict
    default: {}
  missing_files:
    description: Names of files within the folder that shall not be there. No fault if the folder is not there either.
    type: list
    elements: str
    default: []
  stale_secrets:
    description:
      - For V(new), age in seconds from which on a C(secrets.json) or C(holders.json) in the folder of any run is
        removed; its controller never read it. None is removed with V(0).
    type: int
    default: 0
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Create the run's folder
  stampede_run_folder:
    path: /var/lib/stampede/runs/r1
    state: new
    owner: stampede
    host: "{{ inventory_hostname }}"
    files:
      controller_script.py: "{{ script }}"

- name: Ask the controller to end the run
  stampede_run_folder:
    path: /var/lib/stampede/runs/r1
    files: {stop: ""}
"""

RETURN = r"""
made_for:
  description: Host for which the folder was made that is there already.
  type: str
  returned: when it should be new
in_use:
  description: Whether a folder that should be new is there already.
  type: bool
  returned: when it should be new
removed:
  description: Secrets of other runs that were removed.
  type: list
  elements: path
  returned: when it should be new
"""

MARK = "made_for"
"""The file in which a folder records its host."""
SECRETS = ("secrets.json", "holders.json")
LONGEST_NAME = 255
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """It cannot be done; the message says why."""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["new", "present", "absent"], "default": "present"},
            "owner": {"type": "str", "default": ""},
            "host": {"type": "str", "default": ""},
            "files": {"type": "dict", "default": {}},
            "secret_files": {"type": "dict", "default": {}, "no_log": True},
            "missing_files": {"type": "list", "elements": "str", "default": []},
            "stale_secrets": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True)
    try:
        result = bring_about(module.params)
    except Refused as problem:
        module.fail_json(msg=str(problem))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['path']}: {error.strerror}")
    if result.get("in_use"):
        why = why_in_use(Path(module.params["path"]), module.params["host"], result["made_for"])
        module.fail_json(msg=why, **result)
    module.exit_json(**result)


def bring_about(args: Mapping[str, Any]) -> dict[str, Any]:
    """What the task asks for; returns its result. Raises Refused, OSError."""
    path, files = Path(args["path"]), {**args["files"], **args["secret_files"]}
    for name in (*files, *args["missing_files"]):
        if not re.fullmatch(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}", name):
            raise Refused(f"{name!r} is no name of a file in {path}")
    if args["state"] == "absent":
        return {"changed": remove(path)}
    if args["state"] == "new":
        removed = remove_stale_secrets(path.parent, args["stale_secrets"]) if args["stale_secrets"] else []
        if not make(path, user(args["owner"]), args["host"]):
            return {"changed": False, "in_use": True, "made_for": made_for(path), "removed": removed}
        write(path, files)
        return {"changed": True, "in_use": False, "made_for": args["host"], "removed": removed}
    changed = False
    if args["missing_files"] and path.parent.is_dir():
        changed = remove_files(path, args["missing_files"])
    if files:
        write(path, files)
    return {"changed": changed or bool(files)}


def why_in_use(path: Path, host: str, other: str) -> str:
    if other and other != host:
        return (
            f"{path} on {host} is there already, made for {other}: the two are one machine, or have one "
            "stampede_work_dir, or the run is an earlier one; name each machine once, with a folder of its own"
        )
    return f"stampede_run_id is {path.name!r}, but {host} has {path} already; choose another name, or leave it empty"


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of the run's folder. Its parent is the administrator's; itself it must be no link."""
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        folder = os.open(path.name, FOLDER, dir_fd=parent)
    except OSError as error:
        raise Refused(f"{path} is not the folder of a run: {error.strerror}") from error
    finally:
        os.close(parent)
    try:
        yield folder
    finally:
        os.close(folder)


def make(path: Path, owner: pwd.struct_passwd | None, host: str) -> bool:
    """Make the folder for ``host``; returns False when there is anything of that name already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return False
    if owner:
        with opened(path) as folder:
            os.fchown(folder, owner.pw_uid, owner.pw_gid)
    write(path, {MARK: host})
    return True


def user(name: str) -> pwd.struct_passwd | None:
    """The user whose files are made; None when they are this process's own."""
    if not name or os.geteuid():
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise Refused(f"There is no user {name} on this host; stampede provision makes it") from None


def write(path: Path, files: Mapping[str, Any]) -> None:
    """Write files for the folder's owner alone. Each is replaced as a whole, whatever was there by its name."""
    with opened(path) as folder:
        owner = os.fstat(folder)
        for name, text in files.items():
            draft = f".{name}.{secrets.token_hex(8)}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(draft, flags, 0o600, dir_fd=folder)
            try:
                with os.fdopen(file, "w", encoding="utf-8", errors="surrogateescape") as content:
                    if os.geteuid() == 0:
                        os.fchown(content.fileno(), owner.st_uid, owner.st_gid)
                    content.write(str(text))
                os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(draft, dir_fd=folder)
                raise


def remove(path: Path) -> bool:
    """Remove the folder with all that is in it; a link in its place is removed, and nothing that it leads to."""
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if stat.S_ISDIR(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
            shutil.rmtree(path.name, dir_fd=parent)
        else:
            os.unlink(path.name, dir_fd=parent)
    except FileNotFoundError:
        return False
    finally:
        os.close(parent)
    return True


def remove_files(path: Path, names: list[str]) -> bool:
    removed = False
    try:
        with opened(path) as folder:
            for name in names:
                try:
                    os.unlink(name, dir_fd=folder)
                    removed = True
                except FileNotFoundError:
                    pass
    except Refused:  # where there is no such folder, there are no such files
        pass
    return removed


def made_for(path: Path) -> str:
    """The host that a folder records; empty when it records none."""
    try:
        with opened(path) as folder:
            file = os.open(MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(file, "rb") as content:
                name = content.read(LONGEST_NAME).decode(errors="replace")
    except (OSError, Refused):
        return ""
    return name if name.isprintable() else ""


def remove_stale_secrets(runs: Path, age: int) -> list[str]:
    """Remove what playbooks handed over to controllers that never read it; returns the paths."""
    removed = []
    for run in sorted(runs.iterdir()) if runs.is_dir() else []:
        for name in SECRETS:
            try:
                with opened(run) as folder:
                    if time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime > age:
                        os.unlink(name, dir_fd=folder)
                        removed.append(str(run / name))
            except (OSError, Refused):
                continue
    return removed


if __name__ == "__main__":
    main()
