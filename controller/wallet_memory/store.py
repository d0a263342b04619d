"""Stores as ACA-Py knows them of Askar: created, opened and removed by their URI."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

from aries_askar import AskarError, AskarErrorCode

from controller.wallet_memory import queries
from controller.wallet_memory.database import Credentials, Database, exists
from controller.wallet_memory.folders import FOLDER
from controller.wallet_memory.queries import Filter
from controller.wallet_memory.records import Kind, Record
from controller.wallet_memory.session import Clock, OpenSession, Scan, page
from controller.wallet_memory.transaction import Transaction

SCHEME = "sqlite://"
NO_FILE = ":memory:"


class Stores:
    """The stores of a process; to ACA-Py it is the class ``aries_askar.Store``."""

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._databases: dict[Path, Database] = {}
        """By their folders, those that have been opened: whoever opens one again gets the same."""

    async def provision(
        self,
        uri: str,
        key_method: str | None = None,
        pass_key: str | None = None,
        *,
        profile: str | None = None,
        recreate: bool = False,
    ) -> Store:
        """Create a store, or open the one that is there unless it is to be recreated."""
        folder = folder_of(uri)
        if folder and recreate:
            await self.remove(uri)
        if folder and exists(folder):
            return await self.open(uri, key_method, pass_key, profile=profile)
        database = Database.create(folder, Credentials(key_method, pass_key), profile)
        if folder:
            self._databases[folder] = database
        return Store(database, uri, profile or database.default_profile, self._clock)

    async def open(
        self, uri: str, key_method: str | None = None, pass_key: str | None = None, *, profile: str | None = None
    ) -> Store:
        """Open a store. Raises AskarError: NOT_FOUND when there is none, ENCRYPTION when the key is not its own."""
        folder = folder_of(uri)
        if folder is None:
            raise AskarError(AskarErrorCode.NOT_FOUND, f"there is no store {uri}")
        credentials = Credentials(key_method, pass_key)
        database = self._databases.get(folder)
        if database is None:
            database = self._databases[folder] = Database.load(folder, credentials)
        else:
            database.check(credentials)
        return Store(database, uri, profile or database.default_profile, self._clock)

    async def remove(self, uri: str) -> bool:
        """Remove a store with all that is in it; returns whether there was one."""
        folder = folder_of(uri)
        if folder is None or not exists(folder):
            return False
        self._databases.pop(folder, None)
        shutil.rmtree(folder)
        return True

    async def rekey(self, store: Store, key_method: str | None = None, pass_key: str | None = None) -> None:
        """See ``Store.rekey``."""
        await store.rekey(key_method, pass_key)


class Store:
    """See ``aries_askar.Store``."""

    def __init__(self, database: Database, uri: str, profile: str, clock: Clock) -> None:
        self.uri = uri
        self.clock = clock
        self._database: Database | None = database
        self._profile = profile

    @property
    def handle(self) -> Database | None:
        """The profiles; None when the store has been closed."""
        return self._database

    def opened(self) -> Database:
        """See OpenStore."""
        if self._database is None:
            raise AskarError(AskarErrorCode.WRAPPER, "Cannot start session from closed store")
        return self._database

    async def create_profile(self, name: str | None = None) -> str:
        """Add a profile; returns its name, which is made up when none is given. Raises AskarError DUPLICATE."""
        name = name or str(uuid4())
        self.opened().create_profile(name)
        return name

    async def remove_profile(self, name: str) -> bool:
        """Remove a profile with all that is in it; returns whether there was one."""
        return self.opened().remove_profile(name)

    async def rename_profile(self, from_name: str, to_name: str) -> None:
        """Give a profile another name. Raises AskarError WRAPPER when there is none of the first name, BACKEND when
        there is one of the second."""
        if not self.opened().rename_profile(from_name, to_name):
            raise AskarError(AskarErrorCode.WRAPPER, "Profile renaming failed")

    async def list_profiles(self) -> list[str]:
        """The names of all profiles."""
        return list(self.opened().profiles)

    async def get_profile_name(self) -> str:
        """The profile of sessions that name none."""
        return self._profile

    async def get_default_profile(self) -> str:
        """The profile of sessions that name none, when the store is opened without one."""
        return self.opened().default_profile

    async def set_default_profile(self, profile: str) -> None:
        """Change what ``get_default_profile`` returns."""
        self.opened().default_profile = profile

    async def rekey(self, key_method: str | None = None, pass_key: str | None = None) -> None:
        """Have the store opened by another key from now on."""
        self.opened().rekey(Credentials(key_method, pass_key))

    def scan(
        self,
        category: str | None = None,
        tag_filter: Filter = None,
        offset: int | None = None,
        limit: int | None = None,
        profile: str | None = None,
        order_by: str | None = None,
        descending: bool = False,
    ) -> Scan:
        """Read the committed records that are selected."""

        def load() -> Iterator[Record]:
            view = Transaction(self.opened().profile(profile or self._profile))
            now = int(self.clock())
            found = view.select(Kind.ITEM, category, queries.parse(tag_filter))
            there = [record for record in found if not record.has_expired(now)]
            return iter(page(there, offset, limit, order_by, descending))

        return Scan(load)

    def session(self, profile: str | None = None) -> OpenSession:
        """A session in which each write is committed by itself."""
        return OpenSession(self, profile or self._profile, False)

    def transaction(self, profile: str | None = None, *, autocommit: bool | None = None) -> OpenSession:
        """A session whose writes are committed together."""
        return OpenSession(self, profile or self._profile, True, autocommit)

    async def close(self, *, remove: bool = False) -> bool:
        """Open no more sessions. What was written stays, unless it is to be removed."""
        database, self._database = self._database, None
        if remove and database and database.folder:
            shutil.rmtree(database.folder, ignore_errors=True)
            return True
        return False


def folder_of(uri: str) -> Path | None:
    """Where a store is whose URI is that of a SQLite file; None when it is not to be in a file. Raises AskarError
    UNSUPPORTED for another kind of URI."""
    if not uri.startswith(SCHEME):
        raise AskarError(AskarErrorCode.UNSUPPORTED, f"a store in memory cannot be at {uri.partition(':')[0]}:")
    path = unquote(uri.removeprefix(SCHEME).partition("?")[0])
    return None if path == NO_FILE else Path(path).parent / FOLDER
