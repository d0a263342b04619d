"""Two runs side by side: alike is no difference, a slow verifier is slower in present_proof alone."""

import asyncio
import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_samples as samples
from rich.console import Console
from test_report_page import Page

from controller.holder.holder import Holder
from controller.load.virtual_time import VirtualTimeLoop
from controller.metrics.journal import Journal
from controller.run.run import Run
from controller.run.simulated import SimulatedServices, SimulatedWallet, SimulatedWallets
from stampede.cli import main
from stampede.comparison import noise
from stampede.comparison.runs import compare_runs
from stampede.comparison.terminal import text
from stampede.schema.settings.run_settings import Settings

QUIET = {"holders": 40, "duration": 200, "ramp": 20, "failures": False}


def write(folder: Path, **more: Any) -> Path:
    return samples.write_results(folder, samples.Sample(**QUIET | more))


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {name: step["verdict"] for name, step in found["steps"].items()}


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("runs") / "one")


# ------------------------------------------------------------------ the statistics


def drifting(rng: np.random.Generator, records: int, *, median: float = 0.5, remembered: float = 5.0) -> np.ndarray:
    """Step times, ten a second, of a service whose load drifts by 30 % and is remembered for some seconds."""
    remains = np.exp(-0.1 / remembered)
    load = rng.normal()
    loads = []
    for shock in rng.normal(size=records):
        load = remains * load + np.sqrt(1 - remains**2) * shock
        loads.append(load)
    return median * np.exp(0.3 * np.array(loads) + 0.4 * rng.normal(size=records))


@pytest.mark.parametrize("percentile", [50, 95])
@pytest.mark.parametrize("records", [1000, 3000])
def test_of_runs_that_are_alike_few_differ_although_their_records_hang_together(percentile, records):
    chances = []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        chances.append(noise.chance_of_times(drifting(rng, records), drifting(rng, 2 * records), percentile))
    assert sum(chance < 0.05 for chance in chances) <= 6  # 2.5 are to be expected
    assert sum(chance < 0.01 / 16 for chance in chances) <= 1


def test_records_taken_for_independent_would_differ():
    """What the blocks are for: the same runs by the sign of a two-sample test over single records."""
    found = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        a, b = drifting(rng, 3000), drifting(rng, 3000)
        above = [int((times > np.median([a, b])).sum()) for times in (a, b)]
        found += noise.chance_of_shares(above[0], 3000, above[1], 3000) < 0.05
    assert found > 20


def test_a_service_twice_as_slow_is_found():
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found += noise.chance_of_times(drifting(rng, 3000), drifting(rng, 3000, median=1.0), 50) < 0.01 / 16
    assert found >= 16


def test_too_few_records_tell_nothing():
    times = np.linspace(0.1, 0.2, 39)
    assert noise.chance_of_times(times, np.tile(times, 100), 50) is None
    assert noise.chance_of_times(np.tile(times, 4), np.tile(times, 100), 95) is None
    assert noise.chance_of_times(np.linspace(0.1, 0.2, 40), np.tile(times, 100), 50) is not None


def test_times_that_are_all_the_same_do_not_differ():
    assert noise.chance_of_times(np.full(100, 0.5), np.full(300, 0.5), 50) == 1.0
    assert noise.chance_of_times(np.full(100, 0.5), np.full(300, 0.7), 50) == 0.0


@pytest.mark.parametrize(
    ("t", "freedom", "chance"),
    [(0, 5, 1), (2.0, 10, 0.0733880), (12.706205, 1, 0.05), (2.093024, 19, 0.05), (3.883406, 19, 0.001)],
)
def test_students_distribution(t, freedom, chance):
    assert noise.student(t, freedom) == pytest.approx(chance, rel=1e-4)
    assert noise.student(-t, freedom) == pytest.approx(chance, rel=1e-4)


@pytest.mark.parametrize(
    ("counts", "chance"),
    [((3, 4, 1, 4), 34 / 70), ((1, 10, 11, 14), 0.002759), ((0, 100, 0, 50), 1.0), ((0, 20_000, 60, 20_000), 0.0)],
)
def test_fishers_exact_test(counts, chance):
    assert noise.chance_of_shares(*counts) == pytest.approx(chance, rel=1e-3, abs=1e-12)


def test_many_tests_share_one_level():
    assert noise.holm([0.04, 0.01, None, 0.03]) == [0.06, 0.03, None, 0.06]
    assert noise.holm([0.9, 0.8]) == [1.0, 1.0]


# ------------------------------------------------------------------ runs


@pytest.mark.parametrize("seed", [100, 200, 300])
def test_two_runs_of_the_same_load_show_no_difference(one, tmp_path, seed):
    found = compare_runs(one, write(tmp_path / "other", seed=seed)).to_json()
    assert found["outcome"] == "no_difference"
    assert set(verdicts(found).values()) == {"no_difference"}
    assert found["headline"] == "No difference beyond noise"


def test_a_slow_verifier_is_slower_in_present_proof_only(one, tmp_path, monkeypatch):
    monkeypatch.setitem(samples.TIMES, "present_proof", (1.1, 0.4))
    found = compare_runs(one, write(tmp_path / "slow", seed=100)).to_json()
    assert [name for name, verdict in verdicts(found).items() if verdict != "no_difference"] == ["present_proof"]
    assert found["steps"]["present_proof"]["verdict"] == "slower"
    assert found["headline"] == "present_proof is slower"
    assert re.match(r"present_proof: p50 [\d.]+ s, was [\d.]+ m?s \(\+\d+ %, p < 0.001\)", found["findings"][0])
    back = compare_runs(tmp_path / "slow", one).to_json()
    assert back["headline"] == "present_proof is faster"


class SlowVerifier(SimulatedWallet):
    async def present_proof(self, invitation: Any) -> None:
        await asyncio.sleep(1.0)
        await super().present_proof(invitation)


class Wallets(SimulatedWallets):
    def __init__(self, seed: int, kind: type[SimulatedWallet]) -> None:
        super().__init__(seed)
        self._kind = kind

    def get(self, number: int) -> SimulatedWallet:
        return self._kind(f"{self._seed}:{number}")


def simulate(folder: Path, settings: Settings, wallets: Wallets) -> Path:
    """A run on virtual time, whose holders go through the mission's steps; returns its results."""

    async def script(holder: Holder) -> None:
        issuer = await holder.connect("issuer")
        await holder.receive_credential(issuer)
        async for _ in holder.until_end_of_run():
            await holder.wait(1, 5)
            await holder.present_proof("verifier")
            await holder.request_revocation("issuer")
            await holder.receive_revocation_notification(issuer)
            await holder.receive_credential(issuer)

    async def play() -> None:
        run = Run(settings, script, services=SimulatedServices(), wallets=wallets, journal=journal)
        await run.play(run.clock.now())

    (folder / "load-1").mkdir(parents=True)
    with (
        Journal(folder / "load-1" / "journal.lp", {"run": folder.name, "host": "load-1", "scenario": "s"}) as journal,
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
    ):
        runner.run(play())
    return folder


@pytest.mark.slow
def test_the_load_that_a_slow_verifier_takes_off_the_others_does_not_count(tmp_path, variables):
    """In a closed model fewer steps of every kind are done when one is slow; their times stay the same."""
    changed = {"stampede_holders": 30, "stampede_duration": "400s", "stampede_ramp_up": "10s"}
    settings = Settings.from_variables(variables | changed)
    runs = [
        simulate(tmp_path / name, settings, Wallets(seed, kind))
        for name, seed, kind in (("a", 1, SimulatedWallet), ("b", 2, SimulatedWallet), ("slow", 3, SlowVerifier))
    ]
    alike, slow = (compare_runs(runs[0], other).to_json() for other in runs[1:])
    assert alike["outcome"] == "no_difference"
    assert {name for name, verdict in verdicts(slow).items() if verdict == "slower"} == {"present_proof"}
    assert slow["headline"] == "present_proof is slower"
    fewer = slow["steps"]["receive_credential"]
    assert fewer["b"]["ok"] < 0.95 * fewer["a"]["ok"]


def test_steps_that_fail_more_often(one, tmp_path):
    other = samples.write_results(tmp_path / "other", samples.Sample(**QUIET | {"seed": 100}), packed=False)
    with (other / "load-1" / "journal.lp").open("a") as journal:
        for number in range(60):
            at = samples.START + 9 + number
            journal.write(samples.step_line("load-1", "connect", at, 60, outcome="failed", error="timeout") + "\n")
    found = compare_runs(one, other).to_json()
    assert found["headline"] == "connect fails more often"
    assert found["findings"][0].startswith("connect: 43 % failed, was 0 % (p < 0.001)")
    assert compare_runs(other, one).to_json()["headline"] == "connect fails less often"


def test_a_step_of_one_run_only_and_one_with_few_records(one, tmp_path):
    other = samples.write_results(tmp_path / "other", samples.Sample(**QUIET | {"seed": 100}), packed=False)
    with (other / "load-1" / "journal.lp").open("a") as journal:
        journal.write(samples.step_line("load-1", "ping", samples.START + 9, 1) + "\n")
    found = compare_runs(one, other).to_json()
    assert (found["steps"]["ping"]["verdict"], found["steps"]["ping"]["a"]) == ("only_b", None)
    assert found["headline"] == "ping was executed in one run only"
    few = compare_runs(tmp_path / "other", write(tmp_path / "few", holders=3, duration=20)).to_json()
    assert few["steps"]["connect"]["verdict"] == "too_few"


def test_runs_without_a_step_are_too_few(tmp_path):
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1" / "journal.lp").touch()
    compared = compare_runs(tmp_path, tmp_path)
    assert compared.comparison.outcome == "too_few"
    assert "Too few records to tell" in text(compared.comparison).plain


def test_settings_that_differ_are_named_and_those_of_no_matter_are_not(one, tmp_path):
    verifier = {"verifier": {"invitation": {"url": "https://other.example/invitation", "method": "POST"}}}
    settings = {"stampede_seed": 43, "stampede_run_id": "x", "stampede_wait_max": 9, "stampede_services": verifier}
    settings["stampede_load_model"] = "closed"  # as it was before there was that setting
    found = compare_runs(one, write(tmp_path / "other", seed=100, settings=settings)).to_json()
    assert {its["name"]: (its["a"], its["b"]) for its in found["settings"]} == {
        "stampede_seed": (42, 43),
        "stampede_wait_max": (None, 9),
        "stampede_services.issuer.invitation.method": ("POST", None),
        "stampede_services.issuer.invitation.url": ("https://issuer.example/invitation", None),
        "stampede_services.verifier.invitation.url": (
            "https://verifier.example/invitation",
            "https://other.example/invitation",
        ),
    }
    assert found["warnings"][0].startswith("The runs had different settings: stampede_seed, ")


def test_a_generator_that_was_the_bottleneck_and_an_early_end_are_warned_of(one, tmp_path):
    other = write(tmp_path / "other", seed=100, busy_agent=True, hosts=("load-1",), lost={"load-1": 100})
    warnings = compare_runs(one, other).to_json()["warnings"]
    assert "Run A had 2 load hosts, run B 1." in warnings
    assert "Run B did not finish." in warnings
    assert any(warning.startswith("In run B the load generator was the bottleneck") for warning in warnings)


# ------------------------------------------------------------------ the words


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(samples.TIMES, "present_proof", (1.1, 0.4))
        return write(tmp_path_factory.mktemp("runs") / "slow <b>", seed=100, settings={"stampede_wait_max": 9})


def test_the_terminal_has_both_runs_in_eighty_columns(one, other, capsys):
    assert main(["compare", str(one), str(other)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "present_proof is slower"
    for name, following in pairwise(lines):
        if name.startswith("connect: "):
            assert re.match(r" A +80 +0 ", following)
    assert any("t-test over" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_it_is_coloured_on_a_terminal_alone(one, other):
    comparison = compare_runs(one, other).comparison
    terminal = io.StringIO()
    Console(file=terminal, force_terminal=True, color_system="standard").print(text(comparison))
    assert "\x1b[31m" in terminal.getvalue()


def test_json_is_strict_and_names_the_test(one, other, capsys):
    assert main(["compare", "--json", str(one), str(other)]) == 0

    def refuse(text: str) -> float:
        raise AssertionError(f"{text} in JSON")

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found["steps"]["present_proof"]["p50"]["p"] < 0.001
    assert found["steps"]["present_proof"]["p50"]["ratio"] == pytest.approx(2, rel=0.1)
    assert "paired t-test over blocks" in found["test"] and "Fisher" in found["test"] and "Holm" in found["test"]


def test_a_folder_that_is_no_run_is_named(one, tmp_path, capsys):
    assert main(["compare", str(one), str(tmp_path / "nowhere")]) == 2
    assert re.match(r"stampede compare: The results folder .*nowhere does not exist", capsys.readouterr().err)
    assert main(["compare", str(one), str(one), "--html", str(tmp_path / "none" / "c.html")]) == 2
    assert re.match(r"stampede compare: .*c\.html cannot be written", capsys.readouterr().err)


def test_the_page_stands_alone_and_has_the_charts_of_both_runs(one, other, tmp_path):
    assert main(["compare", str(one), str(other), "--html", str(tmp_path / "c.html")]) == 0
    page = Page((tmp_path / "c.html").read_text())
    assert len(page.contents["script"]) == 2
    data = json.loads(page.contents["script"][0])
    assert set(data["runs"]["a"]) == set(data["runs"]["b"]) == set(data["names"])
    assert len(data["x"]) == max(len(run["connect"]["ok"]) for run in data["runs"].values())
    assert "present_proof is slower" in page.text and "stampede_wait_max" in page.text
    for _, attributes in page.tags:
        assert not {"src", "srcset", "style"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
