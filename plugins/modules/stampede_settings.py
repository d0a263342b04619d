"""The documentation of action plugin stampede_settings, which does the work on the control node."""

DOCUMENTATION = r"""
module: stampede_settings
short_description: Check, probe, forecast, share out or render the settings of a run
description:
  - Works on the C(stampede_*) variables of the host, whose meaning C(ansible-doc -t role run) shows.
  - Runs on the control node and changes nothing there.
  - Fails with one sentence for each problem, which names the variable, its value and what would be right.
author: Stampede
version_added: 0.1.0
options:
  verb:
    description: What to do.
    type: str
    required: true
    choices:
      check: Check that every variable is known and right, that the script passes a trial, and that results can be
        written.
      probe: Check that the services and the mediator answer over trusted TLS and that InfluxDB accepts points. An
        InfluxDB that cannot be reached now is a warning.
      dry_run: Print the load that the settings would make, from simulated holders.
      shares: Share the load out over the hosts.
      render: Render the controller script of the host.
      rows: Deal the host the rows of V(stampede_data) that its holders have, with what C(setup) returned. They may
        hold passwords.
      setup: Call the scenario's C(setup), if it has one.
      teardown: Call the scenario's C(teardown).
  run_id:
    description: Name of the run; empty stands for V(stampede_run_id), and when that is empty too, for the time.
    type: str
    default: ""
  weights:
    description: The weight of each host, by its name, for O(verb=shares).
    type: dict
  share:
    description: The host's entry of RV(shares), for O(verb=render) and O(verb=rows).
    type: dict
    default: {}
  ca_dir:
    description:
      - The host's folder to which CA files are copied, for O(verb=render). When empty the host is the control node
        and needs no copies.
    type: str
    default: ""
  postgresql_url:
    description: URL of the PostgreSQL for the host's wallets, for O(verb=render).
    type: str
    default: ""
  results:
    description: The run's folder on the control node, for O(verb=setup) and O(verb=teardown).
    type: str
    default: ""
  shared:
    description: RV(shared), for O(verb=rows).
    type: str
    default: ""
  pid:
    description: RV(pid), for O(verb=teardown).
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Check the settings, the script and the results folder
  stampede_settings:
    verb: check
  run_once: true
  register: run_info

- name: Compute each host's share of the holders
  stampede_settings:
    verb: shares
    run_id: "{{ run_info.id }}"
    weights: {load-1: 4, load-2: 8}
  run_once: true
  register: run_shares

- name: Render the controller script
  stampede_settings:
    verb: render
    run_id: "{{ run_info.id }}"
    share: "{{ run_shares.shares[inventory_hostname] }}"
    ca_dir: "{{ run_info.dir }}"
  register: run_rendered
"""

RETURN = r"""
id:
  description: Name of the run.
  returned: O(verb=check)
  type: str
dir:
  description: Folder of the run on the load hosts.
  returned: O(verb=check)
  type: str
results:
  description: Folder of the run on the control node.
  returned: O(verb=check)
  type: str
start_delay:
  description: Seconds between the start signal and the start.
  returned: O(verb=check)
  type: float
stop_timeout:
  description: Seconds that a controller gets to end when it is asked to.
  returned: O(verb=check)
  type: float
versions:
  description: Versions of Stampede and Ansible.
  returned: O(verb=check)
  type: dict
settings:
  description: All variables of the run but its secrets.
  returned: O(verb=check)
  type: dict
stdout:
  description: The forecast.
  returned: O(verb=dry_run)
  type: str
shares:
  description: The variables that differ on each host, by the host's name.
  returned: O(verb=shares)
  type: dict
script:
  description: Text of the controller script, without secrets.
  returned: O(verb=render)
  type: str
shared:
  description: JSON of what C(setup) returned; empty when there is nothing. It may hold secrets.
  returned: O(verb=setup)
  type: str
pid:
  description: The process that calls C(teardown); V(0) when there is none to call.
  returned: O(verb=setup)
  type: int
failure:
  description: Why C(teardown) failed, in a sentence; empty when it did not.
  returned: O(verb=teardown)
  type: str
text:
  description: What the controller reads as C(holders.json); empty when there are no rows.
  returned: O(verb=rows)
  type: str
ca_files:
  description: The files on the control node to copy to O(ca_dir), by the name that each gets there.
  returned: O(verb=render)
  type: dict
"""
