"""``python -m tests.fleet up|down``: hosts to try the playbooks on."""

from __future__ import annotations

import argparse
import shlex
import sys
import time

from .commands import FleetError
from .fleet import Fleet, down, why_not_here


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fleet",
        description="Debian hosts with systemd and sshd on this machine: load hosts, a services host and a metrics "
        "host, in network namespaces of their own. Needs Linux and root.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = verbs.add_parser("up", help="bring the hosts up (anew, when they are up) and print the inventory's path")
    up.add_argument("--hosts", type=int, default=3, metavar="N", help="how many load hosts (default: 3)")
    away = verbs.add_parser("down", help="take everything of the fleet down, also after a crash")
    for verb in (up, away):
        verb.add_argument("--name", default="stampede", help="name of the fleet (default: stampede)")
    arguments = parser.parse_args()
    try:
        fleet = Fleet(arguments.name, getattr(arguments, "hosts", 3), lambda line: print(line, file=sys.stderr))
        if arguments.verb == "up":
            began = time.monotonic()
            inventory = fleet.up()
            print(f"{len(fleet.hosts)} hosts are up after {time.monotonic() - began:.0f} s", file=sys.stderr)
            print(inventory)
            print(
                f"A run on them: .venv/bin/ansible-playbook -i {shlex.quote(str(inventory))} playbooks/run-test.yml",
                file=sys.stderr,
            )
        elif reason := why_not_here():
            raise FleetError(reason[0].upper() + reason[1:])
        else:
            down(arguments.name)
    except FleetError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
