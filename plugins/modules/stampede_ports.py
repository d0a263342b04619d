#!/usr/bin/python
"""Check that TCP ports of a host are free. Runs on the host, on its plain Python."""

from __future__ import annotations

import errno
import os
import socket

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stampede_ports
short_description: check that TCP ports of a host are free
description:
  - Fails with a sentence that names the ports that are taken, by whom if that is known, and the variable to change.
options:
  first:
    description: The first port.
    type: int
    required: true
  count:
    description: How many ports from O(first) on; V(0) means one for each core.
    type: int
    default: 1
  variable:
    description: Variable that sets the first port, for messages.
    type: str
    required: true
  host:
    description: Name of the host in messages.
    type: str
    required: true
  purpose:
    description: What the ports are for, in messages.
    type: str
    required: true
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Check that the agents' ports are free
  stampede_ports:
    first: 8600
    count: 0
    variable: stampede_agent_port
    host: "{{ inventory_hostname }}"
    purpose: this host's first agent
"""

RETURN = r"""
msg:
  description: Which ports are taken, and what can be done about it.
  type: str
  returned: failure
"""

HIGHEST = 65535


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "first": {"type": "int", "required": True},
            "count": {"type": "int", "default": 1},
            "variable": {"type": "str", "required": True},
            "host": {"type": "str", "required": True},
            "purpose": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    first, variable = module.params["first"], module.params["variable"]
    count = module.params["count"] or len(os.sched_getaffinity(0))
    if first + count - 1 > HIGHEST:
        module.fail_json(
            msg=f"{variable} is {first}, but {module.params['host']} needs {count} ports from there on; "
            f"it must be at most {HIGHEST - count + 1}"
        )
    taken = [port for port in range(first, first + count) if is_taken(port)]
    if taken:
        which = f"port {taken[0]} is" if len(taken) == 1 else f"ports {', '.join(map(str, taken))} are"
        module.fail_json(
            msg=f"{variable} is {first}, but {which} taken on {module.params['host']}{by_whom(taken[0])}; "
            f"free it or set {variable} to another port for {module.params['purpose']}"
        )
    module.exit_json()


def is_taken(port: int) -> bool:
    """Whether something listens at the port, at whichever address of this host."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 (never listens)
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
    return False


def by_whom(port: int) -> str:
    """Who listens there, when psutil is at hand and this user may know."""
    try:
        import psutil
    except ImportError:
        return ""
    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == "LISTEN"
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            ):
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (OSError, psutil.Error):
        pass
    return ""


if __name__ == "__main__":
    main()
