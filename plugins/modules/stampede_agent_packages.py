#!/usr/bin/python
"""Documentation of ``plugins/action/stampede_agent_packages.py``, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stampede_agent_packages
short_description: build the packages with plugins of the agents
description:
  - Folders are built into wheels on the control node, once for each content, and kept under C(.stampede/packages).
options:
  packages:
    description: Requirements, wheels and folders, as C(stampede_agent_packages) has them.
    type: list
    elements: str
    required: true
  python:
    description:
      - Python of this machine that runs the agents. A folder is made with the packages that it lacks; it is not
        changed itself. When empty the packages are only built.
    type: str
    default: ""
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Install the agents' packages for a run on this machine
  stampede_agent_packages:
    packages: [./plugin]
    python: "{{ stampede_python }}"
  register: packages
"""

RETURN = r"""
entries:
  description: The entries of O(packages) by the names of their packages.
  type: dict
  returned: success
pythonpath:
  description: What PYTHONPATH must be for the agents of a run on this machine; it may be empty.
  type: str
  returned: success
"""
