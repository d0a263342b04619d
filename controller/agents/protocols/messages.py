"""Small messages over a connection that is there: pings, texts, questions for features."""

from __future__ import annotations

import asyncio

from controller.agents.protocols.tenant import Tenant
from controller.agents.protocols.topics import Topics
from controller.agents.wallet import Connection
from stampede.schema.errors import StepTimeout

DISCLOSURES_POLL = 0.05
"""Seconds between two looks for the answer to a query of features."""


class Messages(Tenant):
    """Trust pings, basic messages and feature discovery (Aries RFCs 0048, 0095, 0557)."""

    __slots__ = ()

    async def ping(self, connection: Connection) -> None:
        """See Wallet."""
        sent = await self._post(f"/connections/{connection.connection_id}/send-ping", body={"comment": ""})
        await self._expect(Topics.ping, "response_received", thread_id=sent["thread_id"])

    async def send_message(self, connection: Connection, text: str) -> None:
        """See Wallet."""
        await self._post(f"/connections/{connection.connection_id}/send-message", body={"content": text})

    async def discover_features(self, connection: Connection, match: str) -> list[str]:
        """See Wallet."""
        # No event tells of the disclosures, and the query's own answer looks for them every half second only.
        _, former = await self._disclosures(connection)
        query = {"connection_id": connection.connection_id, "query_protocol": match}
        sent = asyncio.ensure_future(
            self._admin.call("GET", "/discover-features-2.0/queries", query=query, token=self._token)
        )
        try:
            while True:
                protocols, updated = await self._disclosures(connection)
                if protocols is not None and updated != former:
                    return protocols
                if sent.done():
                    sent.result()
                await asyncio.sleep(DISCLOSURES_POLL)
        except asyncio.CancelledError:
            self._cut_off = StepTimeout("waited for the disclosures of the other agent")
            raise
        finally:
            sent.cancel()
            await asyncio.gather(sent, return_exceptions=True)

    async def _disclosures(self, connection: Connection) -> tuple[list[str] | None, str]:
        """The protocols last disclosed over a connection, and when; None while none are."""
        records = await self._admin.call("GET", "/discover-features-2.0/records", token=self._token)
        for record in records["results"]:
            if record.get("connection_id") == connection.connection_id and record.get("disclosures"):
                disclosed = record["disclosures"]["disclosures"]
                protocols = [each["id"] for each in disclosed if each.get("feature-type") == "protocol"]
                return protocols, record.get("updated_at", "")
        return None, ""
