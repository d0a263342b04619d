#!/usr/bin/python
"""Documentation of ``plugins/action/stampede_settings.py``, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stampede_settings
short_description: check, probe, dry-run or render the settings of a run
description:
  - Takes the variables C(stampede_*) of the host as they are when the task runs.
options:
  verb:
    description:
      - V(check) checks that every variable is known and right, that the script renders and runs with simulated
        holders, and that results can be written. It touches nothing.
      - V(probe) checks that the services and the mediator answer over trusted TLS, and that InfluxDB takes points
        where they are to be pushed. That InfluxDB cannot be reached is a warning only.
      - V(dry_run) prints the load that the settings would make.
      - V(shares) distributes the holders over the hosts.
      - V(render) renders the controller script of this host.
    type: str
    choices: [check, probe, dry_run, shares, render]
    required: true
  run_id:
    description: Name of the run; the C(stampede_run_id) or the present time when left out.
    type: str
  weights:
    description: For V(shares), the weight of each load host.
    type: dict
  share:
    description: For V(render), the share of this host, as RV(shares) has it.
    type: dict
  ca_dir:
    description: For V(render), a folder on the host to which CA files are to be copied; empty leaves them in place.
    type: str
  postgresql_url:
    description: For V(render), URL of the PostgreSQL for the wallets; none when empty.
    type: str
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Check the settings
  stampede_settings:
    verb: check
  run_once: true
  register: run_info

- name: Render the controller script
  stampede_settings:
    verb: render
    run_id: "{{ run_info.id }}"
    share: {holders: 100, first: 0}
  register: rendered
"""

RETURN = r"""
id:
  description: Name of the run.
  type: str
  returned: for V(check)
dir:
  description: Folder of the run on the load hosts.
  type: path
  returned: for V(check)
results:
  description: Folder of the run's results on the control node.
  type: path
  returned: for V(check)
start_delay:
  description: Seconds between the start signal and the start.
  type: float
  returned: for V(check)
stop_timeout:
  description: Seconds that a controller may take to end when it is asked to.
  type: float
  returned: for V(check)
versions:
  description: Versions of Stampede and Ansible.
  type: dict
  returned: for V(check)
settings:
  description: All settings but the secrets.
  type: dict
  returned: for V(check)
stdout:
  description: The load that would be made.
  type: str
  returned: for V(dry_run)
shares:
  description: C(first) holder and number of C(holders) of each host.
  type: dict
  returned: for V(shares)
script:
  description: Text of the controller script.
  type: str
  returned: for V(render)
ca_files:
  description: CA files on the control node that must be copied to O(ca_dir), by the name that each must have there.
  type: dict
  returned: for V(render)
"""
