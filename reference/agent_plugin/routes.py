"""Admin routes that the reference services add to their agents."""

from acapy_agent.admin.decorators.auth import admin_authentication
from acapy_agent.admin.request_context import AdminRequestContext
from acapy_agent.protocols.coordinate_mediation.v1_0.manager import MediationManager
from aiohttp import web

from .forwards import ForwardCounts
from .issuing import IssuingGate
from .questions import ask


@admin_authentication  # type: ignore[untyped-decorator]  # ACA-Py has no types
async def revoke(request: web.BaseRequest) -> web.Response:
    """Revoke a batch of credentials and publish them together."""
    context: AdminRequestContext = request["context"]
    credentials = (await request.json())["credentials"]
    return web.json_response(await context.profile.inject(IssuingGate).revoke(context.profile, credentials))


@admin_authentication  # type: ignore[untyped-decorator]  # ACA-Py has no types
async def forwards(request: web.BaseRequest) -> web.Response:
    """The number of messages forwarded to each connection."""
    context: AdminRequestContext = request["context"]
    return web.json_response(dict(context.profile.inject(ForwardCounts).by_connection))


@admin_authentication  # type: ignore[untyped-decorator]  # ACA-Py has no types
async def create_routing_did(request: web.BaseRequest) -> web.Response:
    """Create the mediator's routing DID; else the first requests for mediation would all create it, and fail."""
    context: AdminRequestContext = request["context"]
    manager = MediationManager(context.profile)
    async with context.profile.session() as session:
        if not await manager._retrieve_routing_did(session):
            await manager._create_routing_did(session)
    return web.json_response({})


async def register(app: web.Application) -> None:
    """Called by ACA-Py when it builds its admin server."""
    app.add_routes(
        [
            web.post("/reference/revoke", revoke),
            web.post("/reference/question/{connection_id}", ask),
            web.post("/reference/routing-did", create_routing_did),
            web.get("/reference/forwards", forwards, allow_head=False),
        ]
    )
