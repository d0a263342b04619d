"""Wallets in memory: what a killed agent finds again, who waits for whom, and where they differ from Askar's."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aries_askar import AskarError, AskarErrorCode, Key, KeyAlg
from aries_askar import Store as AskarStore
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.wallet_memory import codec, log, write_lock
from controller.wallet_memory.cipher import Cipher
from controller.wallet_memory.folders import folder_of, take_cut_short
from controller.wallet_memory.log import LENGTH_BYTES, Log
from controller.wallet_memory.profile import INDEXED_FROM
from controller.wallet_memory.records import Kind, Record
from controller.wallet_memory.store import Store, Stores

RAW_KEY = AskarStore.generate_raw_key(b"0" * 32)
SECRET = "the holder's secret"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/wallet/holders/sqlite.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path, "holders")


@pytest.fixture
async def store(uri: str) -> Store:
    return await Stores().provision(uri, "raw", RAW_KEY, profile="holder")


async def reopened(uri: str, key: str = RAW_KEY) -> Store:
    """As another process finds the store."""
    return await Stores().open(uri, "raw", key)


async def fails(call: Any) -> AskarErrorCode:
    with pytest.raises(AskarError) as caught:
        await call
    code: AskarErrorCode = caught.value.code
    return code


async def contents(store: Store, profile: str | None = None) -> dict[str, Any]:
    async with store.session(profile) as session:
        return {entry.name: (entry.value, entry.tags) for entry in await session.fetch_all()}


def only_file(folder: Path) -> Path:
    (file,) = folder.glob("*.log")
    return file


class TestAfterARestart:
    async def test_everything_that_was_committed_is_there(self, store: Store, uri: str) -> None:
        key = Key.generate(KeyAlg.ED25519)
        async with store.session() as session:
            await session.insert("connection", "one", b"\x00\xff", {"state": "active", "~at": {"a", "b"}})
            await session.insert("connection", "two", SECRET)
            await session.replace("connection", "two", SECRET, {"state": "done"})
            await session.insert("connection", "three", "removed")
            await session.remove("connection", "three")
            await session.insert_key("verkey", key, metadata='{"a": 1}', tags={"kid": "did:key:z1"})
        async with store.transaction(autocommit=True) as transaction:
            await transaction.insert("connection", "four", "4")
        async with store.transaction() as transaction:
            await transaction.insert("connection", "rolled back", "5")
        again = await reopened(uri)
        assert await contents(again) == {
            "one": (b"\x00\xff", {"state": "active", "~at": {"a", "b"}}),
            "two": (SECRET.encode(), {"state": "done"}),
            "four": (b"4", {}),
        }
        async with again.session() as session:
            entry = await session.fetch_key("verkey")
            assert entry is not None
            assert (entry.metadata, entry.tags) == ('{"a": 1}', {"kid": "did:key:z1"})
            assert entry.key.get_jwk_secret() == key.get_jwk_secret()
            await session.insert("connection", "five", "5")
            names = [entry.name for entry in await session.fetch_all("connection", order_by="id")]
            assert names == ["one", "two", "four", "five"]

    async def test_profiles_are_those_that_there_were(self, store: Store, uri: str, folder: Path) -> None:
        for name in ("one", "two", "three"):
            await store.create_profile(name)
        await store.remove_profile("one")
        await store.rename_profile("two", "second")
        await store.set_default_profile("three")
        again = await reopened(uri)
        assert set(await again.list_profiles()) == {"holder", "second", "three"}
        assert await again.get_profile_name() == await again.get_default_profile() == "three"
        assert len(list(folder.glob("*.log"))) == 3

    async def test_the_files_are_encrypted_and_for_this_user_alone(self, store: Store, folder: Path) -> None:
        key = Key.generate(KeyAlg.ED25519)
        async with store.session() as session:
            await session.insert("connection", "record", SECRET, {"state": SECRET})
            await session.insert_key("verkey", key)
        files = list(folder.iterdir())
        assert {stat.S_IMODE(folder.stat().st_mode)} == {0o700}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        jwk = json.loads(key.get_jwk_secret())
        stored = b"".join(file.read_bytes() for file in files)
        assert not any(text.encode() in stored for text in (SECRET, "connection", jwk["d"], RAW_KEY))

    async def test_it_opens_by_its_own_key_only(self, store: Store, uri: str, tmp_path: Path) -> None:
        other = AskarStore.generate_raw_key()
        stores = Stores()
        assert await fails(stores.open(uri, "raw", other)) is AskarErrorCode.ENCRYPTION
        await stores.open(uri, "raw", RAW_KEY)
        assert await fails(stores.open(uri, "raw", other)) is AskarErrorCode.ENCRYPTION
        assert await fails(stores.open(f"sqlite://{tmp_path}/sqlite.db", "raw", other)) is AskarErrorCode.NOT_FOUND
        await stores.rekey(store, "kdf:argon2i:int", "another")
        assert await fails(reopened(uri)) is AskarErrorCode.ENCRYPTION
        again = await Stores().open(uri, "kdf:argon2i:int", "another")
        assert await again.list_profiles() == ["holder"]

    async def test_a_file_is_written_anew_before_it_is_much_larger_than_what_it_holds(
        self, store: Store, uri: str, folder: Path
    ) -> None:
        async with store.session() as session:
            await session.insert("kept", "kept", SECRET)
            await session.insert("connection", "record", "")
            for number in range(300):
                await session.replace("connection", "record", "x" * 1000 + str(number))
        assert only_file(folder).stat().st_size < 2 * 1500 + log.SLACK
        assert await contents(await reopened(uri)) == {
            "kept": (SECRET.encode(), {}),
            "record": (b"x" * 1000 + b"299", {}),
        }

    async def test_a_write_that_was_cut_short_is_told(self, store: Store, uri: str, folder: Path) -> None:
        await store.create_profile("other")
        async with store.session() as session:
            await session.insert("connection", "one", "1")
            (file,) = (file for file in folder.glob("*.log") if file.stat().st_size == max_size(folder))
            await session.insert("connection", "two", "2")
        os.truncate(file, file.stat().st_size - 1)
        again = await reopened(uri)
        assert await contents(again) == {"one": (b"1", {})}
        assert take_cut_short(folder) == ["holder"]
        assert take_cut_short(folder) == []
        async with again.session() as session:
            await session.insert("connection", "three", "3")
        last = await reopened(uri)
        assert set(await contents(last)) == {"one", "three"}
        assert take_cut_short(folder) == []

    async def test_a_profile_whose_creation_was_cut_short_is_not_there(
        self, store: Store, uri: str, folder: Path
    ) -> None:
        (folder / "0123456789abcdef.log").write_bytes(b"\0\0")
        assert await (await reopened(uri)).list_profiles() == ["holder"]
        assert take_cut_short(folder) == []
        assert len(list(folder.glob("*.log"))) == 1


def max_size(folder: Path) -> int:
    return max(file.stat().st_size for file in folder.glob("*.log"))


FRAMES = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "profile.log"


def written(file: Path, frames: list[bytes], rewritten: int) -> list[int]:
    """Write the frames, the first ones as a whole; returns where each ends."""
    file.write_bytes(b"")
    log = Log(file, Cipher(b"k" * 32))
    ends = []
    for number, frame in enumerate(frames):
        if number == rewritten:
            log.rewrite(frame)
            ends = [0] * number
        else:
            log.append(frame)
        ends.append(log.size)
    return ends


class TestTheLog:
    @given(FRAMES, st.integers(0, 6), st.data())
    def test_of_a_truncated_file_every_whole_frame_is_read(
        self, file: Path, frames: list[bytes], rewritten: int, data: st.DataObject
    ) -> None:
        ends = written(file, frames, rewritten)
        first = rewritten if rewritten < len(frames) else 0
        size = data.draw(st.integers(0, ends[-1]), "bytes left")
        os.truncate(file, size)
        whole = [frame for frame, end in list(zip(frames, ends, strict=True))[first:] if end <= size]
        log = Log(file, Cipher(b"k" * 32))
        assert log.read() == whole
        assert log.cut_off_rest() == size - (ends[first + len(whole) - 1] if whole else 0)
        log.append(b"next")
        assert Log(file, Cipher(b"k" * 32)).read() == [*whole, b"next"]

    @given(FRAMES, st.data())
    def test_a_changed_byte_ends_the_file(self, file: Path, frames: list[bytes], data: st.DataObject) -> None:
        ends = written(file, frames, len(frames))
        content = bytearray(file.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1), "byte")
        content[at] ^= data.draw(st.integers(1, 255), "bits")
        file.write_bytes(content)
        assert Log(file, Cipher(b"k" * 32)).read() == [
            frame for frame, end in zip(frames, ends, strict=True) if end <= at
        ]

    def test_frames_are_good_in_their_own_place_only(self, file: Path) -> None:
        (end, _) = written(file, [b"one", b"two"], 2)
        content = file.read_bytes()
        assert end > LENGTH_BYTES
        file.write_bytes(content[end:] + content[:end])
        assert Log(file, Cipher(b"k" * 32)).read() == []
        other = file.with_name("other.log")
        other.write_bytes(content)
        assert Log(other, Cipher(b"k" * 32)).read() == []

    async def test_what_finds_no_space_is_not_written_at_all(
        self, store: Store, uri: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with store.session() as session:
            await session.insert("connection", "one", "1")
            size, write = only_file(folder).stat().st_size, os.write
            monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
            assert await fails(session.insert("connection", "two", "2")) is AskarErrorCode.BACKEND
            assert only_file(folder).stat().st_size == size
            monkeypatch.undo()
            await session.insert("connection", "three", "3")
        assert set(await contents(store)) == set(await contents(await reopened(uri))) == {"one", "three"}

    async def test_a_file_that_cannot_be_written_anew_goes_on_growing(
        self, store: Store, uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def no_space(self: Path, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", no_space)
        async with store.session() as session:
            await session.insert("connection", "one", b"x" * (log.SLACK + 1))
            await session.insert("connection", "two", "2")
        assert len([record for record in caplog.records if "No space left" in record.message]) == 1
        assert set(await contents(await reopened(uri))) == {"one", "two"}


RECORDS = st.builds(
    Record,
    st.just(Kind.ITEM),
    st.text(max_size=5),
    st.text(max_size=5),
    st.binary(max_size=20),
    st.dictionaries(
        st.text(min_size=1, max_size=3), st.text(max_size=3) | st.frozensets(st.text(max_size=3), min_size=2)
    ),
    st.none() | st.integers(0, 10**10),
    st.integers(0, 10**6),
)


@given(st.lists(st.tuples(RECORDS, st.booleans()), max_size=6))
def test_changes_are_decoded_as_they_were_encoded(records: list[tuple[Record, bool]]) -> None:
    changes = [(record.id, None if removed else record) for record, removed in records]
    assert codec.decode(codec.encode(changes)) == changes


class TestWaiting:
    @pytest.fixture
    async def store(self) -> Store:
        return await Stores().provision("sqlite://:memory:", "raw", RAW_KEY, profile="holder")

    async def test_transactions_of_a_profile_take_turns_in_the_order_of_asking(self, store: Store) -> None:
        order: list[int] = []

        async def change(number: int) -> None:
            async with store.transaction() as transaction:
                order.append(number)
                await asyncio.sleep(0)
                await transaction.insert("record", str(number), str(order))
                await transaction.commit()

        await asyncio.gather(*map(change, range(5)))
        assert order == [0, 1, 2, 3, 4]
        assert (await contents(store))["3"] == (b"[0, 1, 2, 3]", {})

    async def test_other_profiles_do_not_wait(self, store: Store) -> None:
        await store.create_profile("other")
        async with store.transaction(), store.session("other") as session:
            async with asyncio.timeout(1):
                await session.insert("record", "one", "1")

    async def test_who_waits_too_long_is_told_so(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(write_lock, "WAIT", 0.01)
        async with store.transaction() as transaction:
            await transaction.insert("record", "one", "1")
            async with store.session() as session:
                assert await fails(session.insert("record", "two", "2")) is AskarErrorCode.BUSY
            assert await fails(store.transaction()._open()) is AskarErrorCode.BUSY
            await transaction.commit()
        assert set(await contents(store)) == {"one"}

    async def test_a_lock_is_released_by_who_holds_it_only(self, store: Store) -> None:
        lock = store.opened().profile("holder").lock
        former = await lock.acquire()
        lock.release(former)
        transaction = await store.transaction()
        for turn in (former, None, object()):
            with pytest.raises(RuntimeError, match="another's turn to write to profile holder"):
                lock.release(turn)
        assert not lock.is_free
        await transaction.rollback()
        assert lock.is_free

    async def test_one_that_no_longer_waits_leaves_the_lock_to_others(self, store: Store) -> None:
        transaction = await store.transaction()
        waiting = asyncio.create_task(store.transaction()._open())
        next_one = asyncio.create_task(store.transaction()._open())
        await asyncio.sleep(0)
        waiting.cancel()
        await transaction.commit()
        await (await next_one).rollback()
        assert store.opened().profile("holder").lock.is_free

    async def test_a_transaction_that_is_forgotten_is_rolled_back(self, store: Store) -> None:
        transaction = await store.transaction()
        await transaction.insert("record", "one", "1")
        del transaction
        gc.collect()
        async with asyncio.timeout(1), store.transaction() as session:
            assert await session.count() == 0

    async def test_a_removed_profile_takes_no_more_writes(self, store: Store) -> None:
        await store.create_profile("other")
        async with store.session("other") as session:
            await session.insert("record", "one", "1")
            assert await store.remove_profile("other")
            assert await session.fetch("record", "one") is None
            assert await fails(session.insert("record", "two", "2")) is AskarErrorCode.NOT_FOUND
        assert await fails(store.session("other")._open()) is AskarErrorCode.NOT_FOUND
        assert not await store.remove_profile("other")


@pytest.fixture(params=["askar", "memory"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """Askar's store and the one in memory."""
    stores: Any = AskarStore if request.param == "askar" else Stores()
    uri = f"sqlite://{tmp_path}/sqlite.db?max_connections=20&journal_mode=wal"
    store = await stores.provision(uri, "raw", RAW_KEY, profile="holder")
    yield store
    await store.close()


class TestAsAskarDoes:
    async def test_no_increment_is_lost_and_no_half_transaction_seen(self, either: Any) -> None:
        async def increment() -> None:
            async with either.transaction() as transaction:
                for name in ("one", "two"):
                    entry = await transaction.fetch("counter", name, for_update=True)
                    await asyncio.sleep(0.001)
                    await transaction.replace("counter", name, str(int(entry.value) + 1))
                await transaction.commit()

        async def look() -> None:
            async with either.session() as session:
                one, two = (entry.value for entry in await session.fetch_all("counter"))
                assert one == two

        async with either.session() as session:
            await session.insert("counter", "one", "0")
            await session.insert("counter", "two", "0")
        await asyncio.gather(*(call() for _ in range(8) for call in (increment, look)))
        assert [entry.value async for entry in either.scan("counter")] == [b"8", b"8"]

    async def test_sessions_without_transactions_see_each_other_s_writes_at_once(self, either: Any) -> None:
        async with either.session() as one, either.session() as other:
            await one.insert("record", "first", "0")
            for number, (writer, reader) in enumerate([(one, other), (other, one)] * 2):
                await writer.replace("record", "first", str(number))
                await writer.insert("record", f"further {number}", "")
                for session in (reader, writer):
                    assert (await session.fetch("record", "first")).value == str(number).encode()

    async def test_an_error_within_a_context_rolls_back(self, either: Any) -> None:
        with pytest.raises(ZeroDivisionError):
            async with either.transaction(autocommit=True) as transaction:
                await transaction.insert("record", "one", "1")
                raise ZeroDivisionError
        async with either.session() as session:
            assert await session.count("record") == 0

    async def test_what_is_returned_can_be_changed_without_changing_the_record(self, either: Any) -> None:
        async with either.session() as session:
            await session.insert("record", "one", "1", {"state": "a", "many": ["a", "b"]})
            entry = await session.fetch("record", "one")
            entry.tags["state"] = "b"
            entry.tags["many"].add("c")
            assert (await session.fetch("record", "one")).tags == {"state": "a", "many": {"a", "b"}}
            assert entry["tags"] == {"state": "a", "many": {"a", "b"}}
            assert {**entry} == {"name": "one", "category": "record", "value": b"1", "tags": entry.tags}

    async def test_profiles(self, either: Any) -> None:
        assert await either.create_profile("one") == "one"
        assert await fails(either.create_profile("one")) is AskarErrorCode.DUPLICATE
        made_up = await either.create_profile()
        assert set(await either.list_profiles()) == {"holder", "one", made_up}
        await either.rename_profile("one", "two")
        assert await fails(either.rename_profile("one", "three")) is AskarErrorCode.WRAPPER
        assert await fails(either.rename_profile("two", "holder")) is AskarErrorCode.BACKEND
        assert (await either.remove_profile("two"), await either.remove_profile("two")) == (True, False)
        assert await either.get_profile_name() == await either.get_default_profile() == "holder"
        await either.set_default_profile(made_up)
        assert await either.get_profile_name() == "holder"
        assert await either.get_default_profile() == made_up

    @pytest.mark.parametrize(
        "tag_filter",
        [
            "",
            "no JSON",
            "1",
            {"$and": {}},
            {"$or": ["state"]},
            {"$not": []},
            {"$exist": [1]},
            {"$exist": {}},
            {"state": 1},
            {"state": None},
            {"state": {}},
            {"state": {"$in": "a"}},
            {"state": {"$neq": ["a"]}},
            {"state": {"$unknown": "a"}},
            {"~state": {"$gt": 1}},
            {"state": {"$neq": "a", "$in": []}},
        ],
    )
    async def test_filters_that_are_none(self, either: Any, tag_filter: Any) -> None:
        async with either.session() as session:
            assert await fails(session.fetch_all("record", tag_filter)) is AskarErrorCode.INPUT

    @pytest.mark.parametrize(
        ("tag_filter", "names"),
        [
            ('{"state": "a"}', {"one"}),
            ('[{"state": "a", "role": null}, {"state": "b"}, {"role": null}]', {"one", "two"}),
            ("[]", {"one", "two", "three"}),
            ({"$not": {"$exist": ["state", "none"]}}, {"three"}),
            ({"$or": [{}]}, set()),
        ],
    )
    async def test_filters_written_in_other_ways(self, either: Any, tag_filter: Any, names: set[str]) -> None:
        async with either.session() as session:
            for name, tags in (("one", {"state": "a"}), ("two", {"state": "b"}), ("three", {})):
                await session.insert("record", name, "", tags)
            assert {entry.name for entry in await session.fetch_all("record", tag_filter)} == names

    @pytest.mark.parametrize(
        "tags", [{"state": 1}, {"state": None}, {"": "a"}, {"state": [1]}, {"state": {"a": "b"}}]
    )
    async def test_tags_that_are_none(self, either: Any, tags: Any) -> None:
        async with either.session() as session:
            assert await fails(session.insert("record", "one", "1", tags)) is AskarErrorCode.INPUT
            assert await session.count() == 0


async def test_an_order_of_encrypted_values_is_refused(store: Store) -> None:
    """Askar compares what they are encrypted to, which selects anything."""
    async with store.session() as session:
        for compare in ("$gt", "$gte", "$lt", "$lte", "$like"):
            assert await fails(session.fetch_all("record", {"state": {compare: "a"}})) is AskarErrorCode.UNSUPPORTED


async def test_what_expires_does_so_by_the_clock(uri: str) -> None:
    now = 1000.9
    store = await Stores(lambda: now).provision(uri, "raw", RAW_KEY)
    async with store.session() as session:
        await session.insert("record", "one", "1", expiry_ms=1200)
        now = 1001.99
        assert await session.count() == 1
        now = 1002.0
        assert await session.count() == 0
        assert await fails(session.insert("record", "one", "1")) is AskarErrorCode.DUPLICATE
        await session.replace("record", "one", "2")
        assert await session.count() == 1


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=INDEXED_FROM, max_size=2 * INDEXED_FROM))
def test_many_records_are_found_by_their_tags_as_few_are(records: list[tuple[str, bool]]) -> None:
    async def found() -> None:
        store = await Stores().provision("sqlite://:memory:", "raw", RAW_KEY)
        async with store.session() as session:
            left = {letter: [] for letter in "abcd"}
            for number, (letter, removed) in enumerate(records):
                await session.insert("route", f"{number:03}", "", {"key": [letter, "z"]})
                if removed:
                    await session.replace("route", f"{number:03}", "", {"key": "d"})
                left["d" if removed else letter].append(f"{number:03}")
            for letter, names in left.items():
                assert [entry.name for entry in await session.fetch_all("route", {"key": letter})] == names
            await session.remove_all("route", {"$and": [{"key": "z"}, {"key": "a"}]})
            assert await session.count("route") == sum(map(len, left.values())) - len(left["a"])

    asyncio.run(found())


class TestInAcaPy:
    def test_the_controller_looks_where_the_agent_writes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from acapy_agent.askar.store import AskarStoreConfig

        from controller.wallet_memory import store

        monkeypatch.setenv("ACAPY_HOME", str(tmp_path))
        uri = AskarStoreConfig({"name": "holders"}).get_uri(create=True)
        assert store.folder_of(uri) == folder_of(tmp_path, "holders")

    async def test_its_stores_are_opened_in_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from acapy_agent.askar import store as acapy
        from acapy_agent.askar.profile_anon import AskarAnonCredsProfile, AskarAnonCredsProfileSession
        from acapy_agent.config.injection_context import InjectionContext
        from acapy_agent.core.error import ProfileError, ProfileNotFoundError
        from acapy_agent.storage.askar import AskarStorage
        from acapy_agent.storage.base import BaseStorage

        from controller.acapy_patches.storage.memory import MEMORY_WALLETS

        monkeypatch.setenv("ACAPY_HOME", str(tmp_path))
        monkeypatch.setattr(acapy, "Store", acapy.Store)  # so that it is restored, and so is the other
        monkeypatch.setattr(AskarAnonCredsProfileSession, "_setup", AskarAnonCredsProfileSession._setup)
        MEMORY_WALLETS.apply()
        config = acapy.AskarStoreConfig({"name": "holders", "key": "key", "key_derivation_method": "kdf:argon2i:int"})
        with pytest.raises(ProfileNotFoundError):
            await config.open_store()
        opened = await config.open_store(provision=True)
        assert isinstance(opened.store, Store)
        profile = AskarAnonCredsProfile(opened, InjectionContext())
        async with profile.transaction() as holding:
            assert isinstance(holding.inject(BaseStorage), AskarStorage)
            monkeypatch.setattr(write_lock, "WAIT", 0.01)
            with pytest.raises(ProfileError, match="Error opening store session"):
                await profile.transaction()
        async with profile.session() as session:
            assert await session.handle.count() == 0
        await opened.close()
        assert isinstance((await config.open_store()).store, Store)
