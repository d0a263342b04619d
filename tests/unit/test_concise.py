"""What a user reads while a playbook plays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from plugin_files import REPOSITORY

PLAYBOOK = """
- name: A play
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Do it for all
      ansible.builtin.command:
        cmd: "true {{ item }}"
      loop: [one, two]
    - name: Do it for some
      ansible.builtin.command:
        argv: [sh, -c, "test {{ item }} = two || { echo {{ item }} is wrong >&2; false; }"]
      loop: [one, two]
"""


def test_a_task_with_a_loop_is_one_line_and_of_its_failures_the_sentences_alone(tmp_path: Path) -> None:
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(PLAYBOOK)
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), playbook],
        env=os.environ
        | {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.splitlines() + done.stderr.splitlines() == [
        "A play",
        "* Do it for all",
        "* Do it for some",
        "[ERROR] localhost: one is wrong",
    ]
