"""The part of ACA-Py's admin API that holders need."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from stampede.schema.errors import AgentDied, AgentError, ProblemReport

type Json = dict[str, Any]


class AdminApi:
    """The admin API of one agent, on the loopback interface, with a key created for this run."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, key: str, has_exited: Callable[[], Awaitable[bool]], name: str
    ) -> None:
        self._session = session
        self._url = url
        self._headers = {"X-API-Key": key}
        self._has_exited = has_exited
        self._name = name
        self.unanswered = 0
        """Requests that the agent has not answered."""
        self.most_unanswered = 0
        """At most, since ``take_queue`` was called the last time."""

    def take_queue(self) -> int:
        """The most requests that were unanswered at a time since the last call."""
        most, self.most_unanswered = max(self.most_unanswered, self.unanswered), self.unanswered
        return most

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        token: str = "",
    ) -> Json:
        """One request; ``token`` is the tenant's. Returns the JSON response.

        Raises AgentDied when the process has exited, else AgentError with status and reason.
        """
        headers = {**self._headers, "Authorization": f"Bearer {token}"} if token else self._headers
        self.unanswered += 1
        self.most_unanswered = max(self.most_unanswered, self.unanswered)
        try:
            async with self._session.request(
                method, self._url + path, json=body, params=query, headers=headers
            ) as response:
                text = await response.text()
                if response.status >= 400:
                    raise AgentError(f"{self._name}: {method} {path} answered {response.status} {text}")
                response_json = json.loads(text) if text else {}
                return response_json if isinstance(response_json, dict) else {"results": response_json}
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            if await self._has_exited():
                raise AgentDied(f"{self._name} ended during {method} {path}") from error
            raise AgentError(f"{self._name}: {method} {path}: {error or type(error).__name__}") from error
        finally:
            self.unanswered -= 1


def check_not_abandoned(event: Json, what: str) -> None:
    """Raise ProblemReport when an exchange has been abandoned."""
    if event.get("state") in ("abandoned", "error", "request-rejected"):
        raise ProblemReport(f"{what} was abandoned: {event.get('error_msg') or 'no reason given'}")
