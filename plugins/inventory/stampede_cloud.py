"""An inventory of a cloud: read by the provider's own plugin, with one sentence when that cannot."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.plugins.loader import inventory_loader
from ansible.utils.display import Display

from stampede.cloud.faults import NO_ANSWER, explain
from stampede.cloud.hosts import by_number
from stampede.cloud.settings import ENDINGS, unusable_credentials
from stampede.schema.faults import CLOUD_FAULT

DOCUMENTATION = """
name: stampede_cloud
short_description: load hosts in a cloud, in the order of their numbers
description:
  - Reads files whose names end in C(aws_ec2.yml) or C(hcloud.yml) by the plugin that they name,
    C(amazon.aws.aws_ec2) or C(hetzner.hcloud.hcloud), which documents what may be in them.
  - Sorts the hosts of each group by their numbers, so that a host has the same holders in each fleet.
  - When the provider cannot be asked, there are no hosts, and C(cloud_fault) says why in one sentence. Every
    playbook that needs hosts fails with it.
options:
  plugin:
    description: The provider's plugin.
    type: str
    required: true
    choices: [amazon.aws.aws_ec2, hetzner.hcloud.hcloud]
author: The Stampede contributors
"""

EXAMPLES = """
plugin: amazon.aws.aws_ec2
regions: [eu-central-1]
filters:
  tag:stampede_fleet: [stampede]
"""


LONGEST = 60
"""Seconds that a provider has to list its hosts. The client of Hetzner's would wait for ever, and that of AWS tries
again for minutes."""


class NoAnswer(BaseException):
    """The provider has not answered. No Exception, which its client would take for a reason to try again."""


@contextmanager
def answered_in(seconds: int) -> Iterator[None]:
    """Raises NoAnswer when what is done within takes longer; in the main thread, where Ansible reads inventories."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(*_: object) -> None:
        raise NoAnswer(NO_ANSWER)

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class InventoryModule(BaseInventoryPlugin):
    """See DOCUMENTATION."""

    NAME = "stampede_cloud"

    def verify_file(self, path: str) -> bool:
        """Whether the name of a file is one that a provider's plugin would read."""
        return bool(super().verify_file(path)) and path.endswith(ENDINGS)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the hosts that the provider lists."""
        super().parse(inventory, loader, path)
        try:
            name = (loader.load_from_file(path, cache="none") or {}).get("plugin")
            plugin = inventory_loader.get(name) if name else None
            if plugin is None:
                raise AnsibleError(f"its plugin {name} was not found in configured collections")
            if problems := unusable_credentials():
                raise AnsibleError("; ".join(problems))
            with answered_in(LONGEST):
                plugin.parse(inventory, loader, path, cache=cache)
        except (Exception, NoAnswer) as error:  # a provider's plugin lets those of its HTTP client through
            fault = f"The hosts of {path} could not be listed: {explain(str(error))}"
            inventory.set_variable("all", CLOUD_FAULT, fault)
            Display().vv(fault)
        for group in inventory.groups.values():
            group.hosts.sort(key=lambda host: by_number(host.name))
