"""Each load host's own variables are checked, and what is wrong is told with its hosts."""

from __future__ import annotations

import base64
import datetime
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from stampede.prepare.host_checks import neighbours, together
from stampede.prepare.run_check import CheckedRun, check_run
from stampede.schema.errors import BadInput
from stampede.schema.settings.variables import OF_THE_RUN

REPOSITORY = Path(__file__).resolve().parents[2]
type Check = Callable[..., list[str]]


@pytest.fixture
def run_variables(variables: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """All variables of a run, right ones, with their folders below ``tmp_path``."""
    defaults = yaml.safe_load((REPOSITORY / "roles/run/defaults/main.yml").read_text())
    folders = {"stampede_results_dir": str(tmp_path / "results"), "stampede_work_dir": str(tmp_path / "runs")}
    times = {"stampede_start_delay": "2s", "stampede_watch_interval": "5s"}
    influxdb = {name: "" for name in defaults if name.startswith("stampede_influxdb") and "flush" not in name}
    return defaults | influxdb | times | folders | variables


@pytest.fixture
def refused(run_variables: dict[str, Any]) -> Check:
    """``refused({"load-2": {...}})`` is what is said of three hosts that have variables of their own."""

    def refused(own: dict[str, dict[str, Any]], ports: dict[str, Any] | None = None, **of_all: Any) -> list[str]:
        of_all = run_variables | {f"stampede_{name}": value for name, value in of_all.items()}
        hosts = {
            host: of_all | {"stampede_host_name": host} | {f"stampede_{name}": value for name, value in more.items()}
            for host, more in ({"load-1": {}, "load-2": {}, "load-3": {}} | own).items()
        }
        try:
            checked = check_run(hosts["load-1"], of_all.keys(), len(hosts), REPOSITORY, hosts, ports)
        except BadInput as error:
            return error.sentences
        assert isinstance(checked, CheckedRun)
        return []

    return refused


def test_hosts_may_have_variables_of_their_own(refused: Check) -> None:
    own = {"agent_port": 9000, "agents": 4, "weight": 2.5, "agent_host": "192.0.2.7", "wait_max": "90s"}
    assert refused({"load-2": own, "load-3": {"seed": 7, "mediator_did": ""}}) == []


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"weight": math.nan}, "stampede_weight is nan; it must be a number of 0 or more"),
        ({"weight": "-1"}, "stampede_weight is '-1'; it must be a number of 0 or more"),
        ({"weight": math.inf}, "stampede_weight is inf; it must be a number of 0 or more"),
        ({"weight": True}, "stampede_weight is True; it must be a number of 0 or more"),
        ({"weight": 1e300}, "stampede_weight is 1e+300; it must be at most 1000000"),
        ({"agent_port": 65536}, "stampede_agent_port is 65536; it must be a whole number from 1 to 65535"),
        (
            {"memory_max": "lots"},
            "stampede_memory_max is 'lots'; it must be a limit that systemd understands, such as",
        ),
        ({"ca_file": "/nowhere.pem"}, "stampede_ca_file is '/nowhere.pem'"),
        ({"remove_from_hosts": "maybe"}, "stampede_remove_from_hosts is 'maybe'; it must be true or false"),
        ({"python": datetime.date(2026, 1, 1)}, "stampede_python is 2026-01-01, which YAML takes for a date unless"),
        ({"script": "issue_present_revok"}, "stampede_script is 'issue_present_revok'; it must be one of"),
        ({"secrets": {"a": ["hush"]}}, "stampede_secrets.a is a list; it must be a text, in quotes"),
    ],
)
def test_what_is_wrong_on_one_host_is_told_with_it(refused: Check, own: dict[str, Any], sentence: str) -> None:
    (found,) = refused({"load-2": own})
    assert found.startswith(sentence) and found.endswith(" (on load-2)")
    assert "hush" not in found


def test_what_is_wrong_on_all_is_told_once(refused: Check) -> None:
    assert refused({}, seed="x") == ["stampede_seed is 'x'; it must be a whole number of 0 or more"]


def test_of_many_hosts_a_few_are_named() -> None:
    said = {f"load-{number}": ["It is wrong."] if number else [] for number in range(300)}
    assert together(said) == ["It is wrong. (on load-1, load-2, load-3 and 296 more)"]


@pytest.mark.parametrize(
    ("name", "value"), [("duration", "5m"), ("holders", 5), ("thresholds", ["errors = 0"]), ("run_id", "other")]
)
def test_what_is_the_runs_is_the_same_on_all_hosts(refused: Check, name: str, value: Any) -> None:
    assert f"stampede_{name}" in OF_THE_RUN
    (sentence,) = refused({"load-3": {name: value}})
    assert sentence.startswith(f"stampede_{name} is ")
    assert sentence.endswith(f"on load-1, but {value!r} on load-3; it must be the same on all load hosts")


def test_two_spellings_of_a_value_are_the_same(refused: Check) -> None:
    assert refused({"load-2": {"iterations": "2", "ramp_up": 2, "dry_run": "no"}}) == []


class TestPorts:
    @pytest.mark.parametrize(
        ("own", "ports", "sentence"),
        [
            (
                {"agent_port": 65535, "agents": 2},
                [],
                "stampede_agent_port is 65535, but for 2 agents it must be at most 65534",
            ),
            (
                {"agent_port": 9443, "agents": 1},
                ["stampede_reference_port"],
                "stampede_agent_port is 9443, so that the agents' port is 9443, but stampede_reference_port has 9443 "
                "on the same machine; one of them must be another",
            ),
            (
                {"agent_port": 8084, "agents": 3},
                ["stampede_influxdb_port"],
                "stampede_agent_port is 8084, so that the agents' ports are 8084 to 8086, but stampede_influxdb_port",
            ),
            (
                {"agent_port": 5000, "agents": 1, "postgresql_url": "postgresql://s@127.0.0.1:5000"},
                [],
                "stampede_agent_port is 5000, so that the agents' port is 5000, but stampede_postgresql_url has 5000",
            ),
            (
                {"agent_port": 8443, "mediator_did": "did:web:localhost%3A8443:mediator"},
                [],
                "stampede_agent_port is 8443, so that the agents' ports are 8443 to 8444, but stampede_mediator_did",
            ),
            (
                {"agent_port": 7000, "services": {"issuer": {"invitation": {"url": "http://[::1]:7001/"}}}},
                [],
                "stampede_agent_port is 7000, so that the agents' ports are 7000 to 7001, but "
                "stampede_services.issuer.invitation.url has 7001",
            ),
        ],
    )
    def test_agents_need_their_own(
        self, refused: Check, own: dict[str, Any], ports: list[str], sentence: str
    ) -> None:
        (found,) = refused({"load-2": own}, {"load-2": ports})
        assert found.startswith(sentence) and found.endswith(" (on load-2)")

    def test_phones_need_none(self, refused: Check) -> None:
        beyond = {"load-2": {"agent_port": 65535, "agents": 2}}
        assert len(refused(beyond)) == 1
        assert refused(beyond, mediator_pickup="websocket") == []

    def test_without_a_number_of_agents_there_is_one_per_core(self, refused: Check) -> None:
        last = 9443 - len(os.sched_getaffinity(0)) + 1
        local = {"local": True, "python": sys.executable, "agents": 0, "agent_port": last}
        ports = {f"load-{number}": ["stampede_reference_port"] for number in (1, 2, 3)}
        (found,) = refused({}, ports, **local)
        assert found.startswith(f"stampede_agent_port is {last}, so that the agents' port") and "(on" not in found

    def test_others_are_no_trouble(self, refused: Check) -> None:
        ports = {"load-1": ["stampede_reference_port", "stampede_grafana_port", "stampede_postgresql_port"]}
        assert refused({}, ports) == []

    def test_what_runs_on_the_same_machine(self) -> None:
        fleet = {"stampede_local": False, "stampede_reference_services": "yes", "stampede_metrics": "install"}
        assert neighbours(fleet, "h1", "localhost", "h2") == []
        assert neighbours(fleet, "h1", "h1", "h2") == ["stampede_reference_port"]
        assert neighbours(fleet, "h1", "", "h1") == ["stampede_influxdb_port", "stampede_grafana_port"]
        assert neighbours(fleet | {"stampede_grafana": "no"}, "h1", "", "h1") == ["stampede_influxdb_port"]
        own = {"stampede_wallet_storage": "postgresql", "stampede_postgresql_url": ""}
        assert neighbours(own, "h1", "", "") == ["stampede_postgresql_port"]
        local = {"stampede_local": True, "stampede_reference_services": True}
        assert neighbours(local, "localhost", "elsewhere", "") == ["stampede_reference_port"]


def test_a_python_that_is_not_there(refused: Check) -> None:
    (sentence,) = refused({}, local=True, python="/nowhere/python")
    assert sentence == (
        "stampede_python is '/nowhere/python', but no such program is on this machine; it must be a Python that has "
        "the packages of requirements-host.txt"
    )
    assert refused({}, local=False, python="/nowhere/python") == [], "another machine's"


def test_a_wrong_port_is_told_once_though_urls_have_it(refused: Check) -> None:
    services = {"issuer": {"invitation": {"url": "https://localhost:70000/issuer"}}}
    did = "did:web:localhost%3A70000:mediator"
    (sentence,) = refused({}, reference_port=70000, services=services, mediator_did=did)
    assert sentence.startswith("stampede_reference_port is 70000; it must be a whole number from 1 to 65535")


class TestSecrets:
    TOKEN = "hush-hush-hush"

    @pytest.mark.parametrize("value", ["", " ", "\n"])
    def test_one_that_is_empty(self, refused: Check, value: str) -> None:
        (sentence,) = refused({}, secrets={"token": value})
        assert sentence.startswith("stampede_secrets.token is empty; it must be a text of at least one character")

    @pytest.mark.parametrize(
        "revealing",
        [
            {"services": {"issuer": {"invitation": {"url": "https://issuer.example.org/", "body": {"a": [TOKEN]}}}}},
            {"services": {"issuer": {"invitation": {"url": f"https://issuer.example.org/?key={TOKEN}"}}}},
            {"agent_args": ["--wallet-key", TOKEN]},
            {"compare_with": "", "agent_plugins": [TOKEN]},
            {"agent_args": [quote(TOKEN, safe="").replace("-", "%2D")]},
            {"agent_args": [base64.b64encode(f"user:{TOKEN}".encode()).decode()]},
        ],
    )
    def test_one_that_another_setting_reveals(self, refused: Check, revealing: dict[str, Any]) -> None:
        (sentence,) = refused({}, secrets={"token": self.TOKEN}, **revealing)
        assert "holds stampede_secrets.token in clear; it must have ${secret:token} in its place" in sentence
        assert self.TOKEN not in sentence

    def test_one_that_is_beyond_reason(self, refused: Check) -> None:
        (sentence,) = refused({}, secrets={"token": "a-" * 50_000})
        assert sentence.startswith(
            "stampede_secrets.token has 100,000 characters; it must be a text of at most 8,192"
        )

    def test_one_that_says_in_base64_what_a_setting_may_say(self, refused: Check) -> None:
        assert refused({}, secrets={"token": base64.b64encode(b"issuer:issuer").decode()}) == []

    def test_one_that_is_used_as_it_should_be(self, refused: Check) -> None:
        request = {"url": "https://issuer.example.org/", "headers": {"Authorization": "Bearer ${secret:token}"}}
        services = {"issuer": {"invitation": request, "revocation": request}, "verifier": {"invitation": request}}
        assert refused({}, secrets={"token": self.TOKEN}, services=services) == []


@pytest.mark.parametrize(("results", "work"), [("a", "a"), ("a", "a/test-run"), ("a/test-run/b", "a"), ("link", "a")])
def test_results_and_work_folder_must_not_be_in_each_other(
    refused: Check, tmp_path: Path, results: str, work: str
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    folders = {"results_dir": str(tmp_path / results), "work_dir": str(tmp_path / work)}
    (sentence,) = refused({}, local=True, python=sys.executable, **folders)
    assert sentence.startswith(
        f"stampede_results_dir leads to {tmp_path / results}/test-run, and stampede_work_dir to"
    )
    assert refused({}, **folders) == [], "on other machines they are two folders"


@pytest.mark.parametrize("name", ["results_dir", "work_dir", "script"])
def test_a_name_that_is_too_long_for_a_file(refused: Check, name: str) -> None:
    (sentence,) = refused({}, **{name: f"/tmp/{'ä' * 200}.py"})
    assert f"stampede_{name} has 'ääääääääääääääääääää'... with 403 bytes; a file's name must have" in sentence
