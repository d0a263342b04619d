"""Lets an agent take work only once it has started up."""

from __future__ import annotations

from typing import Any

from controller.acapy_patches.patch import Patch


def be_ready_when_started() -> None:
    """Let the admin server answer 503, and say that it is not ready, until the conductor has started everything."""
    from acapy_agent.admin.server import AdminServer
    from acapy_agent.core.conductor import Conductor

    serve, start = AdminServer.start, Conductor.start

    async def serve_status_only(self: Any) -> None:
        await serve(self)
        self.app._state["ready"] = False

    async def start_and_be_ready(self: Any) -> None:
        await start(self)
        if self.admin_server:
            self.admin_server.app._state["ready"] = True

    AdminServer.start, Conductor.start = serve_status_only, start_and_be_ready


START_UP = Patch(
    name="start_up",
    reason=(
        "The agent says that it is ready while it still looks for wallets to upgrade. It then opens the store of a "
        "first wallet that is just being created, and both fail: no such table: config."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        "acapy_agent.admin.server:AdminServer.start": "fb4419033b538903",
        "acapy_agent.core.conductor:Conductor.start": "7fbf6d8c5124b603",
    },
    apply=be_ready_when_started,
)
