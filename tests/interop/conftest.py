"""Stock services for all tests of a session. What cannot be had on this machine is told at the end of the run."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from controllers import Controllers
from journeys import Journey, Played, play
from ledger import IndyLedger, seed
from machine import Missing
from stock_agents import StockAgent, old_acapy


class Deployment:
    """Controllers that run in a thread, and the runs against them."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._folder = folder
        self.controllers = Controllers(folder)
        self.run(self.controllers.start())

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns, done in the thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(300)

    def places(self) -> dict[str, str]:
        """What journeys' URLs have in braces."""
        agents = self.controllers.agents
        return {"url": self.controllers.url} | {f"{name}:admin": agent.admin for name, agent in agents.items()}

    def play(self, name: str, journeys: list[Journey], **variables: Any) -> Played:
        """One run of all these journeys."""
        ca_file = self.controllers.authority.ca_file
        return play(self._folder / name, journeys, ca_file=ca_file, places=self.places(), **variables)

    def stop(self) -> None:
        self.run(self.controllers.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)


def had[T](make: Callable[[], T]) -> T:
    """What ``make`` returns; the test is skipped where that cannot be had on this machine."""
    try:
        return make()
    except Missing as missing:
        pytest.skip(f"not tested on this machine, for want of {missing}")
    except AssertionError as failed:
        if os.environ.get("STAMPEDE_REQUIRE_INTEROP") == "1":
            raise
        pytest.skip(f"not tested on this machine: {str(failed)[-400:]}")


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The gateway, without agents."""
    found = Deployment(tmp_path_factory.mktemp("interop"))
    yield found
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
            controllers.add(StockAgent("mediator", "--open-mediation", *public, transports=["http", "ws"])),
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
    found.start()
    found.wait()
    yield found
    found.stop()


INDY_AGENTS = {"classic": "Trustee1", "anoncreds": "Steward1", "old0": "Steward2", "old1": "Steward3"}
"""Issuers on the ledger, each with the seed of its DID there."""


@pytest.fixture(scope="session")
def indy_agents(deployment: Deployment, ledger: IndyLedger) -> Deployment:
    """Issuers on an Indy ledger: ACA-Py 1.7.0 with wallets of either type, 0.12.4 and 1.0.1. Each also verifies."""
    controllers = deployment.controllers
    controllers.genesis = ledger.genesis
    programs = {"old0": had(lambda: old_acapy("0.12.4")), "old1": had(lambda: old_acapy("1.0.1"))}
    tails = ("--tails-server-base-url", controllers.tails, "--tails-server-upload-url", controllers.tails)

    async def start(name: str) -> None:
        words = ("--seed", seed(INDY_AGENTS[name]), "--notify-revocation", "--auto-respond-credential-request")
        kind = "askar-anoncreds" if name == "anoncreds" else "askar"
        given = {"program": programs[name]} if name in programs else {}
        agent = StockAgent(name, *words, *tails, wallet_type=kind, ledger=controllers.genesis_url, **given)
        await controllers.add(agent)
        did = (await agent.get("/wallet/did/public"))["result"]["did"]
        await controllers.make_issuer(agent, did)

    async def start_all() -> None:
        await asyncio.gather(*(start(name) for name in INDY_AGENTS))

    deployment.run(start_all())
    return deployment
