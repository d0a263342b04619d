"""Watching a run from its playbook: what is waited for, what is told, and how a run is ended early."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fleet_views import NOW, snapshot

from stampede.fleet import run_watch
from stampede.fleet.host_poller import HostPoller
from stampede.fleet.host_view import HostView
from stampede.fleet.remote_shell import RootShell
from stampede.fleet.run_watch import Controller, Judge, PlaybookGone, request_stop, wait_until, watch_run
from stampede.fleet.snapshot import Snapshot, Unreachable
from stampede.machine.processes import Interrupted


class FakeShell(RootShell):
    """A host whose unit is of the state that it is given, and that notes what it was told to run."""

    def __init__(self, **state: Any) -> None:
        self.state = state
        self.commands: list[str] = []

    def run(self, command: str) -> str:
        self.commands.append(command)
        return f"active\n{NOW}\n\n" + json.dumps(self.state)


class Told:
    """Collects what the user is told."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def __call__(self, text: str, colour: str) -> None:
        self.texts.append((text, colour))

    @property
    def text(self) -> str:
        return "\n".join(text for text, _ in self.texts)


def wait(
    until: str, probes: dict[str, Callable[[], Snapshot]], *, interval: float = 60, timeout: float = 0
) -> tuple[dict[str, HostView], Told]:
    """Watch hosts; returns what is known of them, and what was told."""
    told = Told()
    views = {name: HostView(name, "see its logs", time.time()) for name in probes}
    hosts = list(views.values())
    poller = HostPoller(probes, views, 0.01)
    wait_until(until, hosts, poller, Judge(hosts, told, None), told, interval=interval, timeout=timeout)
    return views, told


def test_a_host_that_does_not_arm_is_noted_and_the_others_are_awaited() -> None:
    arming = iter(["starting", "arming", "arming"])
    views, told = wait(
        "armed",
        {
            "ready": lambda: snapshot(phase=next(arming, "armed")),
            "broken": lambda: snapshot(phase="failed", phase_since=NOW, message="No agent came up"),
            "slow": lambda: snapshot(phase="arming"),
        },
        timeout=1,
    )
    assert views["ready"].phase == "armed" and views["ready"].failure == ""
    assert views["broken"].failure == "The controller on broken failed: No agent came up"
    assert views["slow"].failure == "slow was still arming after 1 s; see its logs"
    assert (views["broken"].failure, "red") in told.texts and (views["slow"].failure, "red") in told.texts
    assert "3 load hosts: " in told.text


def test_a_host_s_next_phase_is_noticed_at_once() -> None:
    phases = iter(["arming", "arming", "armed", "running"])
    view = HostView("h1", "see its logs", time.time())
    poller = HostPoller({"h1": lambda: snapshot(phase=next(phases, "running"))}, {"h1": view}, 0.01)
    seen = []
    for _ in range(3):
        assert poller.wait(1.0) == []
        seen.append(view.phase)
    assert seen == ["arming", "armed", "running"]


def test_one_host_has_a_line_and_armed_includes_what_comes_after() -> None:
    phases = iter(["arming", "running"])
    _, told = wait("armed", {"h1": lambda: snapshot(phase=next(phases, "running"))})
    assert told.text.startswith("  running | 8 of 10 holders active")


def test_the_watch_ends_with_its_playbook(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = iter([1234])
    monkeypatch.setattr(run_watch.os, "getppid", lambda: next(parents, 1))
    with pytest.raises(PlaybookGone):
        wait("ended", {"h1": lambda: snapshot(phase="running")})


def test_faults_of_hosts_that_did_not_arm_are_not_the_run_s(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"phase": "armed", "pid": os.getpid()}))
    controllers = [
        Controller("h1", tmp_path, pid=os.getpid()),
        Controller("h2", tmp_path / "elsewhere", pid=2**22 + 1),
    ]
    outcome = watch_run(controllers, "armed", Told(), interval=60)
    assert outcome.views["h1"].phase == "armed" and outcome.faults == []
    assert list(outcome.failures) == ["h2"] and "died while starting" in outcome.failures["h2"]
    (tmp_path / "state.json").write_text(json.dumps({"phase": "done", "pid": os.getpid()}))
    outcome = watch_run(controllers, "ended", Told(), interval=60)
    assert [fault.host for fault in outcome.faults] == ["h2"]


def test_the_end_of_a_run_is_told_when_all_hosts_have_come_to_it(tmp_path: Path) -> None:
    told: list[str] = []
    for until, phase, pid in (("armed", "armed", os.getpid()), ("ended", "done", os.getpid()), ("ended", "done", 0)):
        (tmp_path / "state.json").write_text(json.dumps({"phase": phase, "pid": os.getpid()}))
        controllers = [Controller("h1", tmp_path, pid=os.getpid())]
        if not pid:
            controllers.append(Controller("h2", tmp_path / "elsewhere", pid=2**22 + 1))
        watch_run(controllers, until, Told(), interval=60, when_stopped=partial(told.append, f"{until} {pid}"))
    assert told == [f"ended {os.getpid()}"]  # of a host that has died nobody knows


def test_an_interrupted_watch_asks_the_units_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = FakeShell(phase="running")

    def interrupt(text: str, colour: str) -> None:
        raise Interrupted(15)

    controllers = [
        Controller("h1", Path("/runs/r1"), unit="stampede-run@r1.service", shell=shell),
        Controller("h2", tmp_path, pid=os.getpid()),
    ]
    stopped: list[bool] = []
    with pytest.raises(Interrupted):
        watch_run(controllers, "ended", interrupt, interval=0, when_stopped=lambda: stopped.append(True))
    assert [command for command in shell.commands if "/runs/r1/stop" in command] and stopped
    assert not (tmp_path / "stop").exists()  # it ends with Ansible by itself

    def unreachable(command: str) -> str:
        raise Unreachable("no route")

    with pytest.raises(Interrupted):
        gone = Controller("h3", Path("/runs/r1"), unit="stampede-run@r1.service", shell=FakeShell())
        monkeypatch.setattr(gone.shell, "run", unreachable)
        watch_run([*controllers, gone], "ended", interrupt, interval=0, when_stopped=lambda: stopped.append(True))
    assert stopped == [True]  # that host's load goes on


def test_controllers_are_asked_to_stop_wherever_they_are(tmp_path: Path) -> None:
    class Gone(FakeShell):
        def run(self, command: str) -> str:
            raise Unreachable("No route to host")

    shell = FakeShell()
    controllers = [
        Controller("h1", tmp_path, pid=1),
        Controller("h2", Path("/runs/r1"), unit="u", shell=shell),
        Controller("h3", Path("/runs/r1"), unit="u", shell=Gone()),
    ]
    request_stop(controllers, "too slow")
    assert (tmp_path / "stop").read_text() == "too slow"
    (command,) = shell.commands
    assert "/runs/r1/stop" in command and "too slow" in command
