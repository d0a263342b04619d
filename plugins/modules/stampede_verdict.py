#!/usr/bin/python
"""Documentation of ``plugins/action/stampede_verdict.py``, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stampede_verdict
short_description: fail with the reasons why a run failed
description:
  - Reads C(summary.json), which the report leaves in the results.
options:
  results:
    description: Results folder of the run.
    type: path
    required: true
  died:
    description: Sentences about hosts whose controllers died.
    type: list
    elements: str
    required: true
  fail_on_errors:
    description: Whether failed steps that no threshold is about are a reason.
    type: bool
    required: true
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Judge the run
  stampede_verdict:
    results: /home/me/stampede/results/r1
    died: []
    fail_on_errors: true
"""

RETURN = r"""
msg:
  description: The reasons, a line each.
  type: str
  returned: failure
"""
