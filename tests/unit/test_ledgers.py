"""Indy ledgers of the settings: one by its URL, or several, of which agents get a list."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from controller.agents import flags
from controller.agents.flags import AgentIdentity
from controller.agents.ledgers import LEDGERS_FILE, ledger_list, write_ledgers
from stampede.prepare.genesis import absolute_genesis_files, genesis_file_problems, with_genesis_texts
from stampede.prepare.host_checks import taken_ports
from stampede.prepare.rendering import render_for_host
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import Settings, check_variables

REPOSITORY = Path(__file__).resolve().parents[2]
GENESIS = '{"reqSignature":{},"txn":{"data":{},"type":"0"},"ver":"1"}\n{"txn":{"data":{},"type":"0"}}\n'
URL = "https://ledger.example.org/genesis"
LOCAL = {"id": "local", "genesis_transactions": GENESIS}
AGENT = AgentIdentity(1, 21_001, Path("/home"), Path("/trust.pem"), "http://127.0.0.1:1/webhooks#key")


def read(variables: dict[str, Any], *ledgers: dict[str, Any], **changes: Any) -> Settings:
    changed = {f"stampede_{name}": value for name, value in changes.items()}
    return Settings.from_variables(variables | changed | {"stampede_ledgers": list(ledgers)})


def test_the_first_ledger_is_the_one_on_which_nothing_is_written(variables: dict[str, Any]) -> None:
    second = {"id": "sovrin:staging", "genesis_url": URL, "is_production": False}
    listed = ledger_list(read(variables, LOCAL, second), {URL: "fetched"})
    common = {"read_only": True}
    assert listed == [
        common | {"id": "local", "genesis_transactions": GENESIS, "is_production": True, "is_write": True},
        common
        | {"id": "sovrin:staging", "genesis_transactions": "fetched", "is_production": False, "is_write": False},
    ]
    chosen = ledger_list(read(variables, LOCAL, second | {"is_write": True}), {URL: "fetched"})
    assert [ledger["is_write"] for ledger in chosen] == [False, True]


async def test_agents_get_the_list_as_a_file(variables: dict[str, Any], tmp_path: Path) -> None:
    settings = read(variables, LOCAL, {"id": "other", "genesis_transactions": GENESIS})
    await write_ledgers(settings, tmp_path)
    assert [ledger["id"] for ledger in json.loads((tmp_path / LEDGERS_FILE).read_text())] == ["local", "other"]
    command_line = flags.command_line(settings, AGENT)
    at = command_line.index("--genesis-transactions-list")
    assert command_line[at + 1] == LEDGERS_FILE  # the agents are started in the run's folder
    assert not {"--no-ledger", "--genesis-url"} & set(command_line)


async def test_where_there_is_no_ledger_there_is_no_file(variables: dict[str, Any], tmp_path: Path) -> None:
    await write_ledgers(Settings.from_variables(variables), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("ledgers", "sentence"),
    [
        ([LOCAL, LOCAL], "stampede_ledgers[1].id is 'local', as is that of stampede_ledgers[0]; it must be another"),
        ([{"id": "a"}], "stampede_ledgers[0] has no genesis; it must have one of genesis_url, genesis_file, "),
        ([LOCAL | {"genesis_url": URL}], "has genesis_url and genesis_transactions, which are 2 genesis; it must"),
        ([LOCAL | {"genesis": URL}], "stampede_ledgers[0] has 'genesis'; it must have id, genesis_url, "),
        ([LOCAL | {7: URL}], "stampede_ledgers[0] has 7; it must have id, "),
        ([{"genesis_url": URL}], "stampede_ledgers[0].id is not set; it must be 1 to 64 of A-Z"),
        ([LOCAL | {"id": "a b"}], "stampede_ledgers[0].id is 'a b'; it must be 1 to 64 of A-Z"),
        ([LOCAL | {"id": 7}], "stampede_ledgers[0].id is 7; it must be 1 to 64 of A-Z"),
        ([{"id": "a", "genesis_url": "ledger"}], "stampede_ledgers[0].genesis_url is 'ledger'; it must be a URL"),
        (
            [{"id": "a", "genesis_url": "https://me:hush@ledger.example.org/"}],
            "stampede_ledgers[0].genesis_url holds a user",
        ),
        ([{"id": "a", "genesis_url": None}], "stampede_ledgers[0].genesis_url is nothing; it must be a text"),
        ([{"id": "a", "genesis_file": ""}], "stampede_ledgers[0].genesis_file is ''; it must be the path of a file"),
        (
            [{"id": "a", "genesis_transactions": "{}"}],
            "stampede_ledgers[0].genesis_transactions cannot be used: its line 1 holds no transaction of a ledger "
            "(an object with txn); it must be the genesis transactions of an Indy ledger, one in JSON on each line",
        ),
        ([LOCAL | {"is_production": "no"}], "stampede_ledgers[0].is_production is 'no'; it must be true or false"),
        (
            [LOCAL | {"is_write": True}, LOCAL | {"id": "b", "is_write": True}],
            "stampede_ledgers[1].is_write is true, as is that of stampede_ledgers[0]; it must be false for all",
        ),
        (
            [{"id": "a", "genesis_url": "https://elsewhere.example.com/genesis"}],
            "stampede_ledgers[0].genesis_url is 'https://elsewhere.example.com/genesis', but elsewhere.example.com "
            "is not among the hosts that may be loaded",
        ),
    ],
)
def test_ledgers_that_cannot_be_used(variables: dict[str, Any], ledgers: list[Any], sentence: str) -> None:
    (said,) = check_variables(variables | {"stampede_ledgers": ledgers})
    assert sentence in said


def test_one_ledger_by_its_url_and_several_are_not_for_the_same_run(variables: dict[str, Any]) -> None:
    (said,) = check_variables(variables | {"stampede_genesis_url": URL, "stampede_ledgers": [LOCAL]})
    assert said == (
        "stampede_ledgers has 1 ledgers, but stampede_genesis_url is set too; one of them must be left out"
    )


def test_a_login_is_not_for_a_ledgers_url(variables: dict[str, Any]) -> None:
    (said,) = check_variables(variables | {"stampede_genesis_url": "https://hush@ledger.example.org/genesis"})
    assert said.startswith("stampede_genesis_url holds a user or password, which results would quote")


def test_wallets_for_indy_need_a_ledger(variables: dict[str, Any]) -> None:
    askar = variables | {"stampede_wallet_type": "askar"}
    (said,) = check_variables(askar)
    assert said.startswith(
        "stampede_wallet_type is 'askar', and such wallets take credentials of Indy ledgers only, "
    )
    assert check_variables(askar | {"stampede_ledgers": [LOCAL]}) == []
    assert check_variables(askar | {"stampede_genesis_url": URL}) == []


def test_an_agent_does_not_get_the_port_of_a_ledgers_server(variables: dict[str, Any]) -> None:
    ledgers = [LOCAL, {"id": "b", "genesis_url": "http://localhost:8601/genesis"}]
    (said,) = taken_ports(variables | {"stampede_ledgers": ledgers}, (), REPOSITORY)
    assert "but stampede_ledgers[1].genesis_url has 8601 on the same machine" in said


class TestGenesisFiles:
    def test_load_hosts_get_their_text(self, variables: dict[str, Any], tmp_path: Path) -> None:
        (tmp_path / "genesis.jsonl").write_text(GENESIS)
        ledgers = [{"id": "a", "genesis_file": "genesis.jsonl"}, {"id": "b", "genesis_url": URL}]
        found = absolute_genesis_files(variables | {"stampede_ledgers": ledgers}, tmp_path)
        assert found["stampede_ledgers"][0]["genesis_file"] == str(tmp_path / "genesis.jsonl")
        assert genesis_file_problems(found) == [] and check_variables(found) == []
        script, _ = render_for_host(found, REPOSITORY, share={}, postgresql_url="", ca_dir="/there")
        assert str(tmp_path) not in script
        on_host = with_genesis_texts(found)["stampede_ledgers"]
        assert on_host == [{"id": "a", "genesis_transactions": GENESIS}, {"id": "b", "genesis_url": URL}]
        literals = [node.value for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Constant)]
        assert GENESIS in literals

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "it holds no transaction"),
            (b"\n \n", "it holds no transaction"),
            (b"<html></html>", "its line 1 is not JSON"),
            (GENESIS.encode() + b"[]\n", "its line 3 holds no transaction of a ledger"),
            (b'{"txn": 1}', "its line 1 holds no transaction of a ledger"),
            (b"\xff", "it is not encoded in UTF-8"),
            (b" " * (2**20 + 1), "it has more than 1,048,576 bytes"),
            (b"[" * 100_000, "its line 1 is not JSON"),
        ],
    )
    def test_one_that_cannot_be_used(self, tmp_path: Path, content: bytes, said: str) -> None:
        file = tmp_path / "genesis.jsonl"
        file.write_bytes(content)
        (sentence,) = genesis_file_problems({"stampede_ledgers": [LOCAL, {"id": "a", "genesis_file": str(file)}]})
        assert sentence.startswith(f"stampede_ledgers[1].genesis_file is {str(file)!r}, but {said}")
        assert sentence.endswith("it must be the genesis transactions of an Indy ledger, one in JSON on each line")

    @pytest.mark.parametrize(("name", "said"), [("missing", "cannot be read (No such file"), ("", "it is no file")])
    def test_one_that_is_none(self, tmp_path: Path, name: str, said: str) -> None:
        path = str(tmp_path / name)
        (sentence,) = genesis_file_problems({"stampede_ledgers": [{"id": "a", "genesis_file": path}]})
        assert said in sentence

    @pytest.mark.parametrize("value", [None, "file", {"genesis_file": "a"}, [None], [{"genesis_file": 5}], ["a"]])
    def test_a_wrong_shape_is_told_elsewhere(self, value: Any) -> None:
        variables = {"stampede_ledgers": value}
        assert genesis_file_problems(variables) == []
        assert absolute_genesis_files(variables, Path("/repo")) == with_genesis_texts(variables) == variables


async def test_bad_genesis_is_told_with_the_host(variables: dict[str, Any], tmp_path: Path) -> None:
    url = "http://localhost:1/genesis"
    settings = Settings.from_variables(variables | {"stampede_genesis_url": url, "stampede_host_name": "load-1"})
    with pytest.raises(BadInput) as raised:
        await write_ledgers(settings, tmp_path)
    (said,) = raised.value.sentences
    assert said.startswith(f"stampede_genesis_url is {url!r}, but on load-1 the ledger's server: no connection to ")
