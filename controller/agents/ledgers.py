"""The Indy ledgers of a run, as this host's agents are told of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from multidict import CIMultiDict
from yarl import URL

from controller.services.exchange import Exchange
from controller.services.request import Request
from stampede.machine.files import write_json
from stampede.machine.trust import tls_context
from stampede.schema.errors import BadInput, ServiceUnreachable, StepError
from stampede.schema.settings.ledger_settings import RIGHT_GENESIS, genesis_problem
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.targets import Targets

LEDGERS_FILE = "ledgers.json"
"""In the run's folder, in which agents are started; JSON is YAML, which ACA-Py reads."""
FETCH_LIMIT = 10.0
"""Seconds for an answer with genesis transactions."""
ATTEMPTS = 3
PAUSE = 1.0
"""Seconds between two attempts."""


async def write_ledgers(settings: Settings, run_dir: Path) -> None:
    """Fetch the genesis transactions of all ledgers once for all agents, and write LEDGERS_FILE if there are several.

    ACA-Py would try for minutes and then end without a reason. Raises BadInput with a sentence for each that cannot
    be had.
    """
    genesis, problems = await _fetched(settings)
    if problems:
        raise BadInput(*problems)
    if settings.ledgers:
        write_json(run_dir / LEDGERS_FILE, ledger_list(settings, genesis))


def ledger_list(settings: Settings, genesis: dict[str, str]) -> list[dict[str, Any]]:
    """What ``--genesis-transactions-list`` names. ``genesis`` holds the transactions by their URL.

    ACA-Py wants a ledger to write on even where nothing is written: the first, when none is chosen. All are opened
    for reading only.
    """
    chosen = next((ledger for ledger in settings.ledgers if ledger.is_write), settings.ledgers[0])
    return [
        {
            "id": ledger.id,
            "genesis_transactions": ledger.genesis_transactions or genesis[ledger.genesis_url],
            "is_production": ledger.is_production,
            "is_write": ledger is chosen,
            "read_only": True,
        }
        for ledger in settings.ledgers
    ]


async def _fetched(settings: Settings) -> tuple[dict[str, str], list[str]]:
    """The genesis transactions by their URL, and a sentence for each URL that has none."""
    found: dict[str, str] = {}
    problems: list[str] = []
    exchange = Exchange(Targets(settings.allowed_targets))
    exchange.open()
    try:
        for variable, url in settings.genesis_urls():
            try:
                found[url] = await _fetch(exchange, variable, url, settings.ca_file)
            except StepError as error:
                said = " ".join(error.detail.split())[:300]  # what servers send is quoted over several lines
                problems.append(f"{variable} is {url!r}, but on {settings.host_name} {said}; {RIGHT_GENESIS}")
    finally:
        await exchange.close()
    return found, problems


async def _fetch(exchange: Exchange, variable: str, url: str, ca_file: str) -> str:
    """The genesis transactions at a URL. Raises StepError."""
    request = Request(
        service="the ledger's server",
        where=f"{variable} is {url!r}",
        method="GET",
        url=URL(url),
        headers=CIMultiDict(),
        body=None,
        tls=tls_context(ca_file),
    )
    attempt = 1
    while True:
        try:
            async with asyncio.timeout(FETCH_LIMIT):
                answer = await exchange.send(request)
            break
        except TimeoutError:
            raise ServiceUnreachable(f"it did not answer within {FETCH_LIMIT:g} s") from None
        except ServiceUnreachable:
            if attempt == ATTEMPTS:
                raise
            attempt += 1
            await asyncio.sleep(PAUSE)
    problem = answer.said if answer.status != 200 else genesis_problem(answer.body)
    if problem:
        raise ServiceUnreachable(problem)
    return answer.text()
