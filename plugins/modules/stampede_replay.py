#!/usr/bin/python
"""Documentation of ``plugins/action/stampede_replay.py``, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stampede_replay
short_description: push the journals of a collected run to InfluxDB
description:
  - The server is that of the variables C(stampede_influxdb_*), with the password or token of C(stampede_secrets).
    When C(stampede_influxdb_url) is empty it is the server that the run itself pushed to.
  - Points that are there already are written again as the same points, so that none is stored twice.
  - In check mode it prints what would be pushed.
options:
  results:
    description: Results folder of the run, absolute or relative to the project folder.
    type: path
    required: true
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Push the journals to InfluxDB
  stampede_replay:
    results: results/r1
"""

RETURN = r"""
stdout:
  description: How many points of how many hosts are in the InfluxDB, or would be.
  type: str
  returned: success
"""
