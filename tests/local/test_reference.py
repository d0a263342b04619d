"""The reference services with real holders: the life of a credential, and many at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from reference_services import REGISTRY_SIZE, ReferenceServices
from test_reference_support import Client, Holder, HolderAgent

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def services(reference: ReferenceServices) -> dict[str, Any]:
    return reference.settings


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def holders(services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HolderAgent]:
    agent = HolderAgent(tmp_path_factory.mktemp("holders"), Path(services["ca_file"]), services["agent_plugins"])
    await agent.start()
    yield agent
    await agent.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(services: dict[str, Any]) -> AsyncIterator[Client]:
    client = Client(Path(services["ca_file"]))
    yield client
    await client.close()


@pytest.fixture
def urls(services: dict[str, Any]) -> dict[str, str]:
    return services["urls"]


async def new_credential(holder: Holder, client: Client, urls: dict[str, str]) -> dict[str, Any]:
    """Connect to the issuer and get a credential."""
    await holder.connect((await client.post(urls["issuer_invitation"]))["invitation"])
    return await holder.credential()


def place(credential: dict[str, Any]) -> dict[str, str]:
    """Where the credential stands in its revocation registry."""
    return {name: credential[name] for name in ("rev_reg_id", "cred_rev_id")}


async def verdict(holder: Holder, client: Client, urls: dict[str, str]) -> str:
    """Present to the verifier; how the verifier sees it in the end."""
    asked = await client.post(urls["verifier_invitation"])
    await holder.present(asked["invitation"])
    for _ in range(100):
        answer = await client.get(f"{urls['verifier_presentations']}/{asked['presentation_id']}")
        if answer["state"] != "pending":
            break
        await asyncio.sleep(0.1)
    return str(answer["state"])


async def test_life_of_a_credential(
    services: dict[str, Any], holders: HolderAgent, client: Client, urls: dict[str, str]
) -> None:
    holder = await holders.holder("life")
    before = await client.get(urls["mediator_status"])
    await holder.connect_to_mediator(services["mediator_did"])
    credential = await new_credential(holder, client, urls)
    assert await verdict(holder, client, urls) == "verified"

    answer = await client.post(urls["issuer_revocation"], place(credential))
    assert answer["revoked"] is True
    assert (await client.get(urls["issuer_revocation_status"], **place(credential)))["revoked"] is True
    notification = await holder.wait("revocation-notification-v2")
    assert notification["credential_id"] == f"{credential['rev_reg_id']}::{credential['cred_rev_id']}"

    fresh = await holder.credential()
    assert place(fresh) != place(credential)
    assert (await client.get(urls["issuer_revocation_status"], **place(fresh)))["revoked"] is False
    await holder.ask("DELETE", f"/credential/{credential['referent']}")
    assert await verdict(holder, client, urls) == "verified"

    status = await client.get(urls["mediator_status"])
    new = set(status["connections"]) - set(before["connections"])
    assert len(new) == 1
    # connection's response, offers, credentials, acknowledgements of proofs, the notification: all by mediator
    assert status["connections"][new.pop()] >= 6
    assert status["mediations"] == before["mediations"] + 1


async def test_revoked_credential_does_not_verify(holders: HolderAgent, client: Client, urls: dict[str, str]) -> None:
    holder = await holders.holder("revoked")
    credential = await new_credential(holder, client, urls)
    await client.post(urls["issuer_revocation"], place(credential))
    fresh = await holder.credential()
    await holder.ask("DELETE", f"/credential/{fresh['referent']}")
    assert [it["referent"] for it in await holder.credentials()] == [credential["referent"]]
    assert await verdict(holder, client, urls) == "failed"


async def test_revocation_by_connection(holders: HolderAgent, client: Client, urls: dict[str, str]) -> None:
    holder = await holders.holder("by connection")
    invitation = (await client.post(urls["issuer_invitation"]))["invitation"]
    connection_id = await holder.connect(invitation)
    credential = await holder.credential()
    await client.post(urls["issuer_revocation"], {"invitation_msg_id": invitation["@id"]})
    assert (await client.get(urls["issuer_revocation_status"], **place(credential)))["revoked"] is True
    credential = await holder.credential()
    connection = await holder.ask("GET", f"/connections/{connection_id}")
    await client.post(urls["issuer_revocation"], {"did": connection["my_did"]})
    assert (await client.get(urls["issuer_revocation_status"], **place(credential)))["revoked"] is True


async def test_impossible_revocations_are_explained(
    holders: HolderAgent, client: Client, urls: dict[str, str]
) -> None:
    async def refused(body: Any) -> tuple[int, str]:
        status, answer = await client.ask("POST", urls["issuer_revocation"], json=body)
        return status, answer["error"]

    status, sentence = await refused({"rev_reg_id": "did:web:x?service=a&relativeRef=/b/c", "cred_rev_id": "1"})
    assert status == 404
    assert "cred_rev_id 1" in sentence
    status, sentence = await refused({"did": "did:peer:4nobody"})
    assert status == 404
    assert "did:peer:4nobody" in sentence
    status, sentence = await refused({"credential": 1})
    assert status == 400
    assert "rev_reg_id and cred_rev_id" in sentence
    status, _ = await refused([])
    assert status == 400

    credential = await new_credential(await holders.holder("twice"), client, urls)
    answers = await asyncio.gather(
        *(client.ask("POST", urls["issuer_revocation"], json=place(credential)) for _ in range(3))
    )
    assert sorted(status for status, _ in answers) == [200, 409, 409]
    status, sentence = await refused(place(credential))
    assert status == 409
    assert "revoked already" in sentence


async def test_fifty_at_once(
    services: dict[str, Any], holders: HolderAgent, client: Client, urls: dict[str, str]
) -> None:
    before = await client.get(urls["issuer_status"])
    mediated = await client.get(urls["mediator_status"])
    everyone = await asyncio.gather(*(holders.holder(f"one of fifty {number}") for number in range(50)))
    await asyncio.gather(*(holder.connect_to_mediator(services["mediator_did"]) for holder in everyone))
    credentials = await asyncio.gather(*(new_credential(holder, client, urls) for holder in everyone))
    places = {tuple(place(credential).values()) for credential in credentials}
    assert len(places) == 50, "two credentials stand in the same place of a revocation registry"
    assert len({registry for registry, _ in places}) > 50 // REGISTRY_SIZE, "no registry has rolled over"

    answers = await asyncio.gather(
        *(client.ask("POST", urls["issuer_revocation"], json=place(credential)) for credential in credentials)
    )
    assert [status for status, _ in answers] == [200] * 50, answers

    notified = await asyncio.gather(*(holder.wait("revocation-notification-v2") for holder in everyone))
    for notification, credential in zip(notified, credentials, strict=True):
        assert notification["credential_id"] == "::".join(place(credential).values())
    fresh = await asyncio.gather(*(holder.credential() for holder in everyone))
    assert len(places | {tuple(place(credential).values()) for credential in fresh}) == 100
    for credential in fresh:
        assert (await client.get(urls["issuer_revocation_status"], **place(credential)))["revoked"] is False

    after = await client.get(urls["issuer_status"])
    assert after["failed"] == before["failed"]
    assert after["revoked"] - before["revoked"] == 50
    assert after["issued"] - before["issued"] >= 100
    connections = (await client.get(urls["mediator_status"]))["connections"]
    counts = [count for connection, count in connections.items() if connection not in mediated["connections"]]
    assert len(counts) == 50 and all(count > 0 for count in counts)


async def test_presentations_are_counted(client: Client, urls: dict[str, str]) -> None:
    before = await client.get(urls["verifier_presentations"])
    asked = await client.post(urls["verifier_invitation"])
    after = await client.get(urls["verifier_presentations"])
    assert after["requested"] == before["requested"] + 1
    assert after["pending"] == before["pending"] + 1
    assert after["requested"] == sum(after[state] for state in ("verified", "failed", "pending"))
    assert (await client.get(f"{urls['verifier_presentations']}/{asked['presentation_id']}"))["state"] == "pending"
    status, _ = await client.ask("GET", f"{urls['verifier_presentations']}/unknown")
    assert status == 404


async def test_registry_takes_objects_from_the_issuer_only(client: Client, urls: dict[str, str]) -> None:
    status, answer = await client.ask("PUT", f"{urls['registry']}/schema/abc", json={"resource": {}})
    assert (status, answer["error"]) == (403, "publishing needs the registry's token")
