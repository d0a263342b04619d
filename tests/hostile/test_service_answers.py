"""Services that answer in odd ways: each answer is an invitation, or a failed step with its class."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from odd_service import INVITATION, ODDITIES, odd_service

from controller.services.client import HttpServices
from stampede.schema.errors import StepError
from stampede.schema.settings.run_settings import Settings

KEY = "hush/hush+\"é' 1"


@contextlib.asynccontextmanager
async def client(
    variables: dict[str, Any], url: str, secrets: dict[str, str] | None = None, **changes: Any
) -> AsyncIterator[HttpServices]:
    """The services with one issuer, whose invitation request is ``url`` and ``changes``."""
    ca_file = changes.pop("ca_file", "")
    limit = changes.pop("limit", "30s")
    services = {"issuer": {"invitation": {"url": url, **changes}, "revocation": {"url": url}, "ca_file": ca_file}}
    settings = Settings.from_variables(
        variables
        | {"stampede_services": services, "stampede_secrets": secrets or {}, "stampede_step_timeout": limit}
        | {"stampede_mediator_did": ""}
    )
    async with HttpServices(settings, secrets or {}) as made:
        yield made


@pytest.mark.parametrize("name", ODDITIES)
async def test_an_odd_answer(variables: dict[str, Any], name: str) -> None:
    oddity = ODDITIES[name]
    limit = "1s" if oddity.error == "timeout" else "30s"
    async with (
        odd_service() as service,
        client(variables, f"http://127.0.0.1:{service.port}/{name}", limit=limit) as it,
    ):
        if not oddity.error:
            assert await it.request_invitation("issuer", {}) == INVITATION
            return
        with pytest.raises(StepError) as caught:
            await it.request_invitation("issuer", {})
    assert caught.value.error_class == oddity.error, caught.value
    assert oddity.says in caught.value.detail
    assert caught.value.detail.isprintable() and len(caught.value.detail) <= 500
