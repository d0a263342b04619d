"""A host's part in a run, up to the word to start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import pytest

from controller import host
from controller.agents.guard import REFUSED
from controller.host import HostRun
from controller.settings import Settings


class NoAgents:
    """Stands in for the pool of agents."""

    def __init__(self, *_: Any) -> None:
        self.agents: list[Any] = []
        self.ready = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def start(self) -> None:
        pass


@pytest.fixture
def host_run(variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostRun:
    async def script(holder: Any) -> None:
        await holder.wait(1000)

    monkeypatch.setattr(host, "AgentPool", NoAgents)
    monkeypatch.setattr(host, "GO_MARGIN", 1.5)
    monkeypatch.setattr(HostRun, "_follow_signals", lambda self: None)
    return HostRun(script, Settings.from_variables(variables | {"stampede_arm_timeout": "0.5s"}), tmp_path)


def state(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "state.json").read_text())


async def test_an_armed_host_that_is_never_told_to_start_ends_by_itself(host_run: HostRun, tmp_path: Path) -> None:
    assert await host_run.go_through() == 3
    ended = state(tmp_path)
    assert ended["phase"] == "failed"
    assert ended["message"] == (
        "local was armed for 2 s and was not told to start, so it ended; run-test.yml may have been ended on the "
        "control node"
    )


async def test_a_host_that_an_agent_was_kept_from_ends_the_run(host_run: HostRun, tmp_path: Path) -> None:
    (tmp_path / REFUSED).write_text("An agent of the holders was about to send a request, but no.\n")
    assert await host_run.go_through() == 2
    ended = state(tmp_path)
    assert (ended["phase"], ended["message"]) == (
        "failed",
        "An agent of the holders was about to send a request, but no.",
    )
