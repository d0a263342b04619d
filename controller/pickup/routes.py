"""What the controller asks for: POST requests with a tenant's token, about its phone; GET about all phones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from acapy_agent.admin.decorators.auth import admin_authentication, tenant_authentication
from aiohttp import web

from controller.pickup.agent import phone_of, restore_phones
from controller.pickup.link import LinkFailed
from controller.pickup.phone import Phone
from controller.pickup.phones import Phones

LONGEST = 300.0
"""Seconds that a request may take; steps end before."""
ASKED_AGAIN = 5.0
"""Seconds after which who awaits the mediator's answer is told why there is none yet."""


async def register(app: web.Application) -> None:
    """Called by ACA-Py."""
    app.add_routes(
        [
            web.post("/pickup/expect", tenant_authentication(expect)),
            web.post("/pickup/reached", tenant_authentication(reached)),
            web.post("/pickup/come", tenant_authentication(come)),
            web.post("/pickup/go", tenant_authentication(go)),
            web.post("/pickup/poke", tenant_authentication(poke)),
            web.post("/pickup/end", tenant_authentication(end)),
            web.post("/pickup/restore", admin_authentication(restore)),
            web.get("/pickup", admin_authentication(state), allow_head=False),
        ]
    )


async def expect(request: web.Request) -> web.Response:
    """The wallet is about to connect to its mediator, whose DID or invitation's id is ``known_by``."""
    _phone(request).known_by = request.query["known_by"]
    return web.json_response({})


async def reached(request: web.Request) -> web.Response:
    """Answers when the link to the mediator is open; ``problem`` when it cannot be opened."""
    return await _outcome(_phone(request).reached())


async def come(request: web.Request) -> web.Response:
    """Mediation is granted, or the app comes back. Answers when the mediator has answered, or after a while with
    ``waits_for``; then this is to be asked again."""
    context = request["context"]
    await context.root_profile.inject(Phones).restored(context.profile.settings["wallet.id"])
    phone = _phone(request)
    try:
        async with asyncio.timeout(ASKED_AGAIN):
            return await _outcome(phone.come())
    except TimeoutError:
        problem = phone.link.problem if phone.link else ""
        return web.json_response({"waits_for": problem or "it has not answered a greeting yet"})


async def go(request: web.Request) -> web.Response:
    """The app goes to the background."""
    return await _outcome(_phone(request).go())


async def poke(request: web.Request) -> web.Response:
    """Something is awaited and does not come."""
    _phone(request).poke()
    return web.json_response({})


async def end(request: web.Request) -> web.Response:
    """The wallet is about to be removed."""
    context = request["context"]
    await context.root_profile.inject(Phones).remove(context.profile.settings["wallet.id"])
    return web.json_response({})


async def restore(request: web.Request) -> web.Response:
    """The agent was started anew; ``away`` has the ids of the wallets whose app is in the background."""
    await restore_phones(request["context"].profile, frozenset((await request.json())["away"]))
    return web.json_response({})


async def state(request: web.Request) -> web.Response:
    """See ``Phones.state``."""
    return web.json_response(request["context"].profile.inject(Phones).state())


def _phone(request: web.Request) -> Phone:
    context = request["context"]
    return phone_of(context.root_profile, context.profile)


async def _outcome(doing: Awaitable[None]) -> web.Response:
    try:
        async with asyncio.timeout(LONGEST):
            await doing
    except LinkFailed as error:
        return web.json_response({"problem": str(error)})
    except TimeoutError:
        return web.json_response({"problem": f"no answer for {LONGEST:g} s"})
    return web.json_response({})
