"""Events of a real agent: over the WebSocket or as webhooks, and to a webhook URL of the user's besides."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller.agents.pool import AgentPool
from controller.agents.webhooks import WebhookReceiver
from stampede.machine.ports import free_ports
from stampede.schema.settings.run_settings import Settings

CONNECTIONS = 5


@pytest.mark.parametrize("by", ["socket", "webhooks"])
async def test_events_come_by_one_way_and_to_the_user_too(
    by: str, variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: Counter[str] = Counter()
    take, receive = WebhookReceiver._take, WebhookReceiver._receive

    def counted_take(self: WebhookReceiver, sender: str, first: int, events: Any) -> int:
        came["socket"] += sum(topic == "connections" for _, topic, _ in events)
        return take(self, sender, first, events)

    async def counted_receive(self: WebhookReceiver, request: web.Request) -> web.Response:
        came["webhooks"] += request.match_info["topic"] == "connections"
        return await receive(self, request)

    monkeypatch.setattr(WebhookReceiver, "_take", counted_take)
    monkeypatch.setattr(WebhookReceiver, "_receive", counted_receive)
    users: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def users_own(request: web.Request) -> web.Response:
        if request.match_info["topic"] == "connections":
            users.put_nowait((request.headers["x-wallet-id"], (await request.json())["connection_id"]))
        return web.Response()

    app = web.Application()
    app.router.add_post("/mine/topic/{topic}/", users_own)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_ports()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    changes = {
        "holders": 1,
        "agents": 1,
        "agent_port": free_ports(),
        "agent_args": ["--webhook-url", f"http://127.0.0.1:{port}/mine"],
        "agent_patches": {"event_socket": by == "socket"},
    }
    settings = Settings.from_variables(variables | {f"stampede_{name}": value for name, value in changes.items()})
    (tmp_path / "logs").mkdir()
    try:
        async with asyncio.timeout(120), AgentPool(settings, tmp_path, lambda kind, text: None, {}) as pool:
            await pool.start()
            wallet = pool.get(0)
            body = {"handshake_protocols": ["https://didcomm.org/didexchange/1.1"]}
            for _ in range(CONNECTIONS):
                await wallet._post("/out-of-band/create-invitation", body)
            made = await wallet._get("/connections")
            ids = {connection["connection_id"] for connection in made["results"]}
            for connection_id in ids:
                await wallet.inbox.expect("connections", "invitation", connection_id=connection_id)
            told = {await users.get() for _ in ids}
    finally:
        await runner.cleanup()
    assert len(ids) == CONNECTIONS
    assert told == {(wallet.wallet_id, connection_id) for connection_id in ids}
    assert came == Counter({by: CONNECTIONS})
