"""Keeps the wallets' records in the agent's memory, and in files from which a restarted agent reads them again."""

from __future__ import annotations

from typing import Any
from weakref import ref

from controller.acapy_patches.patch import Patch


def keep_in_memory() -> None:
    """Have ACA-Py open its stores with ``controller.wallet_memory`` instead of Askar, and their sessions without a
    timer: what a session may wait for is another's transaction, for as long as the store lets it."""
    from acapy_agent.askar import profile_anon, store
    from acapy_agent.config.provider import ClassProvider
    from acapy_agent.core.error import ProfileError
    from acapy_agent.storage.base import BaseStorage
    from acapy_agent.wallet.base import BaseWallet
    from aries_askar import AskarError

    from controller.wallet_memory.store import Stores

    async def set_up(self: Any) -> None:
        try:
            self._handle = await self._opener
        except AskarError as error:
            raise ProfileError("Error opening store session") from error
        self._opener = None
        providers = self._context.injector
        providers.bind_provider(BaseWallet, ClassProvider("acapy_agent.wallet.askar.AskarWallet", ref(self)))
        providers.bind_provider(BaseStorage, ClassProvider("acapy_agent.storage.askar.AskarStorage", ref(self)))

    store.Store = Stores()
    profile_anon.AskarAnonCredsProfileSession._setup = set_up


MEMORY_WALLETS = Patch(
    name="memory_wallets",
    reason=(
        "Most of the CPU that an agent does not spend on AnonCreds goes to Askar's store: each of about ninety calls "
        "for a credential or a proof wakes a thread, encrypts, and has SQLite look up a wallet's handful of records."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0", "aries-askar": "0.5.0"},
    originals={
        "acapy_agent.askar.profile:AskarProfileSession": "a37390399c839fac",
        "acapy_agent.askar.profile_anon:AskarAnonCredsProfileSession": "b6b6d7a0a2470a55",
        "acapy_agent.askar.store": "e50dcef64ad86762",
        "acapy_agent.storage.askar": "ce0d467f618a1951",
        "acapy_agent.wallet.askar": "985edad318103523",
        "aries_askar.store": "cd1e6c5a615bc640",
    },
    apply=keep_in_memory,
)
