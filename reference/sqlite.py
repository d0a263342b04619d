"""How the agents' SQLite wallets are opened, so that many holders at once do not stall them.

Askar gives a store 4 to 8 connections, makes who finds none wait up to 30 s, and ACA-Py keeps a session
(one connection) open while it opens another: a few tens of messages at once then wait for each other. More
connections than messages end that; on tmpfs nothing is gained by waiting for the disk either.
"""

from acapy_agent.askar.store import AskarStoreConfig

OPTIONS = "busy_timeout=60000&max_connections=100&synchronous=OFF"


def tune() -> None:
    """Let every SQLite store that this process opens use `OPTIONS`."""
    build = AskarStoreConfig._build_sqlite_uri

    def build_tuned(self: AskarStoreConfig, in_memory: bool | None, create: bool) -> str:
        uri = build(self, in_memory, create)
        return uri if in_memory else f"{uri}?{OPTIONS}"

    AskarStoreConfig._build_sqlite_uri = build_tuned
