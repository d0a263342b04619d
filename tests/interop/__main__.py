"""Installs the software of others that tests use, as they would themselves: `.venv/bin/python tests/interop`."""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from connections_plugin import connections_plugin
from credo import node_modules
from grafana_figures import MAJORS, grafana
from installs import Missing
from ledger import indy_node
from software import collections, hadolint, moto
from stock_agents import OLD_VERSIONS, old_acapy

SOFTWARE: dict[str, Callable[[], Path]] = {
    "an Indy ledger": indy_node,
    "Credo": node_modules,
    "RFC 0160": connections_plugin,
    **{f"ACA-Py {version}": lambda version=version: old_acapy(version) for version in OLD_VERSIONS},
    "Ansible's collections for clouds": collections,
    "moto": moto,
    "hadolint": hadolint,
    **{f"Grafana {major}": lambda major=major: grafana(major) for major in MAJORS},
}

for name, install in SOFTWARE.items():
    try:
        print(f"{name}: {install()}")
    except Missing as missing:
        print(f"{name}: not on this machine, for want of {missing}", file=sys.stderr)
