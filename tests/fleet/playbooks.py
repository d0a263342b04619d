"""A user of the playbooks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .fleet import Fleet
from .host import Host

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
RECAP = {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}


@dataclass(frozen=True)
class Played:
    """What a playbook left."""

    code: int
    output: str
    seconds: float

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host; only with ``recap=True``."""
        return {
            host: int(count) for host, count in re.findall(r"^(\S+) +: .*changed=(\d+)", self.output, re.MULTILINE)
        }


class AnsiblePlaybook:
    """``ansible-playbook`` with ``words``, in a session of its own.

    As a context manager it is killed when the block ends before it does. ``recap`` has Ansible say at its end how
    many tasks changed something.
    """

    def __init__(self, *words: str, environment: Mapping[str, str], recap: bool = False) -> None:
        self._began = time.monotonic()
        self._output = tempfile.NamedTemporaryFile("w+", prefix="played-")  # noqa: SIM115  goes with this object
        self._process = subprocess.Popen(
            [str(Path(sys.executable).with_name("ansible-playbook")), *words],
            cwd=REPOSITORY,
            env={**environment, **ENVIRONMENT, **(RECAP if recap else {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it and all its processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def interrupt(self) -> None:
        """Press Ctrl-C in its terminal."""
        os.killpg(self._process.pid, signal.SIGINT)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def output(self) -> str:
        return Path(self._output.name).read_text(errors="replace")

    def until(self, words: str, limit: float = 240) -> None:
        """Return when it has said ``words``, a regular expression."""
        deadline = time.monotonic() + limit
        while not re.search(words, self.output):
            assert not self.ended, f"it ended before it said {words!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"it did not say {words!r} in {limit:g} s:\n{self.output}"
            time.sleep(0.2)

    def end(self) -> Played:
        """Await its end."""
        code = self._process.wait()
        return Played(code, self.output, time.monotonic() - self._began)


class Playing(AnsiblePlaybook):
    """A playbook that is played on the fleet; ``variables`` without the prefix ``stampede_``.

    Each host has one agent unless a test asks for more, since all hosts share this machine's cores.
    """

    def __init__(self, fleet: Fleet, name: str, *words: str, recap: bool = False, **variables: Any) -> None:
        extra = {f"stampede_{name}": value for name, value in ({"agents": 1} | variables).items()}
        given = ("-i", str(fleet.inventory), f"playbooks/{name}.yml", "-e", json.dumps(extra), *words)
        super().__init__(*given, environment=os.environ, recap=recap)


def play(fleet: Fleet, name: str, *words: str, recap: bool = False, **variables: Any) -> Played:
    """Play a playbook to its end; see ``Playing``."""
    with Playing(fleet, name, *words, recap=recap, **variables) as playing:
        return playing.end()


@contextmanager
def host_variables(fleet: Fleet, host: str, **variables: Any) -> Iterator[None]:
    """Variables of one host of the inventory, without the prefix ``stampede_``."""
    file = fleet.inventory.parent / "host_vars" / f"{host}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({f"stampede_{name}": value for name, value in variables.items()}))
    try:
        yield
    finally:
        file.unlink()


def left_running(fleet: Fleet, *hosts: Host) -> list[str]:
    """What of a run is left on hosts, on all of the fleet unless they are named."""
    asked = (
        "pgrep -u stampede -a 2>/dev/null; systemctl list-units --no-legend 'stampede-*'; "
        "ls -A -I 'PostgreSQL.*' /dev/shm"
    )
    left = []
    for host in hosts or fleet.hosts:
        done = fleet.ssh(host, asked)
        left += [f"{host.name}: {line}" for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return left
