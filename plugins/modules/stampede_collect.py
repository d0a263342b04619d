#!/usr/bin/python
"""Documentation of ``plugins/action/stampede_collect.py``, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stampede_collect
short_description: collect files of a host into the results
description:
  - Compresses and packs the files on the host, fetches them in one transfer, and checks each against its SHA-256.
  - The destination is replaced when all files have arrived undamaged, and stays as it was otherwise.
  - Supports check mode, in which nothing is collected.
options:
  folder:
    description: Folder on the host.
    type: path
    required: true
  compress:
    description: Patterns of files within O(folder) that are compressed with gzip.
    type: list
    elements: str
    default: []
  keep:
    description: Patterns of files within O(folder) that are collected as they are.
    type: list
    elements: str
    default: []
  unit:
    description:
      - Unit of systemd whose journal is collected too, as C(logs/journald.log.gz); none when empty. That it failed is
        no longer remembered by systemd once all was collected.
    type: str
    default: ""
  dest:
    description: Folder on the control node.
    type: path
    required: true
  remove:
    description: Whether O(folder) is removed from the host once all of it was collected.
    type: bool
    default: false
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Collect journal and logs
  stampede_collect:
    folder: /var/lib/stampede/runs/r1
    compress: [journal.lp, "logs/*"]
    keep: [state.json]
    unit: stampede-run@r1.service
    dest: /home/me/stampede/results/r1/load-1
"""

RETURN = r"""
collected:
  description: Whether all files that could be read on the host are in O(dest) now.
  type: bool
  returned: always
files:
  description: Names of the collected files within O(dest).
  type: list
  elements: str
  returned: when collected
  sample: [journal.lp.gz, logs/controller.out.gz, state.json]
"""
