"""What the controller sends over a connection: POST requests with a tenant's token."""

from __future__ import annotations

from acapy_agent.admin.decorators.auth import tenant_authentication
from acapy_agent.connections.models.conn_record import ConnRecord
from acapy_agent.messaging.agent_message import AgentMessage
from acapy_agent.protocols.actionmenu.v1_0.messages.perform import Perform
from acapy_agent.storage.error import StorageNotFoundError
from aiohttp import web

from controller.dialogue.messages import Answer


async def register(app: web.Application) -> None:
    """Called by ACA-Py."""
    app.add_routes(
        [
            web.post("/dialogue/{connection_id}/perform", tenant_authentication(perform)),
            web.post("/dialogue/{connection_id}/answer", tenant_authentication(answer)),
        ]
    )


async def perform(request: web.Request) -> web.Response:
    """Perform an action of the menu with the thread ``thread_id``."""
    body = await request.json()
    return await _send(request, Perform(name=body["name"], params=body["params"]), body["thread_id"])


async def answer(request: web.Request) -> web.Response:
    """Answer the question with the thread ``thread_id``."""
    body = await request.json()
    return await _send(request, Answer(response=body["response"]), body["thread_id"])


async def _send(request: web.Request, message: AgentMessage, thread_id: str) -> web.Response:
    connection_id = request.match_info["connection_id"]
    try:
        async with request["context"].profile.session() as session:
            await ConnRecord.retrieve_by_id(session, connection_id)
    except StorageNotFoundError as error:
        raise web.HTTPNotFound(reason=error.roll_up) from error
    message.assign_thread_id(thread_id)
    await request["outbound_message_router"](message, connection_id=connection_id)
    return web.json_response({})
