"""Whatever answers where a ledger's genesis should be, control node and load hosts say so in a sentence, in time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_service import Oddity, bomb, dripping, endless, http, odd_service, redirect, silent

import controller.agents.ledgers
import stampede.prepare.fetching
from controller.agents.ledgers import write_ledgers
from stampede.prepare.preflight import probe
from stampede.schema.errors import BadInput
from stampede.schema.settings.ledger_settings import genesis_problem
from stampede.schema.settings.run_settings import Settings

TRANSACTION = b'{"txn":{"data":{"dest":"a"},"type":"0"},"ver":"1"}\n'
GENESIS = http(TRANSACTION * 4, kind="text/plain")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in ((stampede.prepare.fetching, "TIMEOUT"), (controller.agents.ledgers, "FETCH_LIMIT")):
        monkeypatch.setattr(place, name, 0.5)
    monkeypatch.setattr(controller.agents.ledgers, "PAUSE", 0.0)


async def said_by_both(variables: dict[str, Any], folder: Path, answer: Any) -> tuple[list[str], list[str]]:
    """What the control node and what a load host has to say of an answer."""
    async with odd_service() as service:
        service.oddities = {"genesis": Oddity(answer), "moved": Oddity(GENESIS)}
        url = f"http://localhost:{service.port}/genesis"
        settings = Settings.from_variables(variables | {"stampede_ledgers": [{"id": "a", "genesis_url": url}]})
        control_node = await asyncio.to_thread(probe, replace(settings, services={}, mediator_did=""))
        try:
            await write_ledgers(settings, folder)
        except BadInput as error:
            return control_node, error.sentences
        return control_node, []


@pytest.mark.parametrize("answer", [GENESIS, redirect("/moved"), http(TRANSACTION, kind="application/json")])
async def test_a_genesis_is_taken(variables: dict[str, Any], tmp_path: Path, answer: bytes) -> None:
    assert await said_by_both(variables, tmp_path, answer) == ([], [])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http(b"gone", "404 Not Found"), "answered 404"),
        (http(b"<html>Sign in</html>", kind="text/html"), "its line 1 is not JSON"),
        (http(b"{}"), "its line 1 holds no transaction"),
        (http(b"\xff\xfe"), "it is not encoded in UTF-8"),
        (http(b""), "it holds no transaction"),
        (redirect("/genesis"), "redirect"),
        (redirect("ftp://localhost/genesis"), "ftp://localhost/genesis"),
        (redirect("https://elsewhere.example.com/genesis"), "elsewhere.example.com is not among the hosts"),
        (redirect("http://[::1"), ""),
        (b"nonsense\r\n\r\n", ""),
        (silent, "did not answer within 0.5 s"),
        (dripping, ""),
        (endless, ""),
        (bomb(), ""),
    ],
)
async def test_anything_else_is_told(variables: dict[str, Any], tmp_path: Path, answer: Any, said: str) -> None:
    async with asyncio.timeout(20):
        for sentences in await said_by_both(variables, tmp_path, answer):
            (sentence,) = sentences
            assert sentence.startswith("stampede_ledgers[0].genesis_url is 'http://localhost:") and said in sentence
            assert sentence.isprintable() and len(sentence) < 600
    assert not list(tmp_path.iterdir())


@pytest.mark.fuzz
@given(st.one_of(st.binary(), st.text(), st.from_regex(r'(\{"txn": ?(\{\}|1|\[\])\}|\[*|\d*)\n?', fullmatch=True)))
def test_a_text_is_a_genesis_or_not(content: str | bytes) -> None:
    assert genesis_problem(content).isprintable()
