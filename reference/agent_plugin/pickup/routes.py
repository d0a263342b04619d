"""The admin route by which the mediator's agent tells of sockets and mailboxes."""

from acapy_agent.admin.decorators.auth import admin_authentication
from acapy_agent.admin.request_context import AdminRequestContext
from aiohttp import web

from .sessions import PostOffice


@admin_authentication  # type: ignore[untyped-decorator]  # ACA-Py has no types
async def pickup(request: web.BaseRequest) -> web.Response:
    """Sockets that are open, messages that wait, and those that were dropped because too many waited."""
    context: AdminRequestContext = request["context"]
    office = context.profile.inject(PostOffice)
    mailboxes = office.mailboxes.values()
    return web.json_response(
        {
            "sockets": sum(session.is_socket for session in office.sessions.values()),
            "waiting": sum(map(len, mailboxes)),
            "dropped": sum(mailbox.dropped for mailbox in mailboxes),
        }
    )


async def register(app: web.Application) -> None:
    """Called by ACA-Py when it builds its admin server."""
    app.add_routes([web.get("/reference/pickup", pickup, allow_head=False)])
