#!/usr/bin/python
"""Documentation of ``plugins/action/stampede_wheelhouse.py``, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stampede_wheelhouse
short_description: build the file with all packages of a load host
description:
  - Built once on the control node for all hosts with the same Python, architecture and C library, and kept under
    C(.stampede/wheelhouse).
options:
  python:
    description: Version of the host's Python, such as V(3.13).
    type: str
    required: true
  machine:
    description: Architecture of the host, such as V(x86_64).
    type: str
    required: true
  glibc:
    description: Version of the host's C library, such as V(2.41).
    type: str
    required: true
  packages:
    description: Further packages, with plugins of the agents, as C(stampede_agent_packages) has them.
    type: list
    elements: str
    default: []
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Build the wheelhouse
  stampede_wheelhouse:
    python: "3.13"
    machine: x86_64
    glibc: "2.41"
  register: wheelhouse
"""

RETURN = r"""
path:
  description: The file, on the control node.
  type: path
  returned: success
fingerprint:
  description: A name for everything that went into it.
  type: str
  returned: success
  sample: 0f1e2d3c4b5a6978
"""
