"""The store in memory does what Askar does on SQLite: the same calls, by several sessions at once, have the same
results and errors, and what each session sees is the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from aries_askar import AskarError, AskarErrorCode, Key, KeyAlg
from aries_askar import Store as AskarStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from controller.wallet_memory.store import Stores

SESSIONS = 4
"""At once."""
NAMES = st.sampled_from(["0", "1", "3"])
CATEGORIES = st.sampled_from(["connection", "connection", "credential"])
ENCRYPTED, PLAIN = ["state", "role"], ["~state", "~at"]
TAG_NAMES = st.sampled_from(ENCRYPTED + PLAIN)
TEXTS = st.sampled_from(["", "a", "A", "ab", "b", "ä", "a%", "[a]", "a_b", "2026-11-27"])
PATTERNS = st.sampled_from(["a%", "%B", "_", "a_", "%", "", "[a]", "a%%", "Ä", "2026-__-%"])
TAGS = st.none() | st.dictionaries(
    TAG_NAMES, TEXTS | st.lists(TEXTS, max_size=3) | st.sets(TEXTS, max_size=3), max_size=4
)
VALUES = st.none() | st.sampled_from([b"", b"\x00\xff", b'{"a": 1}']) | TEXTS
EXPIRY = st.sampled_from([None, None, None, -5, 0, 10**9])
KEYS = {name: Key.generate(alg) for name, alg in (("signing", KeyAlg.ED25519), ("agreement", KeyAlg.X25519))}
KEY_TAGS = st.none() | st.dictionaries(st.sampled_from(ENCRYPTED), TEXTS, max_size=2)
LIMITS = st.none() | st.integers(-1, 3)


def comparisons(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(
        st.sampled_from(names),
        TEXTS
        | TEXTS.map(lambda text: {"$neq": text})
        | st.lists(TEXTS, max_size=3).map(lambda texts: {"$in": texts}),
        max_size=2,
    )


ORDERED = st.builds(
    lambda name, compare, text: {name: {compare: text}},
    st.sampled_from(PLAIN),
    st.sampled_from(["$gt", "$gte", "$lt", "$lte"]),
    TEXTS,
)
LIKE = st.builds(lambda name, pattern: {name: {"$like": pattern}}, st.sampled_from(PLAIN), PATTERNS)
EXIST = st.builds(lambda names: {"$exist": names}, TAG_NAMES | st.lists(TAG_NAMES, max_size=3))


def combined(parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(parts, max_size=3)
    return (
        st.builds(lambda filters: {"$and": filters}, several)
        | st.builds(lambda filters: {"$or": filters}, several)
        | st.builds(lambda filter_: {"$not": filter_}, parts)
        | st.builds(lambda one, other: {**one, **other}, parts, parts)
    )


def filters(names: list[str] = ENCRYPTED + PLAIN) -> st.SearchStrategy[dict[str, Any] | None]:
    single = comparisons(names) | EXIST
    return st.none() | st.recursive(single if names == ENCRYPTED else single | ORDERED | LIKE, combined, max_leaves=6)


async def outcome(call: Awaitable[Any]) -> Any:
    """What a call returned, so that it can be compared; the code of the error that it raised."""
    try:
        return plain(await call)
    except AskarError as error:
        return error.code


def plain(result: Any) -> Any:
    if result is None or isinstance(result, int | str | bytes):
        return result
    if hasattr(result, "algorithm"):
        return (result.name, result.algorithm, result.metadata, result.tags or {}, result.key.get_jwk_secret())
    if hasattr(result, "category"):
        return (result.category, result.name, bytes(result.value), bytes(result.raw_value), result.tags)
    return [plain(each) for each in result]


def unordered(result: Any, limit: int | None) -> Any:
    """Records that were asked for in no order may come in any; of some of them only the number can be compared."""
    if not isinstance(result, list):
        return result
    return len(result) if limit is not None and limit >= 0 else sorted(result, key=repr)


async def inserted(session: Any, name: str, **arguments: Any) -> None:
    """Insert a key; Askar's binding returns the text ``None``."""
    await session.insert_key(name, KEYS[name], **arguments)


async def filled(store: Any, profile: str, tags: list[Any]) -> None:
    """Insert records with these tags, named by their numbers."""
    async with store.session(profile) as session:
        for number, each in enumerate(tags):
            await session.insert("connection", str(number), "value", each)


class Pair:
    """A session of each store."""

    def __init__(self, profile: int, askar: Any, memory: Any) -> None:
        self.profile = profile
        self.askar = askar
        self.memory = memory


class SameAsAskar(RuleBasedStateMachine):
    """The calls of ACA-Py, in any order, by up to four sessions on two profiles."""

    runner: asyncio.Runner
    askar: AskarStore

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[Pair] = []

    @initialize(tags=st.lists(TAGS, min_size=3, max_size=3))
    def open(self, tags: list[Any]) -> None:
        self.memory = self.run(Stores().provision("sqlite://:memory:", "raw", AskarStore.generate_raw_key()))
        self.profiles = [str(uuid4()) for _ in range(2)]
        for profile in self.profiles:
            self.run(self.askar.create_profile(profile))
            self.run(self.memory.create_profile(profile))
            for store in (self.askar, self.memory):
                self.run(filled(store, profile, tags))

    def teardown(self) -> None:
        for pair in self.pairs:
            self.run(pair.askar.close())
            self.run(pair.memory.close())

    def run(self, call: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await call

        return self.runner.run(awaited())

    def both(self, call: Callable[[Any], Awaitable[Any]], one: Any, other: Any) -> tuple[Any, Any]:
        return self.run(outcome(call(one))), self.run(outcome(call(other)))

    def same(
        self,
        data: st.DataObject,
        call: Callable[[Any], Awaitable[Any]],
        of: Callable[[Any], Any] = lambda result: result,
    ) -> Any:
        pair = data.draw(st.sampled_from(self.pairs), "session")
        askar, memory = self.both(call, pair.askar, pair.memory)
        assert of(memory) == of(askar)

    def changed(self, data: st.DataObject, call: Callable[[Any], Awaitable[Any]]) -> None:
        """A write that would not wait: outside of a transaction it waits for one, which cannot end meanwhile here."""
        transactions = [pair for pair in self.pairs if pair.memory.is_transaction]
        pair = data.draw(st.sampled_from(transactions or self.pairs), "session")
        askar, memory = self.both(call, pair.askar, pair.memory)
        assert memory == askar

    @invariant()
    def every_session_sees_the_same(self) -> None:
        for pair in self.pairs:
            askar, memory = self.both(lambda session: session.fetch_all(order_by="id"), pair.askar, pair.memory)
            assert memory == askar
        for profile in self.profiles:
            askar, memory = self.both(
                lambda store, name=profile: store.scan(profile=name, order_by="id").fetch_all(),
                self.askar,
                self.memory,
            )
            assert memory == askar

    has_sessions = precondition(lambda self: self.pairs)

    @precondition(lambda self: len(self.pairs) < SESSIONS)
    @rule(profile=st.sampled_from([0, 0, 0, 1]), transaction=st.sampled_from([False, False, True]))
    def begin(self, profile: int, transaction: bool) -> None:
        if transaction and any(pair.memory.is_transaction for pair in self.pairs):
            return
        begin = "transaction" if transaction else "session"
        askar, memory = (
            self.run(getattr(store, begin)(self.profiles[profile])) for store in (self.askar, self.memory)
        )
        self.pairs.append(Pair(profile, askar, memory))

    @has_sessions
    @rule(data=st.data(), how=st.sampled_from(["commit", "rollback", "close"]), autocommit=st.booleans())
    def end(self, data: st.DataObject, how: str, autocommit: bool) -> None:
        transactions = [pair for pair in self.pairs if pair.memory.is_transaction]
        pair = data.draw(st.sampled_from([*transactions, *transactions, *self.pairs]), "session")
        pair.askar.autocommit = pair.memory.autocommit = autocommit
        askar, memory = self.both(lambda session: getattr(session, how)(), pair.askar, pair.memory)
        assert memory == askar
        if memory is None:
            self.pairs.remove(pair)
            for call in (lambda session: session.count(), lambda session: session.commit()):
                askar, memory = self.both(call, pair.askar, pair.memory)
                assert memory == askar == AskarErrorCode.WRAPPER

    @has_sessions
    @rule(
        data=st.data(),
        how=st.sampled_from(["insert", "replace", "replace"]),
        category=CATEGORIES,
        name=NAMES,
        value=VALUES,
        tags=TAGS,
        expiry=EXPIRY,
    )
    def write(
        self, data: st.DataObject, how: str, category: str, name: str, value: Any, tags: Any, expiry: int | None
    ) -> None:
        self.changed(data, lambda session: getattr(session, how)(category, name, value, tags, expiry))

    @has_sessions
    @rule(data=st.data(), category=CATEGORIES, name=NAMES)
    def remove(self, data: st.DataObject, category: str, name: str) -> None:
        self.changed(data, lambda session: session.remove(category, name))

    @has_sessions
    @rule(data=st.data(), category=st.none() | CATEGORIES, tag_filter=filters())
    def remove_all(self, data: st.DataObject, category: str | None, tag_filter: Any) -> None:
        self.changed(data, lambda session: session.remove_all(category, tag_filter))

    @has_sessions
    @rule(data=st.data(), category=CATEGORIES, name=NAMES, for_update=st.booleans())
    def fetch(self, data: st.DataObject, category: str, name: str, for_update: bool) -> None:
        self.same(data, lambda session: session.fetch(category, name, for_update=for_update))

    @has_sessions
    @rule(data=st.data(), category=st.none() | CATEGORIES, tag_filter=filters())
    def count(self, data: st.DataObject, category: str | None, tag_filter: Any) -> None:
        self.same(data, lambda session: session.count(category, tag_filter))

    @has_sessions
    @rule(
        data=st.data(),
        category=st.none() | CATEGORIES,
        tag_filter=filters(),
        limit=LIMITS,
        order_by=st.sampled_from([None, "id"]),
        descending=st.booleans(),
    )
    def fetch_all(
        self,
        data: st.DataObject,
        category: str | None,
        tag_filter: Any,
        limit: int | None,
        order_by: str | None,
        descending: bool,
    ) -> None:
        self.same(
            data,
            lambda session: session.fetch_all(category, tag_filter, limit, order_by=order_by, descending=descending),
            lambda result: result if order_by else unordered(result, limit),
        )

    @rule(
        profile=st.integers(0, 1),
        category=st.none() | CATEGORIES,
        tag_filter=filters(),
        offset=st.none() | st.integers(0, 2),
        limit=LIMITS,
        descending=st.booleans(),
    )
    def scan(
        self,
        profile: int,
        category: str | None,
        tag_filter: Any,
        offset: int | None,
        limit: int | None,
        descending: bool,
    ) -> None:
        name = self.profiles[profile]
        askar, memory = self.both(
            lambda store: store.scan(category, tag_filter, offset, limit, name, "id", descending).fetch_all(),
            self.askar,
            self.memory,
        )
        assert memory == askar

    @has_sessions
    @rule(data=st.data(), name=st.sampled_from(list(KEYS)), metadata=st.none() | TEXTS, tags=KEY_TAGS, expiry=EXPIRY)
    def insert_key(self, data: st.DataObject, name: str, metadata: str | None, tags: Any, expiry: int | None) -> None:
        self.changed(
            data,
            lambda session: inserted(session, name, metadata=metadata, tags=tags, expiry_ms=expiry),
        )

    @has_sessions
    @rule(data=st.data(), name=st.sampled_from(list(KEYS)), metadata=st.none() | TEXTS, tags=KEY_TAGS, expiry=EXPIRY)
    def update_key(self, data: st.DataObject, name: str, metadata: str | None, tags: Any, expiry: int | None) -> None:
        self.changed(data, lambda session: session.update_key(name, metadata=metadata, tags=tags, expiry_ms=expiry))

    @has_sessions
    @rule(data=st.data(), name=st.sampled_from(list(KEYS)))
    def remove_key(self, data: st.DataObject, name: str) -> None:
        self.changed(data, lambda session: session.remove_key(name))

    @has_sessions
    @rule(data=st.data(), name=st.sampled_from(list(KEYS)))
    def fetch_key(self, data: st.DataObject, name: str) -> None:
        self.same(data, lambda session: session.fetch_key(name))

    @has_sessions
    @rule(
        data=st.data(),
        alg=st.sampled_from([None, None, KeyAlg.ED25519, "x25519", "p256"]),
        thumbprint=st.sampled_from([None, None, *(key.get_jwk_thumbprint() for key in KEYS.values())]),
        tag_filter=filters(ENCRYPTED),
        limit=LIMITS,
    )
    def fetch_all_keys(
        self, data: st.DataObject, alg: Any, thumbprint: str | None, tag_filter: Any, limit: int | None
    ) -> None:
        self.same(
            data,
            lambda session: session.fetch_all_keys(
                alg=alg, thumbprint=thumbprint, tag_filter=tag_filter, limit=limit
            ),
            lambda result: unordered(result, limit),
        )


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def askar(runner: asyncio.Runner) -> Iterator[AskarStore]:
    with tempfile.TemporaryDirectory() as folder:

        async def provision() -> AskarStore:
            uri = f"sqlite://{folder}/sqlite.db?max_connections=20&journal_mode=wal&synchronous=off"
            askar = await AskarStore.provision(uri, "raw", AskarStore.generate_raw_key())
            sessions = [await askar.session() for _ in range(SESSIONS + 2)]  # connections cannot be made while a
            for session in sessions:  # transaction runs; these stay in the pool
                await session.close()
            return askar

        askar = runner.run(provision())
        yield askar
        runner.run(askar.close())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TAGS, min_size=4, max_size=8), st.lists(filters(), min_size=6, max_size=12))
def test_a_filter_selects_what_it_selects_on_sqlite(
    runner: asyncio.Runner, askar: AskarStore, tags: list[Any], tag_filters: list[Any]
) -> None:
    async def selected(store: Any) -> list[list[str]]:
        profile = await store.create_profile()
        await filled(store, profile, tags)
        async with store.session(profile) as session:
            found = [await session.fetch_all("connection", each, order_by="id") for each in tag_filters]
        return [[entry.name for entry in entries] for entries in found]

    async def both() -> tuple[Any, Any]:
        memory = await Stores().provision("sqlite://:memory:", "raw", AskarStore.generate_raw_key())
        return await selected(memory), await selected(askar)

    memory_selected, askar_selected = runner.run(both())
    assert memory_selected == askar_selected


@pytest.mark.slow
def test_every_call_does_what_it_does_on_sqlite(runner: asyncio.Runner, askar: AskarStore) -> None:
    SameAsAskar.runner, SameAsAskar.askar = runner, askar
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        SameAsAskar,
        settings=settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=checks),
    )
