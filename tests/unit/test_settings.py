"""Settings: every value that cannot be used is named in one sentence with what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from stampede.schema.settings.durations import seconds
from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.settings.service_settings import KNOWN_VALUES, fill_in


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), (2.5, 2.5), ("0.5s", 0.5), (0, 0)]
)
def test_durations(text: Any, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5 minutes", "m", "-1", -3, True, None, "inf", "nan"])
def test_no_durations(text: Any) -> None:
    with pytest.raises(ValueError):
        seconds(text)


def test_right_settings_are_read(variables: dict[str, Any]) -> None:
    settings = Settings.from_variables(variables)
    assert settings.load.plan.steady_after == 2.0
    assert settings.scenario == "issue_present_revoke"
    assert settings.services["issuer"].invitation.method == "POST"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"holders": 0}, "stampede_holders is 0; it must be a whole number of 1 or more"),
        ({"holders": "many"}, "stampede_holders is 'many'; it must be a whole number of 1 or more"),
        ({"wait_min": 70}, "stampede_wait_min is 70, more than stampede_wait_max, which is 60"),
        ({"presentations_min": 11}, "stampede_presentations_min is 11, more than stampede_presentations_max"),
        ({"duration": "soon"}, "stampede_duration is 'soon'; it must be a number of seconds or a duration"),
        ({"step_timeout": 0}, "stampede_step_timeout is 0; it must be"),
        ({"on_failure": "shrug"}, "stampede_on_failure is 'shrug'; it must be one of restart, continue, stop"),
        ({"mediator_did": "mediator"}, "stampede_mediator_did is 'mediator'; it must be a public DID"),
        ({"mediator_pickup": "pigeon"}, "stampede_mediator_pickup is 'pigeon'; it must be one of none, websocket"),
        (
            {"mediator_pickup": "http", "mediator_did": ""},
            "stampede_mediator_pickup is http, but stampede_mediator_did is empty; phones are reached through",
        ),
        (
            {"mediator_pickup": "http", "mediator_did": "https://m.example.org/?oob=abc"},
            "or empty for no mediator; an invitation belongs in stampede_mediator_invitation",
        ),
        (
            {"mediator_pickup": "http", "mediator_did": "", "mediator_invitation": "https://m.example.org/?oob=abc"},
            "stampede_mediator_invitation is no invitation",
        ),
        ({"mediator_poll_interval": 0}, "stampede_mediator_poll_interval is 0; it must be"),
        ({"run_id": "a/b"}, "stampede_run_id is 'a/b'; it must be 1 to 64 of"),
        ({"services": {}}, "stampede_services is {}; it must map at least one service name"),
        ({"agent_port": 70000}, "stampede_agent_port is 70000; it must be a whole number from 1 to 65535"),
        ({"agent_plugins": "one"}, "stampede_agent_plugins is 'one'; it must be a list of texts"),
        ({"agent_host": -5}, "stampede_agent_host is -5; it must be the host name or address"),
        ({"genesis_url": "ledger"}, "stampede_genesis_url is 'ledger'; it must be a URL"),
        ({"metrics": "some"}, "stampede_metrics is 'some'; it must be one of none, existing, install"),
        ({"wallet_storage": "postgresql"}, "stampede_postgresql_url is empty"),
        ({"notes": {"issuer": ["2.1"]}}, "stampede_notes has 'issuer': ['2.1']; it must map names of your choice to"),
        ({"postgresql_url": "postgresql://u:hush@db.example.org"}, "stampede_postgresql_url holds a password"),
    ],
)
def test_wrong_settings(variables: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    wrong = variables | {f"stampede_{name}": value for name, value in change.items()}
    sentences = check_variables(wrong)
    assert len(sentences) == 1
    assert sentence in sentences[0]


def test_nobody_needs_to_reach_phones(variables: dict[str, Any]) -> None:
    elsewhere = variables | {"stampede_agent_host": "127.0.0.2", "stampede_agent_bind": "127.0.0.1"}
    assert len(check_variables(elsewhere)) == 1
    assert check_variables(elsewhere | {"stampede_mediator_pickup": "websocket"}) == []


INFLUXDB = {
    "stampede_metrics": "existing",
    "stampede_influxdb_url": "https://influx.example.org:8086/",
    "stampede_influxdb_database": "stampede",
    "stampede_influxdb_user": "",
    "stampede_influxdb_org": "",
    "stampede_influxdb_bucket": "",
    "stampede_influxdb_ca_file": "",
}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"url": ""}, "stampede_influxdb_url is ''; it must be a URL such as https://influx.example.org:8086"),
        ({"url": "influx:8086"}, "stampede_influxdb_url is 'influx:8086'; it must be a URL"),
        ({"url": "https://i:x"}, "stampede_influxdb_url is 'https://i:x'; it must be a URL"),
        ({"url": "https://w:hush@i.example.org"}, "stampede_influxdb_url holds more than a server's address"),
        ({"url": "https://i.example.org/?p=hush"}, "stampede_influxdb_url holds more than a server's address"),
        ({"database": ""}, "stampede_influxdb_database and stampede_influxdb_bucket are both empty"),
        ({"user": "w"}, "stampede_influxdb_user is 'w', but stampede_secrets has no influxdb_password"),
        (
            {"bucket": "b", "org": "o"},
            "stampede_influxdb_bucket is 'b', but stampede_secrets has no influxdb_token",
        ),
        ({"flush": "later"}, "stampede_influxdb_flush is 'later'; it must be a number of seconds"),
    ],
)
def test_wrong_influxdb(variables: dict[str, Any], change: dict[str, str], sentence: str) -> None:
    wrong = variables | INFLUXDB | {f"stampede_influxdb_{name}": value for name, value in change.items()}
    (found,) = check_variables(wrong)
    assert sentence in found
    assert "hush" not in found


def test_an_influxdb_beyond_this_machine_gets_its_secret_over_tls_only(variables: dict[str, Any]) -> None:
    named = variables | INFLUXDB | {"stampede_secrets": {"influxdb_password": "hush"}}
    plain = named | {"stampede_influxdb_url": "http://influx.example.org:8086"}
    assert check_variables(plain) == []
    (found,) = check_variables(plain | {"stampede_influxdb_user": "w"})
    assert "it must start with https://, or influxdb_password would go in clear" in found


def test_the_influxdb_that_points_go_to(variables: dict[str, Any]) -> None:
    assert Settings.from_variables(variables).influxdb is None
    server = Settings.from_variables(variables | INFLUXDB | {"stampede_ca_file": "/ca.pem"}).influxdb
    assert server == Influxdb("https://influx.example.org:8086", "stampede", ca_file="/ca.pem")
    own = INFLUXDB | {"stampede_influxdb_ca_file": "/own.pem"}
    server = Settings.from_variables(variables | own | {"stampede_ca_file": "/ca.pem"}).influxdb
    assert server is not None and server.ca_file == "/own.pem"
    to_be_installed = INFLUXDB | {"stampede_metrics": "install", "stampede_influxdb_url": ""}
    assert Settings.from_variables(variables | to_be_installed).influxdb == Influxdb("")


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"url": "issuer"}, "stampede_services.issuer.invitation.url is 'issuer'; it must be a URL"),
        ({"url": "https://[::1"}, "it must be a URL"),
        ({"url": "http://issuer.example.org/"}, "it must start with https://"),
        ({"url": "https://user:word@issuer.example.org/"}, "holds a user or password"),
        ({"url": "https://i.example.org/", "found_at": "there"}, "found_at is 'there'"),
        ({"url": "https://i.example.org/", "methode": "GET"}, "has the key 'methode'"),
        ({"url": "https://i.example.org/${holdr}"}, "uses ${holdr}; it may use"),
        (
            {"url": "https://i.example.org/${rev_reg_id}"},
            "stampede_services.issuer.invitation uses ${rev_reg_id}, which is not known at this request; it may use "
            "holder, run_id and secret:NAME",
        ),
        ({"url": "https://i.example.org/", "body": {"a": ["${their_did}"]}}, "uses ${their_did}, which is not known"),
        ({"url": "https://i.example.org/", "headers": {"X-API-Key": "abc"}}, "holds a secret in clear"),
        ({"url": "https://i.example.org/", "headers": {"Content-Length": "3"}}, "which the HTTP client decides"),
        ({"url": "https://i.example.org/", "headers": {"transfer-encoding": "chunked"}}, "must be left out"),
        ({"url": "https://i.example.org/", "method": "CONNECT"}, "must be an HTTP method"),
        ({"url": "https://i.example.org/${run_id"}, "has '${run_id' with no closing brace"),
        ({"url": "https://i.example.org/", "body": {"a": ["${holder"]}}, "has '${holder' with no closing brace"),
        ({"url": "https://i.example.org/", "poll": {"limit": "30000h"}}, "must be at most a year"),
        (
            {"url": "https://i.example.org/", "headers": {"X-Auth-Token": "abc"}},
            "X-Auth-Token holds a secret in clear",
        ),
        ({"url": "https://i.example.org/", "headers": {"X": "${secret:key}"}}, "stampede_secrets has no 'key'"),
    ],
)
def test_wrong_requests(variables: dict[str, Any], request_: dict[str, Any], sentence: str) -> None:
    sentences = check_variables(variables | {"stampede_services": {"issuer": {"invitation": request_}}})
    assert len(sentences) == 1
    assert sentence in sentences[0]


def test_each_request_may_use_what_is_known_when_it_is_sent(variables: dict[str, Any]) -> None:
    for kind, names in KNOWN_VALUES.items():
        invitation = {"url": "https://issuer.example.org/"}
        known = {"url": "https://issuer.example.org/", "body": {name: f"${{{name}}}" for name in names}}
        services = {"issuer": {"invitation": invitation, kind: known}}
        assert check_variables(variables | {"stampede_services": services}) == []


def test_plain_http_is_for_loopback(variables: dict[str, Any]) -> None:
    services = {"issuer": {"invitation": {"url": "http://127.0.0.1:8020/out-of-band/create-invitation"}}}
    assert check_variables(variables | {"stampede_services": services}) == []


def test_load_hosts_of_a_fleet_may_have_a_postgresql_of_their_own(variables: dict[str, Any]) -> None:
    without_url = variables | {"stampede_wallet_storage": "postgresql"}
    assert check_variables(without_url | {"stampede_local": False}) == []
    assert len(check_variables(without_url | {"stampede_local": True})) == 1


def test_all_problems_are_told_at_once(variables: dict[str, Any]) -> None:
    assert len(check_variables(variables | {"stampede_holders": 0, "stampede_seed": "x"})) == 2
    may_be_missing = {
        *("secrets", "think_times", "observed_think_times", "think_time_scale"),
        *("warm_up", "cool_down"),
    }
    assert len(check_variables({})) == len(variables) - len(may_be_missing)


def test_values_are_filled_in_everywhere() -> None:
    body = {"id": "${rev_reg_id}", "list": ["x${cred_rev_id}", 3], "dollar": "$5"}
    assert fill_in(body, {"rev_reg_id": "r", "cred_rev_id": "7"}) == {"id": "r", "list": ["x7", 3], "dollar": "$5"}


def test_notes_are_part_of_the_results(variables: dict[str, Any]) -> None:
    settings = Settings.from_variables(variables | {"stampede_notes": {"issuer": "two pods", "version": 2.1}})
    assert settings.public()["notes"] == {"issuer": "two pods", "version": "2.1"}


def test_public_settings_hold_no_secret(variables: dict[str, Any]) -> None:
    services = {"issuer": {"invitation": {"url": "https://i.example.org/", "headers": {"X-API-Key": "${secret:k}"}}}}
    settings = Settings.from_variables(variables | {"stampede_services": services, "stampede_secrets": {"k": "hush"}})
    assert "hush" not in str(settings.public())
