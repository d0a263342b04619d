"""Wallets in PostgreSQL instead of SQLite: for many holders per host, or wallets that outgrow memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from stampede.schema.settings.web_address import in_url

CONNECTIONS = 20
"""Per store; an agent has two. PostgreSQL's own ``max_connections`` (100 by default) must allow for all of them."""


@dataclass(frozen=True, slots=True)
class Postgresql:
    """A server on which each agent creates its databases, which are dropped at the end."""

    host: str
    port: int
    account: str
    password: str

    @classmethod
    def from_url(cls, url: str, password: str) -> Self:
        """The server at ``postgresql://USER@HOST:PORT``; the user must be allowed to create databases."""
        parts = urlsplit(url)
        account = unquote(parts.username or "postgres")
        return cls(parts.hostname or "localhost", parts.port or 5432, account, password)

    def environment(self) -> dict[str, str]:
        """ACA-Py's wallet storage settings as environment variables, because they contain the password."""
        credentials = {
            "account": self.account,
            "password": self.password,
            "admin_account": self.account,
            "admin_password": self.password,
        }
        return {
            "ACAPY_WALLET_STORAGE_TYPE": "postgres_storage",
            "ACAPY_WALLET_STORAGE_CONFIG": json.dumps(
                {"url": f"{in_url(self.host)}:{self.port}", "max_connections": CONNECTIONS}
            ),
            "ACAPY_WALLET_STORAGE_CREDS": json.dumps(credentials),
        }

    async def drop(self, *databases: str) -> None:
        """Drop the databases that exist. Raises psycopg.Error."""
        import psycopg
        from psycopg.sql import SQL, Identifier

        connection = await psycopg.AsyncConnection.connect(
            host=self.host,
            port=self.port,
            user=self.account,
            password=self.password,
            dbname="postgres",
            autocommit=True,
            connect_timeout=10,
        )
        async with connection:
            for database in databases:
                await connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(database)))
