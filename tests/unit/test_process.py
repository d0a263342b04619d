"""An agent's process: restarted when it ends by itself, given up when it ends too often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from controller.agents import flags, process
from controller.agents.acapy_wallet import TOPICS
from controller.agents.inbox import Inbox
from controller.agents.process import AgentProcess
from controller.agents.restart_policy import RestartPolicy
from controller.agents.webhooks import WebhookReceiver
from controller.wallet_memory.folders import folder_of, take_cut_short, tell_cut_short
from stampede.machine.ports import free_ports
from stampede.schema.errors import AgentDied, AgentError, AgentLost
from stampede.schema.settings.run_settings import Settings

# Answers as ready on its admin port, whatever else it is asked, until it is killed.
STAND_IN = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"ready": true}')

    def log_message(self, *words):
        pass

port = int(sys.argv[sys.argv.index("--admin") + 2])
HTTPServer.allow_reuse_address = True
HTTPServer(("127.0.0.1", port), Ready).serve_forever()
"""


@pytest.fixture
async def agent(
    variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AgentProcess]:
    (tmp_path / "stand_in_agent.py").write_text(STAND_IN)
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(process, "LAUNCHER", "stand_in_agent")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told: list[tuple[str, str]] = []
    async with aiohttp.ClientSession() as session, WebhookReceiver(TOPICS) as webhooks:
        agent = AgentProcess(
            0,
            Settings.from_variables(variables),
            admin_port=free_ports(),
            run_dir=tmp_path,
            wallet_dir=tmp_path,
            trust_file=tmp_path / "trust.pem",
            webhooks=webhooks,
            session=session,
            announce=lambda kind, text: told.append((kind, text)),
            postgresql=None,
            restart_policy=RestartPolicy(limit=2),
        )
        agent.told = told  # type: ignore[attr-defined]
        yield agent
        await agent.stop()


async def until(agent: AgentProcess, kind: str, count: int) -> None:
    async with asyncio.timeout(30):
        while [told for told, _ in agent.told].count(kind) < count:  # type: ignore[attr-defined]
            await asyncio.sleep(0.02)


async def test_an_agent_that_ends_is_restarted_and_at_last_given_up(agent: AgentProcess) -> None:
    await agent.start()
    inbox = Inbox()
    agent._inboxes["wallet"] = inbox
    for death in (1, 2):
        waiting = asyncio.create_task(inbox.expect("connections"))
        await asyncio.sleep(0)
        assert agent._process is not None
        agent._process.kill()
        with pytest.raises(AgentDied, match="agent-0 ended with signal 9"):
            await waiting
        await until(agent, "agent_restarted", death)
        await agent.until_up()
        assert agent.is_up
    agent._process.kill()
    with pytest.raises(AgentLost):
        async with asyncio.timeout(30):
            await agent.until_up()
            await until(agent, "agent_died", 4)
            await agent.until_up()


async def test_a_wallet_that_lost_its_last_write_is_of_no_more_use(agent: AgentProcess, tmp_path: Path) -> None:
    await agent.start()
    agent._inboxes = {"lost": Inbox(), "whole": Inbox()}
    folder = folder_of(tmp_path / "agent-0", flags.store_names(agent._settings, 0)[1])
    folder.mkdir(parents=True)
    tell_cut_short(folder, ["lost", "one that was removed"])
    assert agent._process is not None
    agent._process.kill()
    await until(agent, "agent_restarted", 1)
    for inbox in agent._inboxes.values():
        inbox.deliver("connections", {"state": "active"})
    for _ in range(2):
        with pytest.raises(AgentDied, match="agent-0 ended with signal 9 while it wrote to the wallet"):
            await agent._inboxes["lost"].expect("connections")
    assert await agent._inboxes["whole"].expect("connections") == {"state": "active"}
    assert take_cut_short(folder) == []


async def test_a_refused_connection_is_the_death_of_an_agent_that_just_died(agent: AgentProcess) -> None:
    await agent.start()
    assert agent._process is not None
    agent._process.kill()
    with pytest.raises(AgentDied):
        await agent.admin.call("GET", "/status")


async def test_an_agent_that_ends_at_start_shows_its_last_words(agent: AgentProcess, tmp_path: Path) -> None:
    (tmp_path / "stand_in_agent.py").write_text("raise SystemExit('no such argument')")
    with pytest.raises(AgentError, match="agent-0 exited at start; its log ends with: no such argument"):
        await agent.start()


async def test_the_lag_of_an_agent_that_does_not_answer(agent: AgentProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PROBE", 0.01)
    await agent.start()
    agent.admin.take_queue()
    stopped = psutil.Process(agent.pid)
    stopped.suspend()
    probing = asyncio.create_task(agent.watch_loop())
    try:
        async with asyncio.timeout(30):
            while not agent.admin.unanswered:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert agent.take_loop_lag() >= 0.3, "told while it is not answered yet"
        assert agent.admin.take_queue() == 1, "one request at a time"
        other = asyncio.create_task(agent.admin.call("GET", "/status/ready"))
        await asyncio.sleep(0.01)
        stopped.resume()
        await asyncio.wait_for(other, 30)
        assert agent.admin.take_queue() == 2
    finally:
        stopped.resume()
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
    assert agent.take_loop_lag() >= 0.3, "the longest since the last call"
    assert agent.take_loop_lag() == 0
    assert agent.admin.take_queue() <= 1
