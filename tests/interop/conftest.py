"""Stock services for all tests of a session. What cannot be had on this machine is told at the end of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from deployments import Deployment
from installs import had
from ledger import IndyLedger, seed
from stock_agents import CURRENT, StockAgent, old_acapy


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The gateway, without agents."""
    found = Deployment(tmp_path_factory.mktemp("interop"))
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="session")
def web_agents(deployment: Deployment) -> Deployment:
    """ACA-Py 1.7.0 without a ledger: issuer, verifier, one with a WebSocket endpoint only, a mediator."""
    controllers = deployment.controllers
    tails = ("--tails-server-base-url", controllers.tails, "--tails-server-upload-url", controllers.tails)
    public = ("--public-invites", "--requests-through-public-did")

    async def start() -> None:
        issuer, verifier, *_ = await asyncio.gather(
            controllers.add(
                StockAgent(
                    *("issuer", "--notify-revocation", "--auto-respond-credential-request"),
                    *("--auto-respond-credential-proposal", *public, *tails),
                    plugins=["reference.didweb_anoncreds"],
                )
            ),
            controllers.add(
                StockAgent(
                    *("verifier", "--auto-respond-presentation-proposal", *public),
                    plugins=["reference.didweb_anoncreds"],
                )
            ),
            controllers.add(StockAgent("socket", transports=["ws"])),
            controllers.add(StockAgent("mediator", "--open-mediation", *public, transports=["ws", "http"])),
        )
        await controllers.give_did_web(verifier)
        await controllers.give_did_web(controllers.agents["mediator"])
        await controllers.make_issuer(issuer, await controllers.give_did_web(issuer))

    deployment.run(start())
    return deployment


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndyLedger]:
    """A real Indy ledger."""
    found = had(lambda: IndyLedger(tmp_path_factory.mktemp("ledger")))
    try:
        found.start()
        found.wait()
        yield found
    finally:
        found.stop()


async def _add_issuers(deployment: Deployment, *agents: tuple[str, str, str, str]) -> None:
    """Agents on the ledger, each by its name, the name of its DID's seed, its wallet's type and its version."""
    controllers = deployment.controllers
    tails = ("--tails-server-base-url", controllers.tails, "--tails-server-upload-url", controllers.tails)

    async def add(name: str, seed_name: str, wallet_type: str, version: str) -> None:
        words = ("--seed", seed(seed_name), "--notify-revocation", "--auto-respond-credential-request", *tails)
        program = old_acapy(version) if version else CURRENT
        agent = StockAgent(name, *words, wallet_type=wallet_type, ledger=controllers.genesis_url, program=program)
        await controllers.add(agent)
        await controllers.make_issuer(agent, (await agent.get("/wallet/did/public"))["result"]["did"])

    await asyncio.gather(*(add(*agent) for agent in agents))


async def _add_registered(deployment: Deployment) -> None:
    controllers = deployment.controllers
    words = ("--open-mediation", "--public-invites", "--requests-through-public-did")
    agent = await controllers.add(StockAgent("registered", *words, ledger=controllers.genesis_url))
    await controllers.give_did_sov(agent, controllers.agents["classic"])


@pytest.fixture(scope="session")
def indy_agents(deployment: Deployment, ledger: IndyLedger) -> Deployment:
    """ACA-Py 1.7.0 on an Indy ledger: with wallets of either type, to issue and verify, and one whose DID is on the
    ledger, `registered`, to verify and mediate."""
    deployment.controllers.genesis = ledger.genesis
    agents = [("classic", "Trustee1", "askar", ""), ("anoncreds", "Steward1", "askar-anoncreds", "")]
    deployment.run(_add_issuers(deployment, *agents))
    deployment.run(_add_registered(deployment))
    return deployment


@pytest.fixture(scope="session")
def old_agents(indy_agents: Deployment) -> Deployment:
    """ACA-Py 0.12.4 and 1.0.1 beside them."""
    versions = {"old0": ("Steward2", "0.12.4"), "old1": ("Steward3", "1.0.1")}
    for _, version in versions.values():
        had(lambda version=version: old_acapy(version))
    agents = [(name, seed_name, "askar", version) for name, (seed_name, version) in versions.items()]
    indy_agents.run(_add_issuers(indy_agents, *agents))
    return indy_agents
