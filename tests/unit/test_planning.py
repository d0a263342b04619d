"""Plans: what a run will take, by what a finished one cost."""

from __future__ import annotations

import gzip
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_samples as samples

from stampede.cli import READER_GONE, main
from stampede.planning.calibration import calibrate
from stampede.planning.command import extra_variables
from stampede.planning.order_statistics import Ranks, interval, samples_needed
from stampede.planning.plan import Asked
from stampede.planning.planner import Wanted, make_plan
from stampede.planning.step_costs import Observed, fit_costs
from stampede.prepare.rendering import render_script
from stampede.prepare.trial import script_work
from stampede.schema.errors import BadInput

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_interval_of_a_median_is_that_of_the_tables() -> None:
    # Conover, "Practical Nonparametric Statistics", table A3: n = 20, p = 0.5.
    assert interval(20, 50) == Ranks(6, 15)


def test_few_samples_have_no_interval_for_a_high_percentile() -> None:
    least = math.ceil(math.log(0.025) / math.log(0.99))  # the largest sample is above p99 with 97.5 %
    assert interval(least - 1, 99) is None
    assert interval(least, 99) is not None


@pytest.mark.parametrize(("percentile", "about"), [(50, 384), (95, 292), (99, 1521)])
def test_samples_needed_are_about_those_of_the_normal_approximation(percentile: float, about: int) -> None:
    assert samples_needed(percentile) == pytest.approx(about, rel=0.1)


def observed(costs: dict[str, float], *, idle: float, intervals: int = 60) -> Observed:
    random = np.random.default_rng(7)
    steps = random.poisson(8, (intervals, len(costs))).astype(float)
    there = np.full(intervals, 10.0)
    cpu = steps @ np.array([*costs.values()]) + idle * there
    return Observed((*costs,), steps, cpu + random.normal(0, 0.01, intervals), there)


def test_known_costs_are_recovered() -> None:
    known = {"connect": 0.12, "present_proof": 0.05, "ping": 0.004}
    found = fit_costs(observed(known, idle=0.02), 0.02)
    assert dict(found.steps) == pytest.approx(known, abs=0.003)
    assert all(found.is_told_apart(step) for step in known)
    assert found.of({"connect": 2.0}, processes=3) == pytest.approx(0.3, abs=0.01)
    low, high = found.span({"connect": 2.0}, processes=3)
    assert low <= found.of({"connect": 2.0}, processes=3) <= high


def test_steps_that_come_together_are_not_told_apart_but_their_sum_is_kept() -> None:
    rounds = np.arange(20.0) % 5 + 1
    steps = np.column_stack([rounds, rounds])
    found = fit_costs(Observed(("a", "b"), steps, steps @ np.array([0.1, 0.02]), np.full(20, 5.0)), None)
    assert not found.is_told_apart("a")
    assert sum(found.steps.values()) == pytest.approx(0.12, rel=0.02)


def test_the_work_of_a_script_is_that_of_its_rounds(variables: dict[str, Any]) -> None:
    settings = variables | {
        "stampede_script": "issue_present_revoke",
        "stampede_wait_min": 10,
        "stampede_wait_max": 20,
        "stampede_presentations_min": 2,
        "stampede_presentations_max": 2,
    }
    work = script_work(settings, REPOSITORY)
    assert work.has_rounds
    assert work.round.counts()["present_proof"] == pytest.approx(2)
    assert work.arrival.counts()["connect"] == 1
    assert work.round.between == pytest.approx(3 * 15, rel=0.02)  # two presentations and a revocation
    assert work.round.requests["verifier"] >= 2


NESTED = """
from stampede import Holder

async def script(holder: Holder) -> None:
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    async for _ in holder.until_end_of_run():
        async with holder.step("present_proof"):
            async with holder.step("request_revocation"):
                await holder.receive_credential(issuer)
        await holder.receive_credential(issuer)
        await holder.wait(2)
"""
"""With names of which the calibration has times."""


def test_the_time_of_a_step_within_a_step_is_in_that_of_the_outer_one(
    variables: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "nested.py").write_text(NESTED)
    work = script_work(variables | {"stampede_script": "nested.py"}, tmp_path)
    assert work.round.between == pytest.approx(2)
    assert {each.step: (each.count, each.outermost) for each in work.round.steps} == {
        "present_proof": (1, 1),
        "request_revocation": (1, 0),
        "receive_credential": (2, 1),
    }
    assert all(each.outermost == each.count for each in work.arrival.steps)


def test_a_task_that_outlasts_the_step_in_which_it_was_started_is_in_none(
    variables: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "task.py").write_text(
        "import asyncio\n"
        "async def later(holder, issuer):\n"
        "    await holder.wait(1)\n"
        "    await holder.receive_credential(issuer)\n"
        "async def script(holder):\n"
        "    issuer = await holder.connect('issuer')\n"
        "    async for _ in holder.until_end_of_run():\n"
        "        async with holder.step('begin'):\n"
        "            task = asyncio.create_task(later(holder, issuer))\n"
        "        await task\n"
    )
    work = script_work(variables | {"stampede_script": "task.py"}, tmp_path)
    assert {each.step: each.outermost for each in work.round.steps} == {"begin": 1, "receive_credential": 1}
    assert work.round.between == pytest.approx(1)


def test_variables_are_given_as_the_playbooks_take_them(tmp_path: Path) -> None:
    file = tmp_path / "more.yml"
    file.write_text("stampede_holders: 5\n")
    found = extra_variables(["stampede_wait_min=1 stampede_wait_max=2", '{"stampede_stages": []}', f"@{file}"])
    assert found == {
        "stampede_wait_min": "1",
        "stampede_wait_max": "2",
        "stampede_stages": [],
        "stampede_holders": 5,
    }


@pytest.mark.parametrize("text", ["stampede_wait_mni=1", "5", "@/nowhere.yml", '{"a', "'"])
def test_wrong_variables_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        extra_variables([text])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--holders", "0"],
        ["--rate", "0/s"],
        ["--arrivals", "2/day"],
        ["--holders", "5", "--rate", "1/s"],
        ["--target", "5/s"],
        ["--target", "verifier=0/s"],
        ["--target", "verifier=5/s", "--holders", "5"],
        ["--holders", "5", "--percentile", "100"],
        ["--holders", "5", "--utilisation", "1.5"],
        ["--holders", "5", "--memory-per-host", "lots"],
        [],
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["plan", "results/x", *arguments])
    assert exit_.value.code == 2
    assert "stampede plan: error:" in capsys.readouterr().err


def test_results_that_are_not_there_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tmp_path / "none"), "--holders", "5"]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.fixture
def results(tmp_path: Path, variables: dict[str, Any]) -> Path:
    """A run of two hosts as a calibration, of the shipped script as it is."""
    settings = {
        **variables,
        "stampede_script": "issue_present_revoke",
        "stampede_wait_min": 3,
        "stampede_wait_max": 9,
        "stampede_presentations_min": 1,
        "stampede_presentations_max": 4,
    }
    sample = samples.Sample(holders=40, duration=200, ramp=40, failures=False)
    settings |= {"stampede_holders": 80, "stampede_ramp_up": "40s", "stampede_duration": "200s"}
    sample.settings = settings
    folder = samples.write_results(tmp_path / "calibration", sample)
    for host in sample.hosts:
        (folder / host / "controller_script.py").write_text(render_script(settings, REPOSITORY / "templates"))
        record = json.loads((folder / host / "host.json").read_text())
        (folder / host / "host.json").write_text(json.dumps(record | {"cores": 4, "memory": 8_000_000_000}))
    return folder


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code = main(["plan", *arguments, "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    found: dict[str, Any] = json.loads(captured.out)
    return found


def test_a_plan_of_whole_results(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = planned(capsys, str(results), "--holders", "80")
    rounds = 80 / same["round"]
    assert same["rounds_per_second"] == pytest.approx(rounds)
    by_rate = planned(capsys, str(results), "--rate", f"{rounds}/s")
    assert 80 < by_rate["holders"] <= 110, "Little's law, the other way round, and room for when more are busy"
    slower = planned(capsys, str(results), "--holders", "80", "-e", "stampede_wait_min=30 stampede_wait_max=90")
    assert slower["round"] == pytest.approx(same["round"] + 3.5 * (60 - 6), rel=0.05)
    assert slower["agents_cpu"]["steady"] < same["agents_cpu"]["steady"]
    many = planned(capsys, str(results), "--holders", "8000", "--price-per-host-hour", "0.5", "--duration", "2h")
    assert many["hosts"]["number"] > 5
    assert many["price"]["total"] == pytest.approx(many["hosts"]["number"])
    assert many["price"]["by_started_hours"] == pytest.approx(many["hosts"]["number"])
    assert planned(capsys, str(results), "--holders", "80")["price"] is None
    known = planned(capsys, str(results), "--holders", "80", "-e", "stampede_price=0.2", "--duration", "90m")
    of_hosts, hosts = known["price"], known["hosts"]["number"]
    assert of_hosts["total"] == pytest.approx(0.2 * 1.5 * hosts)
    assert of_hosts["by_started_hours"] == pytest.approx(0.2 * 2 * hosts)
    visit = planned(capsys, str(results), "--arrivals", "2/s")
    assert 2 * visit["visit"] < visit["holders"] <= 1.25 * 2 * visit["visit"]
    at_random = planned(capsys, str(results), "--arrivals", "2/s", "-e", "stampede_arrivals=poisson")
    assert at_random["holders"] > visit["holders"]


def test_a_planned_round_has_the_time_of_a_step_within_a_step_once(results: Path, tmp_path: Path) -> None:
    (tmp_path / "nested.py").write_text(NESTED)
    calibration = calibrate(results, REPOSITORY, in_spite_of_bottleneck=False)
    calibration = replace(calibration, settings={**calibration.settings, "stampede_script": "nested.py"})
    plan = make_plan(calibration, Wanted(Asked("holders", 10), {}), tmp_path)
    took = {name: step.service_time for name, step in calibration.steps.items()}
    assert plan.round == pytest.approx(took["present_proof"] + took["receive_credential"] + 2)
    assert plan.think_time == pytest.approx(2)
    assert plan.steps["receive_credential"].per_second == pytest.approx(2 * plan.rounds_per_second)


def test_a_plan_for_what_a_service_is_to_bear(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_rate = planned(capsys, str(results), "--rate", "2/s")
    requests, steps = by_rate["services"]["verifier"]["requests"], by_rate["steps"]["present_proof"]["per_second"]
    for target in (f"verifier={requests}/s", f"present_proof={steps}/s"):
        found = planned(capsys, str(results), "--target", target)
        assert found["rounds_per_second"] == pytest.approx(2)
        assert found["holders"] == by_rate["holders"]


def test_more_hosts_than_a_plan_has_and_a_host_without_room(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(results), "--rate", "1e6/s", "--duration", "3m"]) == 2
    assert re.search(
        "The load needs [0-9]+,[0-9]{3},[0-9]{3} load hosts .limited by cpu., but a", capsys.readouterr().err
    )
    assert main(["plan", str(results), "--holders", "80", "--memory-per-host", "1MB"]) == 2
    assert "controller alone fill it by memory; plan larger hosts" in capsys.readouterr().err


def test_a_target_that_the_script_does_not_have_is_refused(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(results), "--target", "verifer=5/s"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--target is about 'verifer'" in said
    assert "a service (issuer, verifier), or a step (" in said and "present_proof" in said
    assert main(["plan", str(results), "--target", "connect_to_mediator=5/s"]) == 2, "once, when a holder arrives"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stampede_load_model": "opne"}, "stampede_load_model is 'opne' by -e"),
        ({"stampede_stages": [{"holders": 5}]}, "stampede_stages is [{'holders': 5}] by -e"),
        ({"stampede_warm_up": "1m"}, "stampede_warm_up is '1m' by -e"),
        ({"stampede_holders": 50}, "stampede_holders is 50 by -e"),
        ({"stampede_rate": "5/s"}, "stampede_rate is '5/s' by -e"),
    ],
)
def test_a_setting_that_a_plan_does_not_go_by_is_refused(
    given: dict[str, Any], said: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(results), "--holders", "80", "-e", json.dumps(given)]) == 2
    error = " ".join(capsys.readouterr().err.split())
    way = "leave it out, and say the load by --holders, --rate, --arrivals or --target"
    assert error == f"stampede plan: {said}, and a plan does not go by it; {way}"


def test_a_duration_that_is_not_longer_than_the_ramp_up_is_refused(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in (["--duration", "40s"], ["-e", "stampede_duration=40s"], ["--rate", "1/s", "--duration", "5s"]):
        asked = [] if "--rate" in given else ["--holders", "10"]
        assert main(["plan", str(results), *asked, *given]) == 2
        error = " ".join(capsys.readouterr().err.split())
        assert re.fullmatch(
            r"stampede plan: The duration is (40|5\.0) s; it must be longer than the ramp-up, 40 s: give a longer "
            r"--duration, or a shorter -e stampede_ramp_up",
            error,
        )
    assert planned(capsys, str(results), "--holders", "10", "--duration", "41s")["duration"] == 41
    assert planned(capsys, str(results), "--arrivals", "1/s", "--duration", "5s")["duration"] == 5


@pytest.mark.parametrize(("pickup", "each"), [("websocket", 1), ("http", 0), ("none", 0)])
def test_sockets_of_a_few_holders_are_those_of_phones(
    pickup: str, each: int, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Connections that are kept among agents and services grow with the first holders, and not with the next."""
    give_sockets(results, 60, 7)
    record = json.loads((results / "run.json").read_text())
    record["settings"]["stampede_mediator_pickup"] = pickup
    (results / "run.json").write_text(json.dumps(record))
    plan = planned(capsys, str(results), "--holders", "800")
    kept = 60 + 7 * 40 - 40 * each
    assert plan["sockets"] == pytest.approx(plan["hosts"]["number"] * kept + 800 * each)
    assert any(sentence.startswith("A holder has 1 socket;") for sentence in plan["assumed"]) == bool(each)


def give_sockets(results: Path, base: int, each: int) -> None:
    """Note sockets in the journals' samples of the host: ``base``, and ``each`` for each active holder."""
    for journal in results.glob("*/journal.lp.gz"):
        lines = gzip.decompress(journal.read_bytes()).decode().splitlines(keepends=True)
        for number, line in enumerate(lines):
            if line.startswith("load,") and (active := re.search(r"active=(\d+)i", line)):
                fields, time = line.rsplit(" ", 1)
                lines[number] = f"{fields},sockets={base + each * int(active[1])}i {time}"
        journal.write_bytes(gzip.compress("".join(lines).encode()))


def test_a_plan_beside_the_run_that_it_came_from(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = results.parent / "plan.json"
    planned(capsys, str(results), "--holders", "80", "--output", str(plan))
    found = compared(capsys, plan, results)
    by_name = {each["figure"]: each for each in found["figures"]}
    assert by_name["holders"]["ratio"] == 1
    steps, cpu = by_name["steps"], by_name["CPU of agents"]
    assert steps["ratio"] == pytest.approx(steps["used"] / steps["planned"])
    made_up = 2 * 2 * 0.72  # cores, of two agents on each of two hosts
    assert cpu["used"] == pytest.approx(made_up, rel=0.1)
    assert found["warnings"] == []


@pytest.mark.parametrize(
    ("asked", "figure", "per_second"),
    [
        (("--arrivals", "4/s"), "arrivals", 4),
        (("--target", "present_proof=2/s"), "present_proof", 2),
        (("--target", "verifier=2/s"), "", 0),
        (("--rate", "2/s"), "rounds", 2),
    ],
)
def test_what_was_asked_for_is_compared_where_journals_have_it(
    asked: tuple[str, str], figure: str, per_second: float, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = results.parent / "plan.json"
    planned(capsys, str(results), *asked, "--output", str(plan))
    figures = {each["figure"]: each for each in compared(capsys, plan, results)["figures"]}
    assert figures.keys() & {"arrivals", "present_proof"} == {figure} - {"rounds", ""}
    if figure:
        assert figures[figure]["planned"] == pytest.approx(per_second)
    if figure == "arrivals":
        assert figures[figure]["used"] == pytest.approx(2, rel=0.02), "each host's load records have one a second"
    if figure == "present_proof":
        of_verifier = figures["steps of verifier"]["used"]
        assert 0 < figures[figure]["used"] <= 1.05 * of_verifier, "only they are about the verifier"


def test_a_steady_phase_that_is_shorter_than_a_round_is_told(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, waits = results.parent / "plan.json", "stampede_wait_min=60 stampede_wait_max=120"
    planned(capsys, str(results), "--holders", "80", "-e", waits, "--output", str(plan))
    warnings = compared(capsys, plan, results)["warnings"]
    assert any(
        re.match(r"The steady phase lasted 2 min 40 s, and a round \d min.*: steps", each) for each in warnings
    )


def test_a_run_that_went_on_to_its_next_stage_early_was_steady_from_then_on(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = results.parent / "plan.json"
    planned(capsys, str(results), "--holders", "80", "--output", str(plan))
    record = json.loads((results / "run.json").read_text())
    record["settings"]["stampede_stages"] = [
        {"holders": 70, "over": "40s"},
        {"holders": 70, "for": "100s"},
        {"holders": 80, "for": "100s"},
    ]
    (results / "run.json").write_text(json.dumps(record))
    until_drained = pytest.approx(65, abs=0.1)
    assert compared(capsys, plan, results)["seconds"] == until_drained, "from the planned 140 s on"
    go_on(results, after=60)
    assert compared(capsys, plan, results)["seconds"] == 100, "for as long as the stage lasts"


def go_on(results: Path, *, after: float) -> None:
    """Note in the journals that all hosts have gone on to the next stage, ``after`` seconds from the start."""
    moment = samples.START + after
    for host in samples.Sample().hosts:
        head = samples.tags("event", host, kind="next_stage")
        line = f'{head} text="stage 3",value={after} {moment * samples.SECOND}'
        journal = results / host / "journal.lp.gz"
        lines = gzip.decompress(journal.read_bytes()).decode().splitlines()
        number = sum(int(each.rpartition(" ")[2]) < moment * samples.SECOND for each in lines)
        journal.write_bytes(gzip.compress("\n".join([*lines[:number], line, *lines[number:], ""]).encode()))


def compared(capsys: pytest.CaptureFixture[str], plan: Path, results: Path) -> dict[str, Any]:
    code = main(["compare", str(plan), str(results), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    found: dict[str, Any] = json.loads(captured.out)
    return found


def test_a_reader_that_has_seen_enough_is_no_error(results: Path) -> None:
    stampede = Path(sys.executable).with_name("stampede")
    with subprocess.Popen(
        [stampede, "plan", results, "--holders", "80"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as planning:
        assert planning.stdout and planning.stderr
        planning.stdout.close()
        assert planning.stderr.read() == ""
    assert planning.returncode == READER_GONE


def test_a_script_that_has_changed_is_not_planned_by(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for script in results.glob("*/controller_script.py"):
        script.write_text(script.read_text().replace("holder.present_proof", "holder.present_more"))
    assert main(["plan", str(results), "--holders", "5"]) == 2
    assert "has been changed since" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"kind": "stampede plan", "version": 1}), "null"])
def test_a_file_that_is_no_plan_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(text)
    assert main(["compare", str(plan), str(tmp_path)]) == 2
    assert f"{plan} cannot be read" in capsys.readouterr().err
