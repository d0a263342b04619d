"""Documentation of the action plugin of the same name, which runs on the control node."""

DOCUMENTATION = """
module: stampede_watch
short_description: watch the controllers of all load hosts until they have reached a phase
version_added: 0.1.0
description:
  - Prints the progress of a run, a line about one host or a table of several, until each controller has reached
    O(until), failed, or been given up. A host whose controller dies or fails, or that is unreachable for a minute, is
    reported at once and noted in RV(died); the others go on. Thresholds that are crossed are reported at once.
  - The task itself does not fail because of a host.
  - Hosts are reached over connections of their own, opened by fabric and OpenSSH with the options that Ansible's
    connection plugin P(ansible.builtin.ssh#connection) would use.
  - When the playbook is interrupted, the controllers are asked to end the run.
options:
  hosts:
    description:
      - The controllers to watch, by inventory hostname. Each is a dictionary with C(dir), the folder of the run, and
        either C(pid), a process of this machine, or C(unit), a systemd unit on that host.
    type: dict
    required: true
  until:
    description: What to wait for. V(armed) includes all later phases.
    type: str
    required: true
    choices: [armed, ended]
  interval:
    description: Duration between two reports of progress.
    type: str
    default: 5s
  timeout:
    description: Duration after which a host that has not reached O(until) is given up; V(0) means never.
    type: str
    default: "0"
  abort_on_thresholds:
    description: Whether all controllers are asked to end the run once a threshold is beyond recovery.
    type: bool
    default: false
  variables:
    description:
      - The C(stampede_*) variables of the load. With C(stampede_load_model=search) the hosts are conducted, and each
        level is judged by C(stampede_thresholds), which decide nothing else then.
    type: dict
  hooks_pid:
    description:
      - The process that waits to call the scenario's C(teardown), as M(stampede_settings) returns it; V(0) when there
        is none. It is told when all controllers have ended the run, or were asked to by an interrupted playbook.
    type: int
    default: 0
author: Stampede contributors
"""

EXAMPLES = """
- name: Wait until all controllers are armed
  stampede_watch:
    hosts:
      load-1: {dir: /var/lib/stampede/runs/r1, unit: stampede-run@r1.service}
      load-2: {dir: /var/lib/stampede/runs/r1, unit: stampede-run@r1.service}
    until: armed
    interval: 10s
    timeout: 5m
  run_once: true
  register: armed
"""

RETURN = """
states:
  description: The last C(state.json) of each host, by inventory hostname; an empty dictionary if there was none.
  type: dict
  returned: always
died:
  description: A sentence for each host that failed, died or was given up, by inventory hostname.
  type: dict
  returned: always
  sample: {load-2: "load-2 was lost while running: unreachable since 11:18:56 UTC."}
faults:
  description:
    - What happened to hosts. Each has C(host), C(kind) (C(unreachable), C(lost) or C(died)), C(since) and C(until) in
      epoch seconds (C(until) is null while it lasts) and a sentence C(text).
    - With O(until=armed) the faults of hosts in RV(died) are left out, since these take no part in the run.
  type: list
  elements: dict
  returned: always
"""
