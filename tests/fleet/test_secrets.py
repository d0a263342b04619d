"""Secrets stay where they belong: not in command lines, logs, results or files that others may read."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import yaml

from .fleet import Fleet
from .host import Host
from .playbooks import Playing, play
from .test_run import unpacked

RUN = "secrets-1"
FOLDER = Path("var/lib/stampede/runs") / RUN
AGENT_KEYS = ("ACAPY_ADMIN_API_KEY", "ACAPY_WALLET_KEY", "ACAPY_MULTITENANT_JWT_SECRET", "WEBHOOK_URL")


class CommandLines:
    """All command lines that there are on this machine and its hosts while it watches."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> CommandLines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    with contextlib.suppress(OSError):
                        self.seen.add((entry / "cmdline").read_bytes())


class HostInside:
    """A host as root sees it from within, without a command that could hold a secret."""

    def __init__(self, fleet: Fleet, host: Host) -> None:
        self._fleet = fleet
        self._host = host

    @property
    def uid(self) -> int:
        """Of the user that runs belong to."""
        uid = re.search(r"^stampede:x:(\d+):", (self.root / "etc/passwd").read_text(), re.MULTILINE)
        assert uid
        return int(uid[1])

    @property
    def root(self) -> Path:
        """The file tree with everything that is mounted in it."""
        init = next(pid for pid in self._host.processes() if pid not in self._host.managers())
        return Path(f"/proc/{init}/root")

    def processes(self, word: str) -> list[Path]:
        """Processes, as folders of /proc, with a word in their command lines."""
        found = []
        for pid in self._host.processes():
            with contextlib.suppress(OSError):  # it has ended
                if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(Path(f"/proc/{pid}"))
        return found

    def sudo(self, command: str) -> str:
        done = self._fleet.ssh(self._host, f"sudo {command}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files_that_all_may_read(self, since: float) -> Iterator[Path]:
        root = self.root
        for folder, folders, names in os.walk(root):
            if folder == str(root):
                folders[:] = [name for name in folders if name not in ("proc", "sys")]
            for name in names:
                file = Path(folder) / name
                with contextlib.suppress(OSError):
                    found = file.lstat()
                    if stat.S_ISREG(found.st_mode) and found.st_mode & stat.S_IROTH and found.st_ctime >= since:
                        yield file

    def leaks(self, words: list[str], since: float) -> list[str]:
        """Where on the host one of the words can be read by others than its owner."""
        found = [str(file) for file in self.files_that_all_may_read(since) if holds(file.read_bytes(), words)]
        if holds(self.sudo("journalctl --no-pager --output=export").encode(), words):
            found.append("journald")
        return found


def holds(content: bytes, words: list[str]) -> bool:
    return any(word.encode() in content for word in words)


def until(condition: Callable[[], object], limit: float) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit:g} s"
        time.sleep(0.2)


@pytest.fixture
def word() -> str:
    return f"hush-{token_hex(12)}"


def test_secrets_are_told_to_nobody(fleet: Fleet, tmp_path: Path, word: str) -> None:
    services = yaml.safe_load(Path(__file__).with_name("group_vars.yml").read_text())["stampede_services"]
    services["issuer"]["invitation"]["headers"] = {"X-Word": "${secret:word}"}
    (tmp_path / "secrets.yml").touch(0o600)
    (tmp_path / "secrets.yml").write_text(yaml.safe_dump({"stampede_secrets": {"word": word}}))
    host, began = HostInside(fleet, fleet["load-1"]), time.time()
    state = fleet["load-1"].root / FOLDER / "state.json"
    settings = {"run_id": RUN, "results_dir": str(tmp_path / "results"), "holders": 2, "duration": "10m"}
    told = ("-vvv", "--limit", "load-1", "-e", f"@{tmp_path}/secrets.yml")
    with CommandLines() as lines, Playing(fleet, "run-test", *told, services=services, **settings) as run:
        until(lambda: run.ended or (state.exists() and '"phase": "running"' in state.read_text()), 600)
        assert not run.ended, run.end().output
        words = [word, *keys_of_agents(host)]
        assert host.leaks(words, began) == []
        check_processes(host)
        check_admin_api(fleet, host)
        check_files(host)
        host.sudo(f"install -m 600 /dev/null /{FOLDER}/stop")
        done = run.end()
    assert done.code == 0, done.output
    assert "service_refused" not in done.output
    assert not holds(done.output.encode(), words)
    assert not [line for line in lines.seen if holds(line, words)]
    assert host.leaks(words, began) == []
    for file in (tmp_path / "results").rglob("*"):
        assert not file.is_file() or not holds(unpacked(file), words), file
    check_files(host)
    assert not list((host.root / "dev/shm").glob("stampede-*"))


def keys_of_agents(host: HostInside) -> list[str]:
    """What the agents got by their environment, which nobody but their user and root may read."""
    keys = []
    for process in host.processes("controller.agents.launcher"):
        assert not (process / "environ").stat().st_mode & 0o077
        given = dict(part.split("=", 1) for part in (process / "environ").read_text().split("\0") if "=" in part)
        keys += [given[name].rsplit("#", 1)[-1] for name in AGENT_KEYS]
    assert len(keys) == len(AGENT_KEYS) and all(len(key) >= 32 for key in keys)
    return keys


def check_processes(host: HostInside) -> None:
    """Controller and agents have no rights of root's, and cannot get any."""
    processes = host.processes("controller_script.py") + host.processes("controller.agents.launcher")
    assert len(processes) == 2
    for process in processes:
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        assert set(status["Uid"].split()) == {str(host.uid)}
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
        mounts = [line.split() for line in (process / "mounts").read_text().splitlines()]
        writable = {words[1] for words in mounts if "rw" in words[3].split(",") and words[2] == "overlay"}
        assert not writable & {"/", "/var", "/var/lib", "/var/lib/stampede"} and f"/{FOLDER}" in writable


def check_admin_api(fleet: Fleet, host: HostInside) -> None:
    """It is on loopback only, as everything is where holders are phones, and wants its key."""
    listening = [line.split()[3] for line in host.sudo("ss -ltnpH").splitlines() if "python" in line]
    assert [address for address in listening if not address.startswith("127.0.0.1:")] == []
    (agent,) = host.processes("controller.agents.launcher")
    arguments = (agent / "cmdline").read_text().split("\0")
    port = arguments[arguments.index("--admin") + 2]
    assert f"127.0.0.1:{port}" in listening
    ask = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/multitenancy/wallets')"
    assert "HTTP Error 401" in fleet.ssh(fleet["load-1"], f'python3 -c "{ask}"').stderr


def check_files(host: HostInside) -> None:
    """The run's files are for its user alone, in memory too, and its secrets are gone from them."""
    folder = host.root / FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not (folder / "secrets.json").exists()
    controllers = host.processes("controller_script.py")
    wallets = [path for process in controllers for path in (process / "root/dev/shm").iterdir()]
    assert len(wallets) == len(controllers)
    for path in wallets:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for parent in (folder, *wallets):
        for file in (parent, *parent.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                assert file.stat().st_uid in (0, host.uid) and not file.stat().st_mode & 0o007, file


def test_secrets_that_a_killed_playbook_left_are_removed_by_the_next(
    fleet: Fleet, services: dict[str, Any], tmp_path: Path
) -> None:
    """It left them when it was killed after it had handed them over, and before the controller had started."""
    host, runs, results = HostInside(fleet, fleet["load-1"]), "/var/lib/stampede/runs", str(tmp_path / "results")
    host.sudo(f"install -d -m 700 {runs}/left-1 {runs}/left-1/logs {runs}/left-2")
    host.sudo(f"touch {runs}/left-1/controller_script.py {runs}/left-1/secrets.json")
    host.sudo(f"touch -d '11 minutes ago' {runs}/left-2/secrets.json")
    collected = play(fleet, "collect", "--limit", "load-1", run_id="left-1", results_dir=results)
    assert "secrets.json" not in host.sudo(f"ls {runs}/left-1"), collected.output

    script = tmp_path / "brief.py"
    script.write_text("async def script(holder):\n    await holder.request_invitation('issuer')\n")
    settings = {"run_id": "left-3", "results_dir": results, "holders": 1, "script": str(script), **services}
    run = play(fleet, "run-test", "--limit", "load-1", **settings)
    assert run.code == 0, run.output
    assert "secrets.json" not in host.sudo(f"ls {runs}/left-2"), run.output
