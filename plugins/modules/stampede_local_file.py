#!/usr/bin/python
"""Documentation of ``plugins/action/stampede_local_file.py``, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stampede_local_file
short_description: write a small file on the control node
description:
  - Is done by the playbook's own process, and so costs no start of a module. Readers see the old file or the new one.
  - Makes the file's folder if it is not there.
options:
  path:
    description: The file, an absolute path.
    type: path
    required: true
  content:
    description: Its text.
    type: str
    required: true
  mode:
    description: Its mode, in octal digits.
    type: str
    default: "0644"
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Record the run's settings, versions and faults
  stampede_local_file:
    path: /home/me/stampede/results/r1/run.json
    content: "{{ run_record | to_nice_json }}"
  run_once: true
"""

RETURN = r"""
changed:
  description: Whether the file has another text now.
  type: bool
  returned: success
"""
