"""Documentation of the action plugin of the same name, which runs on the control node."""

DOCUMENTATION = """
module: stampede_clock_check
short_description: check that a load host can be reached, and compare its clock with the control node's
version_added: 0.2.0
description:
  - Asks the host for its time and its number of cores over Ansible's own connection, without Python on the host.
  - Fails with a sentence when the host cannot be reached, or when its clock is certainly off by more than
    O(max_clock_offset).
options:
  max_clock_offset:
    description: Duration by which the host's clock may be off.
    type: str
    required: true
author: Stampede contributors
"""

EXAMPLES = """
- name: Check the clock of each host
  stampede_clock_check:
    max_clock_offset: 250ms
  register: clock_check
"""

RETURN = """
offset:
  description: Seconds by which the host's clock is ahead of the control node's; negative when it is behind.
  type: float
  returned: when the host has answered
uncertainty:
  description: Seconds by which RV(offset) may be wrong, half of the shortest round trip.
  type: float
  returned: when the host has answered
cores:
  description: The number of processors of the host.
  type: int
  returned: when the host has answered
"""
