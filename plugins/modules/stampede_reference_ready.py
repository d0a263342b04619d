#!/usr/bin/python
"""Documentation of ``plugins/action/stampede_reference_ready.py``, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stampede_reference_ready
short_description: wait until the reference services of another host are ready, and bring their description home
description:
  - Waits on the host, without Python there. Fails with a sentence when the services end, or take too long.
  - Then writes their C(services.json) and C(ca.pem) on the control node, the former with the path of the latter.
options:
  folder:
    description: Folder of the services on the host.
    type: path
    required: true
  unit:
    description: Their unit of systemd.
    type: str
    required: true
  user:
    description: User of the host as whom their files are read.
    type: str
    required: true
  timeout:
    description: Duration within which they must be ready.
    type: str
    required: true
  dest:
    description: Folder on the control node, for its owner alone.
    type: path
    required: true
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Wait until the services are ready
  stampede_reference_ready:
    folder: /var/lib/stampede/services/r1
    unit: stampede-reference-r1.service
    user: stampede
    timeout: 3m
    dest: /home/me/stampede/.stampede/services/r1
  delegate_to: services-1
"""

RETURN = r"""
changed:
  description: Always true, as the files are written.
  type: bool
  returned: success
"""
