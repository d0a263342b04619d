"""``setup(run)`` and ``teardown(run)`` of a scenario: what they are given, and their calls, real or simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from controller.holder.requests import check_given, given_values, service_and_request
from controller.load.virtual_time import VirtualTimeLoop
from controller.run.simulated import SimulatedServices
from controller.services.client import HttpServices
from controller.services.interface import Services
from stampede.schema.errors import BadInput
from stampede.schema.settings.placeholders import GIVEN, SECRET, names_in, pointer_of
from stampede.schema.settings.run_settings import Settings
from stampede.schema.shared_values import Shared, with_more

type Hook = Callable[[RunAccess], Awaitable[Any]]


class RunAccess:
    """The run, as ``setup`` and ``teardown`` see it: once on the control node, before the first holder and after the
    last one."""

    def __init__(
        self,
        settings: Settings,
        variables: Mapping[str, Any],
        services: Services,
        shared: Mapping[str, Any],
        *,
        simulated: bool = False,
    ) -> None:
        self.id = settings.run_id
        self.holders = settings.load.total
        """How many there are in all."""
        self.settings = {name: value for name, value in variables.items() if name != "stampede_secrets"}
        """The ``stampede_*`` variables, without the secrets."""
        self.shared: Mapping[str, Any] = Shared(shared, "run.shared")
        """What ``setup`` returned; in a ``setup`` itself, what those of the scripts before it did."""
        self.simulated = simulated
        """Whether nothing is sent: in the check and the dry run, where requests are answered by their ``example``."""
        self._settings = settings
        self._services = services
        self._answers: dict[str, dict[str, Any]] = {}

    async def request(self, name: str, /, **given: Any) -> Any:
        """Send a request of a service by HTTPS, as ``holder.request`` does: ``"portal"`` or ``"portal.reset"``.
        Returns the JSON of the answer, or text where it is none. Raises StepError."""
        service, own_name = service_and_request(name, self._settings.services)
        configured = self._settings.services[service].requests[own_name]
        check_given(name, configured.given(), given)
        for used in (each for request in configured.in_order for each in names_in(request.texts)):
            if used != "run_id" and not used.startswith((SECRET, GIVEN)) and not pointer_of(used):
                raise BadInput(
                    f"run.request({name!r}) uses ${{{used}}}, which only a holder has; setup and teardown need a "
                    "request without it"
                )
        values = {"run_id": self.id, **self._answers.get(service, {}), **given_values(given)}
        answered = await self._services.request(service, own_name, values)
        self._answers.setdefault(service, {}).update(answered.kept)
        return answered.value


async def call(
    hook: Hook,
    settings: Settings,
    variables: Mapping[str, Any],
    secrets: Mapping[str, str],
    shared: Mapping[str, Any],
) -> Any:
    """Call ``setup`` or ``teardown``; returns what it returns. Raises whatever it raises."""
    async with HttpServices(settings, secrets) as services:
        return await hook(RunAccess(settings, variables, services, shared))


def simulate(
    setups: Sequence[Hook], teardowns: Sequence[Hook], settings: Settings, variables: Mapping[str, Any]
) -> Shared:
    """Call all of them with simulated requests, on virtual time; returns what all holders have. Raises whatever they
    raise, BadInput when ``setup`` returns what it must not."""

    async def one_after_the_other() -> Shared:
        services = SimulatedServices(settings.services)
        shared: dict[str, Any] = {}
        for setup in setups:
            returned = await setup(RunAccess(settings, variables, services, shared, simulated=True))
            shared = with_more(shared, returned)
        for teardown in teardowns:
            await teardown(RunAccess(settings, variables, services, shared, simulated=True))
        return Shared(shared)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(one_after_the_other())
