"""Gives a provider's instances bodies: hosts of ``tests/fleet`` at the addresses that it chose, with a cloud-init."""

from __future__ import annotations

import threading
from pathlib import Path

from fleet.base import ADMIN, CLOUD_INIT_OFF, base_tree, cache_folder
from fleet.commands import run
from fleet.fleet import down, one_at_a_time
from fleet.host import Host, subnet
from providers import Instance, Provider


class Hypervisor:
    """Watches a provider until it is left; ends a host that was ended there, and there a host that has shut down."""

    def __init__(self, name: str, provider: Provider) -> None:
        self.name, self._provider = name, provider
        self.hosts: dict[str, Host] = {}
        """By the instance's id."""
        self.failure: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._base = base_tree(print)

    def __enter__(self) -> Hypervisor:
        with one_at_a_time():
            down(self.name)
            bridge = f"{self.name}-br"
            run("ip", "link", "add", bridge, "type", "bridge")
            run("ip", "address", "add", f"{subnet(self.name)}.1/24", "dev", bridge)
            run("ip", "link", "set", bridge, "up")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        down(self.name)

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            try:
                self._look()
            except BaseException as error:  # told by the test
                self.failure = error
                return

    def _look(self) -> None:
        there = self._provider.instances()
        for id_ in set(self.hosts) - set(there):
            self.hosts.pop(id_).remove()
        for id_, host in self.hosts.items():
            if host.has_ended():
                self._provider.end(id_)  # what EC2 does with one that shuts down
        for id_, instance in there.items():
            if id_ not in self.hosts:
                self.hosts[id_] = self._boot(instance)

    def _boot(self, instance: Instance) -> Host:
        number = int(instance.address.rsplit(".", 1)[1])
        host = Host(
            self.name, instance.name, "load_hosts", number, cache_folder() / "fleets" / self.name / instance.name
        )
        assert host.address == instance.address
        host.plug_in(f"{self.name}-br")
        host.lay(self._base, "127.0.0.1 localhost\n", "")
        for given in (host.root / "etc/ssh").glob("ssh_host_*"):
            given.unlink()  # cloud-init has them, and the user's key
        (host.root / "home" / ADMIN / ".ssh/authorized_keys").unlink()
        (host.root / CLOUD_INIT_OFF).unlink()
        seed = host.root / "var/lib/cloud/seed/nocloud"
        seed.mkdir(parents=True)
        (seed / "meta-data").write_text(f"instance-id: {instance.id}\n")
        (seed / "user-data").write_text(instance.user_data)
        seed.chmod(0o700)
        host.boot()
        return host

    def console(self) -> str:
        """The last that each host's console said."""
        logs = {host.name: Path(host.folder, "console.log") for host in self.hosts.values()}
        return "\n".join(
            f"{name}: {log.read_text(errors='replace')[-1500:]}" for name, log in logs.items() if log.exists()
        )
