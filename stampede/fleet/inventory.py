"""The load hosts of an inventory, and how to reach them, without any secret."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stampede.machine.home import HOME
from stampede.schema.errors import BadInput
from stampede.schema.faults import CLOUD_FAULT

WORK_DIR = "/var/lib/stampede/runs"
"""Default of stampede_work_dir, as the role controller has it."""


@dataclass(frozen=True)
class LoadHost:
    """How a load host is reached, and where its runs are."""

    name: str
    local: bool
    """Its controllers are processes of this machine, without systemd."""
    work_dir: Path
    variables: Mapping[str, Any]
    """Those that set options of Ansible's connection and become plugins, templated."""


def load_hosts(sources: list[str]) -> list[LoadHost]:
    """The hosts of the group load_hosts. Raises BadInput.

    Ansible itself reads the inventory, except for vaulted values: watching needs no secrets.
    """
    config = HOME / "ansible.cfg"
    if config.exists() and not Path("ansible.cfg").exists():
        os.environ.setdefault("ANSIBLE_CONFIG", str(config))
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.parsing.vault import AnsibleVaultError
    from ansible.plugins.loader import init_plugin_loader
    from ansible.utils.collection_loader import AnsibleCollectionConfig
    from ansible.vars.hostvars import HostVars
    from ansible.vars.manager import VariableManager

    if AnsibleCollectionConfig.collection_finder is None:  # else names such as ansible.builtin.env are not found
        init_plugin_loader()

    class Loader(DataLoader):  # type: ignore[misc]
        """Skips files that are vaulted as a whole."""

        skipped_vault = False

        def load_from_file(self, file_name: str, *args: Any, **options: Any) -> Any:
            try:
                return super().load_from_file(file_name, *args, **options)
            except AnsibleVaultError:
                self.skipped_vault = True
                return {}

    for source in sources:
        if "," not in source and not Path(source).exists():
            raise BadInput(f"-i is {source!r}; it must be an inventory, a file or folder such as inventory/local")
    loader = Loader()
    loader.set_basedir(str(HOME / "playbooks"))
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # several paragraphs of warnings when a file is no inventory
            inventory = InventoryManager(loader=loader, sources=sources)
        manager = VariableManager(loader=loader, inventory=inventory)
        HostVars(inventory=inventory, loader=loader, variable_manager=manager)
        if fault := inventory.groups["all"].vars.get(CLOUD_FAULT):
            raise BadInput(fault)
        hosts = inventory.get_hosts("load_hosts") if "load_hosts" in inventory.groups else []
        if not hosts:
            raise BadInput(
                f"The inventory {', '.join(sources)} has no host in the group load_hosts; name yours there"
            )
        return [_load_host(host.name, manager.get_vars(host=host), loader) for host in hosts]
    except AnsibleError as error:
        raise BadInput(
            f"The inventory {', '.join(sources)} cannot be read: {why_unread(said.getvalue(), error)}"
        ) from None


def _load_host(name: str, variables: Mapping[str, Any], loader: Any) -> LoadHost:
    from ansible.errors import AnsibleError
    from ansible.module_utils.parsing.convert_bool import boolean
    from ansible.template import Templar

    templar = Templar(loader=loader, variables=variables)

    def value(variable: str) -> Any:
        try:
            return templar.template(variables[variable])
        except AnsibleError as error:
            vaulted = "undecryptable" in str(error) or loader.skipped_vault
            why = f"{variable} of {name} cannot be evaluated: {first_line(error)}"
            raise BadInput(f"{why}; stampede watch does not read what is vaulted" if vaulted else why) from None

    known = {variable: value(variable) for variable in connection_variables(variables)}
    local = boolean(value("stampede_local")) if "stampede_local" in variables else False
    work_dir = str(value("stampede_work_dir")) if "stampede_work_dir" in variables else WORK_DIR
    return LoadHost(name, local, Path(work_dir), known)


def connection_variables(variables: Mapping[str, Any]) -> list[str]:
    """Which of a host's variables say how it is reached, and how to become root there."""
    from ansible.plugins.loader import become_loader, connection_loader

    become = str(variables.get("ansible_become_method", "sudo"))
    connection_loader.get("ssh", class_only=True)  # the variables of a plugin are known once it is loaded
    become_loader.get(become, class_only=True)
    names = {"ansible_connection", "ansible_become", "ansible_become_method"} & variables.keys()
    names |= plugin_variables(variables, "connection", "ssh").keys()
    names |= plugin_variables(variables, "become", become).keys()
    return sorted(names)


def plugin_variables(variables: Mapping[str, Any], kind: str, plugin: str) -> dict[str, Any]:
    """The variables that set options of a plugin of Ansible, such as the connection plugin ssh."""
    from ansible import constants

    names = constants.config.get_plugin_vars(kind, plugin)
    return {name: variables[name] for name in names if name in variables}


def why_unread(warnings: str, error: Exception) -> str:
    """The first warning's own sentence, or else the error's."""
    first = next((line for line in warnings.splitlines() if " plugin: " in line), "")
    return first.partition(" plugin: ")[2].rstrip(".: ") or first_line(error)


def first_line(error: Exception) -> str:
    """The first line of what Ansible says, which goes on to quote the file."""
    return str(error).strip().splitlines()[0].rstrip(".: ")
