"""The did:web AnonCreds method: identifiers, hashes, status lists in time, and what is kept in memory."""

import asyncio
from hashlib import sha256
from typing import Any

import base58
import pytest

from reference.didweb_anoncreds.client import ImmutableCache, NotFoundError, RegistryClient, ResolutionError
from reference.didweb_anoncreds.identifiers import ObjectId, did_document_url, object_hash
from reference.didweb_anoncreds.registry import IDENTIFIERS
from reference.registry import StatusLists

SCHEMA = {
    "issuerId": "did:web:example.org",
    "name": "membership",
    "version": "1.0",
    "attrNames": ["name", "number"],
}


def test_hash_is_the_one_that_credo_reckons() -> None:
    # A schema published in the wild by Credo's implementation, with the name it has there
    # (a fixture of credo-ts-didweb-anoncreds, test/__fixtures__).
    issuer = "did:web:nnu4z2pauw49.share.zrok.io:paradym-public-metadata:440ef8ba-36f6-4362-bbac-391dc47e2747"
    schema = {"attrNames": ["hello"], "name": "a", "issuerId": issuer, "version": "1.0"}
    assert object_hash(schema) == "GtDjznsWvUNPFaLvaBjayZ5UUtM2RCjVDtgDVqbyDkTG"


def test_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert object_hash(SCHEMA) == object_hash(dict(reversed(SCHEMA.items())))


def test_hash_depends_on_the_order_of_lists() -> None:
    assert object_hash(SCHEMA) != object_hash({**SCHEMA, "attrNames": ["number", "name"]})


def test_hash_is_base58_of_sha256_of_canonical_json() -> None:
    expected = base58.b58encode(sha256('{"a":[1,"é"],"b":"x"}'.encode()).digest()).decode()
    assert object_hash({"b": "x", "a": [1, "é"]}) == expected


def test_identifier_is_read_back() -> None:
    made = ObjectId.build("did:web:localhost%3A9443:issuer", "schema", SCHEMA)
    assert str(made) == f"did:web:localhost%3A9443:issuer?service=anoncreds&relativeRef=/schema/{made.hash}"
    assert ObjectId.parse(str(made)) == made


def test_encoded_identifier_is_read() -> None:
    read = ObjectId.parse("did:web:a.b?relativeRef=%2Fv1%2FcredDef%2FXyz&service=registry")
    assert (read.did, read.service, read.relative_ref, read.hash) == (
        "did:web:a.b",
        "registry",
        "/v1/credDef/Xyz",
        "Xyz",
    )


@pytest.mark.parametrize(
    ("identifier", "says"),
    [
        ("did:key:z6Mk?service=anoncreds&relativeRef=/schema/X", "not a did:web"),
        ("did:web:a.b", "'service'"),
        ("did:web:a.b?service=anoncreds", "'relativeRef'"),
        ("did:web:a.b?service=a&service=b&relativeRef=/schema/X", "'service'"),
        ("did:web:a.b?service=anoncreds&relativeRef=/schema/", "hash"),
        ("did:web:a.b?service=anoncreds&relativeRef=schema", "hash"),
    ],
)
def test_wrong_identifier_is_explained(identifier: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ObjectId.parse(identifier)


@pytest.mark.parametrize(
    ("did", "url"),
    [
        ("did:web:example.org", "https://example.org/.well-known/did.json"),
        ("did:web:localhost%3A9443:issuer", "https://localhost:9443/issuer/did.json"),
        ("did:web:example.org:a:b", "https://example.org/a/b/did.json"),
    ],
)
def test_where_a_did_document_lies(did: str, url: str) -> None:
    assert did_document_url(did) == url


def test_which_identifiers_are_supported() -> None:
    assert IDENTIFIERS.match("did:web:localhost%3A9443:issuer")
    assert IDENTIFIERS.match("did:web:ca.dev.2060.io?service=anoncreds&relativeRef=/schema/abc")
    assert not IDENTIFIERS.match("did:sov:WgWxqztrNooG92RXvxSTWv")
    assert not IDENTIFIERS.match("WgWxqztrNooG92RXvxSTWv:2:name:1.0")


def status_list(timestamp: int, *bits: int) -> dict[str, Any]:
    return {"revocationList": list(bits), "timestamp": timestamp, "currentAccumulator": f"at {timestamp}"}


@pytest.fixture
def lists(tmp_path) -> StatusLists:
    lists = StatusLists(tmp_path / "lists")
    for timestamp in (100, 300, 200):
        lists.add(status_list(timestamp, timestamp == 300))
    return lists


@pytest.mark.parametrize(
    ("at", "valid", "before", "after"),
    [
        (100, 100, "", "200"),
        (199, 100, "", "200"),
        (200, 200, "100", "300"),
        (299, 200, "100", "300"),
        (300, 300, "200", ""),
        (2**40, 300, "200", ""),
    ],
)
def test_status_list_at_a_time(lists: StatusLists, at: int, valid: int, before: str, after: str) -> None:
    answer = lists.at(at)
    assert answer is not None
    assert answer["resource"]["timestamp"] == valid
    assert answer["resourceMetadata"] == {"previousVersionId": before, "nextVersionId": after}


def test_no_status_list_before_the_first(lists: StatusLists) -> None:
    assert lists.at(99) is None


def test_latest_status_list(lists: StatusLists) -> None:
    assert lists.latest is not None
    assert lists.latest["timestamp"] == 300


def test_one_second_has_one_status_list(lists: StatusLists) -> None:
    lists.add(status_list(300, 1))  # the same again is no harm
    with pytest.raises(ValueError, match="same second"):
        lists.add(status_list(300, 0))


async def test_memory_makes_a_value_once_for_all_who_ask() -> None:
    memory, made = ImmutableCache(), []

    async def make() -> int:
        made.append(1)
        await asyncio.sleep(0)
        return len(made)

    assert await asyncio.gather(*(memory.get("key", make) for _ in range(50))) == [1] * 50
    assert await memory.get("key", make) == 1


async def test_memory_keeps_no_failure() -> None:
    memory, attempts = ImmutableCache(), []

    async def make() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            raise NotFoundError("not yet")
        return 7

    with pytest.raises(NotFoundError):
        await memory.get("key", make)
    assert await memory.get("key", make) == 7


async def test_one_who_gives_up_does_not_spoil_it_for_the_others() -> None:
    memory, go = ImmutableCache(), asyncio.Event()

    async def make() -> int:
        await go.wait()
        return 7

    first, second = (asyncio.create_task(memory.get("key", make)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    assert await second == 7


class Recorded(RegistryClient):
    """A client whose HTTP answers are given."""

    def __init__(self, answers: dict[str, dict[str, Any]]) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[str] = []

    async def _json(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        self.asked.append(url)
        if url not in self.answers:
            raise NotFoundError(url)
        return self.answers[url]


DID = "did:web:example.org"
DOCUMENT = {
    "id": DID,
    "service": [{"id": f"{DID}#anoncreds", "type": "AnonCredsRegistry", "serviceEndpoint": "https://r/v1/"}],
}


def recorded(kind: str, resource: dict[str, Any], **metadata: str) -> tuple[Recorded, ObjectId]:
    object_id = ObjectId.build(DID, kind, resource)
    answers = {
        "https://example.org/.well-known/did.json": DOCUMENT,
        f"https://r/v1/{kind}/{object_id.hash}": {"resource": resource, "resourceMetadata": metadata},
    }
    return Recorded(answers), object_id


async def test_object_is_found_by_the_did_documents_service() -> None:
    client, object_id = recorded("schema", SCHEMA)
    assert (await client.object(str(object_id)))["resource"]["name"] == "membership"
    await client.object(str(object_id))
    assert len(client.asked) == 2  # document and object, once each


async def test_object_with_another_hash_is_refused() -> None:
    client, object_id = recorded("schema", SCHEMA)
    client.answers[f"https://r/v1{object_id.relative_ref}"]["resource"] = {**SCHEMA, "name": "forged"}
    with pytest.raises(ResolutionError, match="hash"):
        await client.object(str(object_id))


async def test_object_of_another_issuer_is_refused() -> None:
    client, object_id = recorded("schema", {**SCHEMA, "issuerId": "did:web:other.org"})
    with pytest.raises(ResolutionError, match="issuerId"):
        await client.object(str(object_id))


async def test_status_list_is_kept_only_when_it_cannot_change() -> None:
    client, object_id = recorded("revRegDef", {"issuerId": DID}, statusListEndpoint="https://r/v1/lists")

    def answer(timestamp: int, following: str) -> dict[str, Any]:
        resource = {**status_list(timestamp, 0), "issuerId": DID}
        return {"resource": resource, "resourceMetadata": {"nextVersionId": following}}

    client.answers["https://r/v1/lists/150"] = answer(100, "200")  # a later one began after 150
    client.answers["https://r/v1/lists/100"] = answer(100, "")  # asked for by its own time
    client.answers["https://r/v1/lists/250"] = answer(200, "")  # the newest: may yet be followed at 220
    for at in (150, 100, 250):
        for _ in range(2):
            await client.status_list(str(object_id), at)
    asked = [url.rsplit("/", 1)[-1] for url in client.asked if "/lists/" in url]
    assert asked == ["150", "100", "250", "250"]


async def test_status_list_of_another_issuer_is_refused() -> None:
    client, object_id = recorded("revRegDef", {"issuerId": DID}, statusListEndpoint="https://r/v1/lists")
    client.answers["https://r/v1/lists/1"] = {"resource": {"issuerId": "did:web:other", "timestamp": 1}}
    with pytest.raises(ResolutionError, match="another issuer"):
        await client.status_list(str(object_id), 1)
