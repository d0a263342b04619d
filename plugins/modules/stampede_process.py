#!/usr/bin/python
"""Documentation of ``plugins/action/stampede_process.py``, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stampede_process
short_description: start or stop a process on this machine that lives on between tasks
description:
  - A started process has a session of its own, and gets the further option C(--die-with PID) of
    ansible-playbook, with which it must end itself when the playbook is interrupted or killed.
  - A process that is stopped gets SIGTERM, and SIGKILL for its whole session when it does not end in time.
options:
  name:
    description: Subject of sentences about the process, such as V(The reference services).
    type: str
    required: true
  state:
    description: Whether to start a process, or to stop the process O(pid).
    type: str
    choices: [started, stopped]
    required: true
  argv:
    description: Program and arguments; required to start it.
    type: list
    elements: str
  log:
    description: File to which its output is appended; required to start it.
    type: path
  cwd:
    description: Folder in which it is started.
    type: path
  ready_file:
    description: File to wait for, which the started process writes when it is ready. Progress is printed meanwhile.
    type: path
  pid:
    description: Number of the process to stop.
    type: int
  timeout:
    description: Duration within which a started process must be ready, or a stopped one must have ended.
    type: str
    default: "10"
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Start the reference services
  stampede_process:
    name: The reference services
    state: started
    argv: [python3, -m, reference, --dir, /tmp/services]
    log: /tmp/services/reference.log
    ready_file: /tmp/services/services.json
    timeout: 3m
  register: services

- name: Stop the reference services
  stampede_process:
    name: The reference services
    state: stopped
    pid: "{{ services.pid }}"
"""

RETURN = r"""
pid:
  description: Number of the process.
  type: int
  returned: when started
"""
