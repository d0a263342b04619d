"""Asks the agents what has become of the links between their phones and the mediator, and journals it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from controller.agents.process import AgentProcess
from stampede.schema.errors import StepError
from stampede.schema.records import EventKind, PhonesRecord, layout

INTERVAL = 5.0
"""Seconds between two records of an agent."""
PATIENCE = 4.0
"""Seconds within which an agent must answer; else the next record has what this one lacks."""
MOMENTARY = ("wanted", "open", "reconnect_longest")
"""Fields that are not counts."""


class PhoneWatch:
    """Of all agents of this host; to be used where holders are phones."""

    def __init__(
        self,
        agents: list[AgentProcess],
        write: Callable[[PhonesRecord], None],
        announce: Callable[[EventKind, str, float], None],
    ) -> None:
        """``write`` journals a record as one of this moment."""
        self._agents = agents
        self._write = write
        self._announce = announce
        self._before: dict[str, tuple[int, dict[str, float]]] = {}

    async def watch(self) -> None:
        """Journal a record of each agent again and again, for ever."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.take()

    async def finish(self) -> None:
        """Journal the last records, and announce links that are down now."""
        states = await self.take()
        lost = sum(max(state["wanted"] - state["open"], 0) for state in states)
        if lost:
            problem = next((str(state["problem"]) for state in states if state.get("problem")), "no reason is known")
            wanted = sum(state["wanted"] for state in states)
            text = f"{lost} of {wanted} phones had lost their mediator and not got it back at the end: {problem}"
            self._announce(EventKind.PHONES_LOST, text, lost)

    async def take(self) -> list[dict[str, Any]]:
        """Journal a record of each agent that answers; returns their states."""
        found = await asyncio.gather(*(self._state_of(agent) for agent in self._agents))
        states = []
        for agent, state in zip(self._agents, found, strict=True):
            if state is not None:
                states.append(state)
                self._write(self._record(agent, state))
        return states

    async def _state_of(self, agent: AgentProcess) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await agent.admin.call("GET", "/pickup")
        except (StepError, TimeoutError):
            return None

    def _record(self, agent: AgentProcess, state: dict[str, Any]) -> PhonesRecord:
        """What is new since the record before; an agent that was restarted counts from zero."""
        restarts, before = self._before.get(agent.name, (agent.restarts, {}))
        if restarts != agent.restarts:
            before = {}
        self._before[agent.name] = agent.restarts, state
        new = {
            name: state[name] - (0 if name in MOMENTARY else before.get(name, 0))
            for name in layout(PhonesRecord).fields
        }
        return PhonesRecord(agent.name, **new)
