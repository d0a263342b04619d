"""Admin routes that the reference services add to their agents."""

from acapy_agent.admin.decorators.auth import admin_authentication
from acapy_agent.admin.request_context import AdminRequestContext
from aiohttp import web

from .forwards import ForwardCounts
from .issuing import IssuingGate


@admin_authentication
async def revoke(request: web.BaseRequest) -> web.Response:
    """Revoke a batch of credentials and publish them together."""
    context: AdminRequestContext = request["context"]
    credentials = (await request.json())["credentials"]
    return web.json_response(await context.profile.inject(IssuingGate).revoke(context.profile, credentials))


@admin_authentication
async def forwards(request: web.BaseRequest) -> web.Response:
    """How many messages were forwarded to each connection."""
    context: AdminRequestContext = request["context"]
    return web.json_response(dict(context.profile.inject(ForwardCounts).by_connection))


async def register(app: web.Application) -> None:
    """Called by ACA-Py when it builds its admin server."""
    app.add_routes(
        [
            web.post("/reference/revoke", revoke),
            web.get("/reference/forwards", forwards, allow_head=False),
        ]
    )
