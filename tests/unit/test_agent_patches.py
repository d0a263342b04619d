"""``stampede_agent_patches``: which patches agents start with, what a check says of it, and where it is noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.acapy_patches import registry
from controller.agents import flags
from controller.agents.flags import AgentIdentity
from controller.host.versions import host_record
from stampede.prepare.notices import notices
from stampede.schema.settings.agent_patches import ALL, DEPENDENTS, read_agent_patches
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.settings.variable_reader import VariableReader

NAMES = tuple(registry.PATCHES)
AGENT = AgentIdentity(0, 21_000, Path("/home"), Path("/trust.pem"), "http://127.0.0.1:1/webhooks#key")


def test_every_patch_can_be_named(variables: dict[str, Any]) -> None:
    assert tuple(DEPENDENTS) == NAMES
    assert Settings.from_variables(variables).agent_patches == NAMES, "all are on unless something is said"


@given(st.dictionaries(st.sampled_from([ALL, *NAMES]), st.booleans()))
def test_a_name_goes_before_all(switches: dict[str, bool]) -> None:
    reader = VariableReader({"stampede_agent_patches": switches})
    on = tuple(name for name in NAMES if switches.get(name, switches.get(ALL, True)))
    assert (read_agent_patches(reader), reader.problems) == (on, [])


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            {"saves": False, "savs": False},
            f"stampede_agent_patches has 'savs', which is no patch; it must be all or one of {', '.join(NAMES)}",
        ),
        (
            {"saves": "off course"},
            "stampede_agent_patches has 'saves': 'off course'; the value must be true or false",
        ),
        ({"saves": None}, "stampede_agent_patches has 'saves': None; the value must be true or false"),
        (["saves"], "stampede_agent_patches is ['saves']; it must be a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_right(variables: dict[str, Any], value: Any, sentence: str) -> None:
    assert check_variables(variables | {"stampede_agent_patches": value}) == [sentence]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({}, ()),
        ({"saves": False, "slim_events": False, "nested_loops": False}, ()),
        ({"unmatched_requests": False, "saves": False}, ("unmatched_requests",)),
        ({ALL: False}, tuple(name for name in NAMES if DEPENDENTS[name])),
        ({"savs": False}, ()),  # which is an error
    ],
)
def test_a_check_says_what_depends_on_patches_that_are_off(value: Mapping[str, bool], named: tuple[str, ...]) -> None:
    said = notices({"stampede_agent_patches": value}, {})
    assert len(said) == bool(named)
    if said:
        assert [name for name in NAMES if f"{name} ({DEPENDENTS[name]})" in said[0]] == list(named)
        assert said[0].startswith("stampede_agent_patches switches off what more depends on than CPU: ")


def test_agents_start_with_those_that_are_on(variables: dict[str, Any]) -> None:
    def asked_for(**changes: Any) -> list[str]:
        settings = replace(Settings.from_variables(variables), **changes)
        return flags.environment(settings, AGENT, None)["STAMPEDE_PATCHES"].split()

    assert asked_for(agent_patches=()) == []
    assert asked_for(agent_patches=("saves", "schema_pool")) == ["saves", "schema_pool"]
    of_storages = ("sqlite_writers", "memory_wallets")
    assert asked_for(agent_patches=of_storages, wallet_storage="postgresql") == []
    assert asked_for(agent_patches=of_storages, wallet_storage="sqlite") == ["sqlite_writers"]
    assert asked_for(agent_patches=of_storages) == ["memory_wallets"]


def test_without_its_patch_wallets_in_memory_are_in_sqlite(variables: dict[str, Any]) -> None:
    def storage(wanted: str, **switches: bool) -> str:
        changes = {"stampede_wallet_storage": wanted, "stampede_agent_patches": switches}
        return Settings.from_variables(variables | changes).wallet_storage

    variables |= {"stampede_postgresql_url": "postgresql://u@localhost"}
    assert storage("memory") == storage("memory", all=False, memory_wallets=True) == "memory"
    assert storage("memory", memory_wallets=False) == storage("memory", all=False) == "sqlite"
    assert storage("postgresql", all=False) == "postgresql"


def test_agents_know_which_events_the_controller_drops(variables: dict[str, Any]) -> None:
    environment = flags.environment(Settings.from_variables(variables), AGENT, None)
    unheard = environment["STAMPEDE_UNHEARD_TOPICS"].split()
    assert "out_of_band" in unheard and "connections" not in unheard


def test_the_run_notes_them_with_its_versions(
    variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(**switches: bool) -> str:
        settings = Settings.from_variables(variables | {"stampede_agent_patches": switches})
        return host_record(settings, tmp_path).versions["agent patches"]

    assert noted() == " ".join(name for name in NAMES if not name.startswith("sqlite"))
    assert noted(all=False) == "none"
    assert noted(all=False, saves=True, slim_events=True) == "saves slim_events"
    monkeypatch.setitem(registry.PATCHES, "saves", replace(registry.PATCHES["saves"], originals={"nowhere": "x"}))
    assert noted(all=False, saves=True, slim_events=True) == "slim_events", "what does not fit is left out"
