#!/usr/bin/python
"""Install Debian packages, and remove those that were installed here. Runs on the host, on its plain Python.

What it installs is recorded in RECORD first: the packages that were asked for, and the others that they bring. With
``state: absent`` the packages in ``names`` are purged if that record has them, and so is what they brought, unless
something else needs it by now. Packages that were there before stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stampede_packages
short_description: install missing Debian packages, or remove those that this module installed
description:
  - Records what it installs in C(/etc/stampede/packages.json). Packages that were there before are never removed.
options:
  names:
    description: Names of packages.
    type: list
    elements: str
    required: true
  state:
    description: Whether they must be installed, or be removed with what they brought and nothing else needs.
    type: str
    choices: [present, absent]
    default: present
  host:
    description: Name of the host in messages.
    type: str
    required: true
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Install chrony
  stampede_packages:
    names: [chrony]
    host: "{{ inventory_hostname }}"
"""

RETURN = r"""
packages:
  description: The packages that were installed or removed; in check mode those of O(names).
  type: list
  elements: str
  returned: success
"""

RECORD = Path("/etc/stampede/packages.json")
NEEDED_ONLY = ("-o", "APT::AutoRemove::RecommendsImportant=false", "-o", "APT::AutoRemove::SuggestsImportant=false")
"""Options by which apt-get takes for needed what another package depends on, and not what one only recommends."""
LOCK_LIMIT = 120
"""Seconds to wait for another program, such as unattended-upgrades, to let go of dpkg."""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "host": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    packages = Packages(module)
    if module.params["state"] == "present":
        packages.install(module.params["names"])
    else:
        packages.remove(module.params["names"])


class Packages:
    """The packages of this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        try:
            record = json.loads(RECORD.read_text())
        except FileNotFoundError:
            record = {}
        self._asked = set(record.get("asked", ()))
        self._brought = set(record.get("brought", ()))

    def install(self, names: Iterable[str]) -> None:
        missing = sorted(name for name in names if not self._is_there(name))
        if missing and not self._module.check_mode:
            words = ("install", "--no-install-recommends", *missing)
            self._apt("update")
            plan = self._apt("--simulate", *words)
            self._asked |= set(missing)
            self._brought |= set(re.findall(r"^Inst (\S+) \(", plan, re.MULTILINE))  # an upgrade has [OLD] there
            self._write_record()
            self._apt(*words)
        self._end(missing, before="", after="installed")

    def remove(self, names: Iterable[str]) -> None:
        asked = sorted(self._asked.intersection(names))
        if asked and not self._module.check_mode:
            if there := [name for name in asked if self._is_there(name)]:
                self._run("apt-mark", "auto", *there)
            idle = re.findall(r"^Remv (\S+) ", self._apt("--simulate", *NEEDED_ONLY, "autoremove"), re.MULTILINE)
            if ours := sorted(self._brought.intersection(idle)):
                self._apt("purge", *ours)
            self._asked -= set(asked)
            self._brought -= set(ours)
            self._write_record()
            asked = ours or asked
        self._end(asked, before="installed", after="")

    def _end(self, changed: list[str], before: str, after: str) -> None:
        states = [{name: state for name in changed if state} for state in (before, after)]
        self._module.exit_json(
            changed=bool(changed), packages=changed, diff={"before": states[0], "after": states[1]}
        )

    def _is_there(self, name: str) -> bool:
        _, out, _ = self._module.run_command(["dpkg-query", "-W", "-f", "${db:Status-Status}", name])
        return bool(out == "installed")

    def _apt(self, *words: str) -> str:
        return self._run("apt-get", "-y", "-q", "-o", f"DPkg::Lock::Timeout={LOCK_LIMIT}", *words)

    def _run(self, *words: str) -> str:
        code, out, err = self._module.run_command(
            list(words), environ_update={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        )
        if code:
            said = [line for line in (err + out).splitlines() if line.startswith("E: ")] or err.splitlines()[-1:]
            reason = "; ".join(line.removeprefix("E: ") for line in said) or "it does not say why"
            self._module.fail_json(msg=f"'{' '.join(words)}' failed on {self._module.params['host']}: {reason}")
        return str(out)

    def _write_record(self) -> None:
        if not self._asked:
            RECORD.unlink(missing_ok=True)
            return
        RECORD.parent.mkdir(mode=0o700, exist_ok=True)
        draft = RECORD.with_suffix(".new")
        draft.write_text(
            json.dumps({"asked": sorted(self._asked), "brought": sorted(self._brought)}, indent=1) + "\n"
        )
        draft.replace(RECORD)


if __name__ == "__main__":
    main()
