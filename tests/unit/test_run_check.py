"""The check of a run before any host is asked."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from plugin_files import REPOSITORY

from stampede.prepare.ca_files import absolute_ca_files, copied_ca_files
from stampede.prepare.folder_checks import nothing_to_compare_with, unwritable
from stampede.prepare.rendering import in_seconds, render_for_host
from stampede.prepare.run_check import CheckedRun, check_run, run_id_by_time
from stampede.prepare.trial import forecast
from stampede.schema.errors import BadInput


@pytest.fixture
def run_variables(variables: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """All variables of a run, right ones, with their folders below ``tmp_path``."""
    defaults = yaml.safe_load((REPOSITORY / "roles/run/defaults/main.yml").read_text())
    of_ansible = {name: "" for name, value in defaults.items() if str(value).startswith("{{")}
    of_ansible |= {"stampede_start_delay": "2s", "stampede_watch_interval": 5}
    folders = {"stampede_results_dir": str(tmp_path / "results"), "stampede_work_dir": str(tmp_path / "runs")}
    return defaults | of_ansible | folders | variables | {"stampede_secrets": {"key": "hush"}}


def check(variables: dict[str, Any], hosts: int = 3) -> CheckedRun:
    return check_run(variables, variables.keys(), hosts, REPOSITORY)


def refused(variables: dict[str, Any]) -> list[str]:
    with pytest.raises(BadInput) as caught:
        check(variables)
    return caught.value.sentences


def test_what_is_noticed_of_the_script_is_told_once(run_variables: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("async def script(holder):\n    await holder.connect('issuer')\n")
    run = run_variables | {"stampede_script": str(tmp_path / "own.py"), "stampede_duration": "5m"}
    fleet = {"load-1": run, "load-2": run | {"stampede_step_timeout": "50s"}}
    (notice,) = check_run(run, run.keys(), 2, REPOSITORY, fleet).notices
    assert notice.startswith("The run is to last 300 s, but a holder is through with ")
    assert check(run_variables).notices == []


def test_a_run_that_may_begin(run_variables: dict[str, Any], tmp_path: Path) -> None:
    run = check(run_variables)
    assert (run.id, run.dir) == ("test-run", str(tmp_path / "runs/test-run"))
    assert run.results == str(tmp_path / "results/test-run")
    assert (run.start_delay, run.stop_timeout) == (2.0, 80.0)
    assert run.versions.keys() == {"stampede-vc", "ansible-core"}
    assert run.settings == {name: value for name, value in run_variables.items() if name != "stampede_secrets"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"holder": 3}, "stampede_holder is not a Stampede variable; did you mean stampede_holders?"),
        ({"holders": 0}, "stampede_holders is 0; it must be a whole number of 1 or more"),
        ({"fail_on_errors": "perhaps"}, "stampede_fail_on_errors is 'perhaps'; it must be true or false"),
        ({"max_clock_offset": "close"}, "stampede_max_clock_offset is 'close'; it must be a number of seconds or a"),
        ({"reference_timeout": "x"}, "stampede_reference_timeout is 'x'; it must be a number of seconds or a dur"),
        ({"start_delay": -1}, "stampede_start_delay is -1; it must be a number of seconds or a duration such as"),
        ({"secrets": "hush"}, "stampede_secrets is a text; it must be a mapping of names to texts"),
        ({"services": "none"}, "stampede_services is 'none'; it must map at least one service name"),
        ({"compare_with": "nowhere"}, "stampede_compare_with is 'nowhere', but"),
        ({"script": "nothing"}, "stampede_script is 'nothing'; it must be one of"),
    ],
)
def test_runs_that_must_not_begin(run_variables: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    (found,) = refused(run_variables | {f"stampede_{name}": value for name, value in change.items()})
    assert found.startswith(sentence)


def test_a_script_that_gets_no_holder_is_refused(run_variables: dict[str, Any]) -> None:
    scripts = [{"script": "conversation"}, {"script": "issue_present_revoke", "weight": 500}]
    change = {"scripts": scripts, "holders": 2, "thresholds": ["ping p95 of conversation < 3 s"]}
    assert refused(run_variables | {f"stampede_{name}": value for name, value in change.items()}) == [
        "stampede_scripts[0].weight is 1, by which none of the run's 2 holders takes conversation; it must be more, "
        "or the run must have more holders"
    ]


def test_all_problems_of_a_run_are_told_at_once(run_variables: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "runs/test-run").mkdir(parents=True)
    wrong = {"stampede_holders": "x", "stampede_local": "x", "stampede_min_hosts": 4, "stampede_nothing": 1}
    names = [sentence.split()[0] for sentence in refused(run_variables | wrong)]
    assert sorted(names) == sorted([*wrong, "stampede_run_id"])


@pytest.mark.parametrize("switch", [True, False, "yes", "No", "on", "off", 1, 0, "1", "0", "true", "FALSE", "t", "f"])
def test_switches_are_spelled_as_in_ansible(run_variables: dict[str, Any], switch: object) -> None:
    check(run_variables | {"stampede_fail_on_errors": switch})


@pytest.mark.parametrize(("value", "right"), [(0, True), ("3", True), (4, False), (-1, False), ("two", False)])
def test_no_more_hosts_can_be_asked_for_than_there_are(
    run_variables: dict[str, Any], value: object, right: bool
) -> None:
    changed = run_variables | {"stampede_min_hosts": value}
    if right:
        check(changed)
    else:
        (sentence,) = refused(changed)
        assert sentence.startswith(f"stampede_min_hosts is {value!r}; it must be a whole number")


@pytest.mark.parametrize(
    ("changes", "weights", "sentence"),
    [
        ({"holders": 2}, [4, 2, 1], "stampede_holders is 2, of which c would get none; let there be more of them"),
        ({"holders": 4}, [2, 1, 1], ""),
        ({"holders": 4}, [99, 1, 1], "stampede_holders is 4, of which b would get none"),
        ({"holders": 4}, [99, 1, 0], ""),
        ({"holders": 2}, [0, 0, 0], "stampede_holders is 2, of which c would get none"),
        ({"holders": 2, "min_hosts": 2}, [4, 2, 1], "stampede_holders is 2, of which c would get none"),
        (
            {"iterations": 2, "iterations_per": "run"},
            [4, 2, 1],
            "stampede_iterations is 2, of which c would get none",
        ),
        ({"stages": [{"holders": 2, "for": "1m"}]}, [4, 2, 1], ""),
    ],
)
def test_each_host_gets_some(
    run_variables: dict[str, Any], changes: dict[str, Any], weights: list[float], sentence: str
) -> None:
    run = run_variables | {f"stampede_{name}": value for name, value in changes.items()}
    hosts = {host: run | {"stampede_weight": weight} for host, weight in zip("abc", weights, strict=True)}
    if not sentence:
        check_run(hosts["a"], run.keys(), 3, REPOSITORY, hosts)
        return
    with pytest.raises(BadInput) as refused:
        check_run(hosts["a"], run.keys(), 3, REPOSITORY, hosts)
    (said,) = refused.value.sentences
    assert said.startswith(sentence)


def test_a_run_ends_before_its_hosts_do(run_variables: dict[str, Any]) -> None:
    settings = run_variables | {"stampede_duration": "10m"}
    check(settings | {"stampede_expires": time.time() + 3600})
    (sentence,) = refused(settings | {"stampede_expires": time.time() + 615})
    assert re.match("stampede_expires is [0-9]+: the host ends itself in 10 min 1[45] s, and the run", sentence)
    (sentence,) = refused(settings | {"stampede_expires": 1000})
    assert "the host ends itself now" in sentence


def test_a_run_without_a_set_end_does_as_far_as_simulated_holders_tell(run_variables: dict[str, Any]) -> None:
    settings = run_variables | {
        "stampede_duration": 0,
        "stampede_ramp_up": 0,
        "stampede_iterations": 10,
        "stampede_warm_up": 0,
        "stampede_wait_min": 60,
        "stampede_wait_max": 60,
        "stampede_presentations_min": 1,
        "stampede_presentations_max": 1,
    }
    check(settings | {"stampede_expires": time.time() + 3600})
    (sentence,) = refused(settings | {"stampede_expires": time.time() + 900})
    assert re.search("in 1[45] min.*, and the run needs 2[5-7] min.*; make new hosts, or shorten", sentence)


def test_a_run_without_a_name_is_called_after_the_time(run_variables: dict[str, Any]) -> None:
    run_id = run_id_by_time()
    assert check(run_variables | {"stampede_run_id": run_id}).id == run_id


def test_a_results_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "results"
    (sentence,) = unwritable(folder, "stampede_results_dir", str(folder))
    assert sentence.startswith(f"stampede_results_dir is '{folder}', but {folder} cannot be written (")
    assert unwritable(tmp_path / "new" / "results", "stampede_results_dir", "new/results") == []
    assert not (tmp_path / "new").exists()


def test_a_run_is_compared_only_with_the_results_of_a_run(tmp_path: Path) -> None:
    (sentence,) = nothing_to_compare_with(str(tmp_path), REPOSITORY)
    assert sentence.startswith(f"stampede_compare_with is '{tmp_path}', but {tmp_path} holds no journal")
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1" / "journal.lp.gz").touch()
    assert nothing_to_compare_with(str(tmp_path), REPOSITORY) == []
    assert nothing_to_compare_with("", REPOSITORY) == []


class TestCaFiles:
    def test_copies_have_names_of_their_own_on_the_host(self) -> None:
        variables = {
            "stampede_ca_file": "/here/ca.pem",
            "stampede_influxdb_ca_file": "/here/influx.pem",
            "stampede_otlp_ca_file": "/here/otlp.pem",
            "stampede_services": {"influxdb": {"ca_file": "/here/service.pem"}, "issuer": {}},
        }
        copied, files = copied_ca_files(variables, "/there")
        assert files == {
            "ca.pem": "/here/ca.pem",
            "ca-influxdb.pem": "/here/influx.pem",
            "ca-otlp.pem": "/here/otlp.pem",
            "influxdb-ca.pem": "/here/service.pem",
        }
        assert copied["stampede_ca_file"] == "/there/ca.pem"
        assert copied["stampede_influxdb_ca_file"] == "/there/ca-influxdb.pem"
        assert copied["stampede_services"] == {"influxdb": {"ca_file": "/there/influxdb-ca.pem"}, "issuer": {}}
        assert variables["stampede_ca_file"] == "/here/ca.pem", "left as it was"

    def test_paths_may_be_relative_to_the_repository(self) -> None:
        relative = {"stampede_ca_file": "ca.pem", "stampede_influxdb_ca_file": "", "stampede_services": "wrong"}
        assert absolute_ca_files(relative, Path("/repo")) == relative | {"stampede_ca_file": "/repo/ca.pem"}
        home = absolute_ca_files({"stampede_services": {"i": {"ca_file": "~/ca.pem"}}}, Path("/repo"))
        assert home == {"stampede_services": {"i": {"ca_file": str(Path("~/ca.pem").expanduser())}}}


def test_a_host_gets_its_share_in_its_script(run_variables: dict[str, Any]) -> None:
    variables = run_variables | {"stampede_ca_file": "/here/ca.pem"}
    share = {"stampede_holders": 2, "stampede_first_holder": 1}
    script, files = render_for_host(
        variables, REPOSITORY, share=share, postgresql_url="postgresql://s@127.0.0.1:5432", ca_dir="/there"
    )
    assert files == {"ca.pem": "/here/ca.pem"}
    for line in (
        "'stampede_holders': 2,",
        "'stampede_first_holder': 1,",
        "'stampede_ca_file': '/there/ca.pem',",
        "'stampede_postgresql_url': 'postgresql://s@127.0.0.1:5432',",
    ):
        assert line in script
    script, files = render_for_host(variables, REPOSITORY, share={}, postgresql_url="", ca_dir="")
    assert "'stampede_ca_file': '/here/ca.pem'," in script
    assert files == {}


def test_a_forecast_is_what_the_script_says(run_variables: dict[str, Any]) -> None:
    assert "A run of 4 holders would take about" in forecast(run_variables, REPOSITORY)


def test_every_duration_is_given_to_templates_in_seconds() -> None:
    durations = {
        "stampede_arm_timeout": "5m",
        "stampede_wait_min": "1.5s",
        "stampede_seed": 42,
        "stampede_drain": "x",
    }
    assert in_seconds(durations) == {"stampede_arm_timeout": 300, "stampede_wait_min": 1.5}
