"""ACA-Py's flags and environment, as the settings have them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.acapy_patches import registry
from controller.agents import flags
from controller.agents.flags import AgentIdentity
from controller.agents.postgresql import Postgresql
from stampede.schema.settings.run_settings import Settings

AGENT = AgentIdentity(1, 21_001, Path("/home"), Path("/trust.pem"), "http://127.0.0.1:1/webhooks#key")


@pytest.fixture
def settings(variables: dict[str, Any]) -> Settings:
    return Settings.from_variables({**variables, "stampede_agent_port": 9000, "stampede_agent_host": "load-1"})


def value_of(flag: str, command_line: list[str]) -> str:
    return command_line[command_line.index(flag) + 1]


def test_each_agent_has_ports_and_stores_of_its_own(settings: Settings) -> None:
    command_line = flags.command_line(settings, AGENT)
    assert value_of("--endpoint", command_line) == "http://load-1:9001"
    assert command_line[command_line.index("--admin") + 1 :][:2] == ["127.0.0.1", "21001"]
    tenancy = json.loads(value_of("--multitenancy-config", command_line))
    stores = {value_of("--wallet-name", command_line), tenancy["wallet_name"]}
    other_host = replace(settings, host_name="load-2")
    for other in (flags.store_names(settings, 0), flags.store_names(other_host, 1)):
        assert len(stores | set(other)) == 4


def test_an_agent_of_phones_opens_no_port(settings: Settings) -> None:
    command_line = flags.command_line(replace(settings, mediator_pickup="websocket"), AGENT)
    inbound = [command_line[at + 1] for at, flag in enumerate(command_line) if flag == "--inbound-transport"]
    assert inbound == ["controller.pickup.transports"]
    assert value_of("--endpoint", command_line) == "didcomm:transport/queue"
    assert value_of("--plugin", command_line) == "controller.pickup"
    assert not any("9001" in value for value in command_line)
    assert "controller.pickup" not in flags.command_line(settings, AGENT)


def test_a_ledger_plugins_and_further_arguments_come_from_the_settings(settings: Settings) -> None:
    assert "--no-ledger" in flags.command_line(settings, AGENT)
    chosen = replace(
        settings, genesis_url="https://ledger/genesis", agent_plugins=("one", "two"), agent_args=("--trace",)
    )
    command_line = flags.command_line(chosen, AGENT)
    assert "--no-ledger" not in command_line
    assert value_of("--genesis-url", command_line) == "https://ledger/genesis"
    plugins = [command_line[at + 1] for at, flag in enumerate(command_line) if flag == "--plugin"]
    assert plugins == ["controller.dialogue", "one", "two"]
    assert command_line[-1] == "--trace"


@pytest.mark.parametrize("wallet_type", ["askar-anoncreds", "askar"])
def test_the_type_of_the_wallets_comes_from_the_settings(settings: Settings, wallet_type: str) -> None:
    assert settings.wallet_type == "askar-anoncreds"
    assert (
        value_of("--wallet-type", flags.command_line(replace(settings, wallet_type=wallet_type), AGENT))
        == wallet_type
    )


@pytest.mark.parametrize(
    ("arguments", "added"),
    [
        ((), ["http", "ws"]),
        (("--outbound-transport", "ws"), ["http"]),
        (("--outbound-transport=ws", "-ot", "http"), []),
        (("--inbound-transport", "http", "127.0.0.1", "1", "--label", "ws"), ["http", "ws"]),
    ],
)
def test_a_transport_is_named_once(settings: Settings, arguments: tuple[str, ...], added: list[str]) -> None:
    command_line = flags.command_line(replace(settings, agent_args=arguments), AGENT)
    own = command_line[: len(command_line) - len(arguments)]
    assert [own[at + 1] for at, flag in enumerate(own) if flag == "--outbound-transport"] == added


def test_secrets_are_in_the_environment_only(settings: Settings) -> None:
    command_line = " ".join(flags.command_line(settings, AGENT))
    environment = flags.environment(settings, AGENT, None)
    for secret in (AGENT.admin_key, AGENT.wallet_key, AGENT.jwt_secret):
        assert secret in environment.values()
        assert secret not in command_line
        assert secret not in repr(AGENT)


def test_each_storage_of_wallets_has_patches_of_its_own(settings: Settings) -> None:
    assert settings.wallet_storage == "memory"
    for storage, own in (("memory", ["memory_wallets"]), ("sqlite", ["sqlite_connections", "sqlite_writers"])):
        chosen = flags.environment(replace(settings, wallet_storage=storage), AGENT, None)
        assert set(chosen["STAMPEDE_PATCHES"].split()) == {*registry.GENERAL, *own}
        assert "ACAPY_WALLET_STORAGE_TYPE" not in chosen
    assert len(registry.GENERAL) + 3 == len(registry.PATCHES)
    server = Postgresql.from_url("postgresql://stampede@db:5433", "secret")
    elsewhere = flags.environment(replace(settings, wallet_storage="postgresql"), AGENT, server)
    assert elsewhere["STAMPEDE_PATCHES"].split() == list(registry.GENERAL)
    assert json.loads(elsewhere["ACAPY_WALLET_STORAGE_CONFIG"])["url"] == "db:5433"
