"""The search: hosts change their load as told, the conductor tells them, and the report judges it exactly."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples

from controller.holder.holder import Holder, Script
from controller.host.order_file import OrderFile
from controller.load.virtual_time import VirtualTimeLoop
from controller.run.dry_run import dry_run
from controller.run.run import Run
from controller.run.simulated import SimulatedServices, SimulatedWallets
from stampede.analysis.verdict.failure_reasons import failure_reasons
from stampede.fleet.conductor import Conductor, conductor_of
from stampede.fleet.host_view import HostView
from stampede.load_models.interface import Order
from stampede.load_models.search import Search
from stampede.prepare.data_rows import data_problems, rows_of_host
from stampede.report import terminal
from stampede.schema.data_rows import Row, Table, no_row
from stampede.schema.orders import LONGEST, LevelOrder, as_text, read_level_order
from stampede.schema.phases import Phase
from stampede.schema.settings import thresholds
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.state import HolderState, HostState, StepState
from stampede.schema.tally import Tally

P90 = "p90 < 600 ms"
SEARCH: dict[str, Any] = {
    "stampede_load_model": "search",
    "stampede_holders": 12,
    "stampede_stages": [],
    "stampede_thresholds": [P90],
    "stampede_search": {"begin": 2, "settle": "10s", "hold": "20s", "confirm": "30s"},
}


def played(
    variables: dict[str, Any],
    orders: list[tuple[float, int]],
    script: Script | None = None,
    row_of: Callable[[int], Row] = no_row,
    **changes: Any,
) -> tuple[Run, list[tuple[int, float]], Counter[int]]:
    """A run in which orders come; returns levels with their moments, and how many holders were there each second."""
    settings = Settings.from_variables(variables | SEARCH | changes)
    levels: list[tuple[int, float]] = []
    there: Counter[int] = Counter()

    async def looking(holder: Holder) -> None:
        async for _ in holder.until_end_of_run():
            there[int(holder.context.clock.now())] += 1
            async with holder.step("look"):
                pass
            await holder.wait(1)

    async def main() -> Run:
        def tell(holders: int) -> None:
            levels.append((holders, run.clock.now()))

        run = Run(
            settings,
            script or looking,
            services=SimulatedServices(),
            wallets=SimulatedWallets(1),
            on_level=tell,
            row_of=row_of,
        )
        for number, (due, holders) in enumerate(orders, 1):
            give = Order(number, holders, due)
            asyncio.get_running_loop().call_at(due - 2, run.orders.put_nowait, give)
        await run.play(run.clock.now())
        return run

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main()), levels, there


def test_holders_come_evenly_and_leave_at_once(variables: dict[str, Any]) -> None:
    run, levels, there = played(variables, [(40, 8), (80, 3), (120, 5), (160, 0)])
    assert levels == [(2, 0), (8, 40), (3, 80), (5, 120)]
    assert [there[second] for second in (30, 70, 100, 150)] == [2, 8, 3, 5]
    assert 3 <= there[42] <= 6, "in the first half of the time to settle"
    assert run.clock.now() == pytest.approx(160, abs=2)
    assert run.started == 2 + 6 + 2 and run.active == 0


def test_a_holder_whose_script_ends_is_followed_by_another(variables: dict[str, Any]) -> None:
    there: set[int] = set()
    levels: dict[int, int] = {}

    async def visit(holder: Holder) -> None:
        there.add(holder.number)
        for _ in range(3):
            await holder.wait(3)
            levels[int(holder.context.clock.now())] = len(there)
        there.remove(holder.number)

    run, _, _ = played(variables, [(40, 8), (80, 3), (120, 0)], visit)
    assert [levels[second] for second in (36, 78)] == [2, 8]
    assert run.started > 2 * 4 + 8 * 4 + 3 * 4 and run.active == 0
    assert run.clock.now() == pytest.approx(120, abs=2)


def test_scripts_that_fail_at_once_are_not_begun_again_and_again(variables: dict[str, Any]) -> None:
    async def script(holder: Holder) -> None:
        raise ValueError

    run, _, _ = played(variables, [(40, 0)], script, stampede_on_failure="stop")
    assert run.started == pytest.approx(2 * 40, abs=5)


def test_a_place_is_taken_when_who_had_it_has_ended_its_last_step(variables: dict[str, Any]) -> None:
    stays: dict[int, list[float]] = {}

    async def script(holder: Holder) -> None:
        stay = stays.setdefault(holder.number % 12, [])
        stay.append(holder.context.clock.now())
        async for _ in holder.until_end_of_run():
            async with holder.step("long"):
                await asyncio.sleep(50)
        stay.append(holder.context.clock.now())

    run, _, _ = played(variables, [(40, 1), (45, 4), (90, 0)], script)
    assert stays[1] == pytest.approx([2.5, 52.5, 52.5, 102.5], abs=0.1)
    assert run.started == 2 + 3 and len(stays) == 4 and run.active == 0


@pytest.mark.parametrize("hosts", [1, 3])
@pytest.mark.parametrize("use", ["once", "circle", "random"])
def test_who_takes_the_place_of_another_has_its_row(
    variables: dict[str, Any], tmp_path: Path, use: str, hosts: int
) -> None:
    file = tmp_path / "users.csv"
    file.write_text("email\n" + "".join(f"u{number}@example.org\n" for number in range(20)))
    changes: dict[str, Any] = {
        "stampede_holders": 20,
        "stampede_search": SEARCH["stampede_search"] | {"begin": 8},
        "stampede_data": {"file": str(file), "use": use},
    }
    whole = Settings.from_variables(variables | SEARCH | changes)
    assert whole.data and not data_problems(whole)
    came: list[int] = []
    rows: dict[int, set[str]] = {}

    async def script(holder: Holder) -> None:
        came.append(holder.number)
        rows.setdefault(holder.number % 20, set()).add(holder.data["email"])
        async for _ in holder.until_end_of_run():
            await holder.wait(1)

    for share in whole.load.shares({str(place): 1.0 for place in range(hosts)}).values():
        given = json.loads(json.dumps(rows_of_host(variables | SEARCH | changes, share)))
        rows_here = Table.taken(whole.data, given).row
        run, _, _ = played(
            variables, [(40, 16), (80, 8), (120, 12), (160, 0)], script, rows_here, **changes | dict(share)
        )
        assert run.bad_input is None and run.clock.now() == pytest.approx(160, abs=2)
    assert len(came) == len(set(came)) == 16 + 4 and len(rows) == 16
    assert all(len(found) == 1 for found in rows.values()), "whoever has the place"
    if use == "once":
        assert len(set.union(*rows.values())) == 16


def test_thresholds_are_counted_anew_at_each_level(variables: dict[str, Any]) -> None:
    run, _, _ = played(variables, [(40, 8), (80, 0)])
    (state,) = run.tallies.states(run.clock.now())
    assert state.ok == pytest.approx(8 * 40, rel=0.1) and run.figures.steps["look"] > state.ok + 50


def test_without_orders_it_ends_by_itself(variables: dict[str, Any]) -> None:
    run, levels, _ = played(variables, [])
    assert levels == [(2, 0)] and run.clock.now() == pytest.approx(2.5 + 10 + 30 + 120, abs=1)


def test_the_forecast_is_of_a_search_in_which_every_level_holds(variables: dict[str, Any]) -> None:
    async def looking(holder: Holder) -> None:
        async for _ in holder.until_end_of_run():
            await holder.wait(1)

    found = dry_run(looking, Settings.from_variables(variables | SEARCH))
    assert found.seconds == pytest.approx(4 * 30 + 40, abs=2)  # of 2, 4, 8, 12, and of 12 once more
    assert found.text().splitlines()[1].startswith("A run of 12 holders, in which every level holds, would take")


def test_hosts_share_each_level_exactly(variables: dict[str, Any]) -> None:
    whole = Settings.from_variables(variables | SEARCH).load
    hosts = [
        Settings.from_variables(variables | SEARCH | share).load
        for share in whole.shares({"a": 2, "b": 1, "c": 1}).values()
    ]
    ranks = [host.ranks for host in hosts if isinstance(host, Search)]
    assert sorted(rank for of_host in ranks for rank in of_host) == list(range(12))
    assert [sum(rank < 8 for rank in of_host) for of_host in ranks] == [4, 2, 2]
    assert sorted(number for host in hosts for number in host.wallets) == list(range(12))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"stages": [{"holders": 4, "for": "1m"}]},
            "stampede_stages is set, but a search goes by levels of its own; remove it",
        ),
        (
            {"thresholds": []},
            "stampede_thresholds is empty, but stampede_load_model is search; it must have one that",
        ),
        ({"thresholds": ["max < 2 s"]}, "stampede_thresholds has 'max < 2 s', but a search cannot judge the maximum"),
        (
            {"thresholds": ["measure items min > 2"]},
            "stampede_thresholds has 'measure items min > 2', but a search cannot judge the minimum",
        ),
        (
            {"thresholds": ["p95 < 2 s during steady"]},
            "stampede_thresholds[0] is 'p95 < 2 s during steady'; a search",
        ),
        (
            {"search": {"start": 2}},
            "stampede_search has 'start'; it must have begin, settle, hold, confirm or within",
        ),
        (
            {"search": {"begin": 13}},
            "stampede_search has begin: 13; it must be a whole number from 1 to stampede_holders",
        ),
        (
            {"search": {"hold": "9s"}, "thresholds": ["throughput > 2/s"]},
            "stampede_search has hold: 9 s, but stampede_thresholds has 'throughput > 2/s', and a throughput is",
        ),
        ({"search": {"hold": 0}}, "stampede_search has hold: 0; it must be a duration of more than 0"),
        ({"search": {"hold": "1e15"}}, "stampede_search has hold: '1e15'; it must be at most a year, 8784h"),
        ({"search": {"within": "0%"}}, "stampede_search has within: '0%'; it must be a share from 1% to 100%"),
    ],
)
def test_what_is_wrong_has_one_sentence(variables: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    (sentence,) = check_variables(variables | SEARCH | {f"stampede_{name}": value for name, value in changes.items()})
    assert sentence.startswith(said)


class Fleet:
    """Two hosts whose steps take a time that depends on the level, and a clock."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.hosts = [HostView(name, "", 0.0) for name in ("a", "b")]
        self.orders: list[dict[str, Any]] = []
        self.told: list[str] = []
        self.deaf: set[str] = set()
        self.absent = 0
        """Holders of each host who are not there."""
        self._seconds = seconds
        self._tally = Tally(thresholds.parse(P90))
        variables = {"stampede_share": {}, "stampede_first_holder": 0} | SEARCH
        found = conductor_of(variables, self.hosts, self._take, lambda text, colour: self.told.append(text))
        assert found is not None
        self.conductor: Conductor = found

    def _take(self, order: str) -> None:
        self.orders.append(json.loads(order))

    def run(self, until: float) -> None:
        level, order = 2, 0
        for now in range(100, int(until)):
            for given in self.orders:
                if given["at"] <= now:
                    level, order = given["holders"], given["number"]
            for _ in range(level * 2):
                self._tally.count(self._seconds(level))
            for number, host in enumerate(self.hosts):
                host.state = HostState(
                    phase=Phase.RUNNING,
                    start_at=100.0,
                    order=0 if host.name in self.deaf else order,
                    steps=StepState(),
                    holders=HolderState(active=(level + number) // 2 - self.absent),
                    thresholds=(self._tally.state(),),
                )
            self.conductor.check(float(now))


def test_the_conductor_finds_the_highest_level() -> None:
    fleet = Fleet(lambda level: 0.1 * level)
    fleet.run(1000)
    assert [order["holders"] for order in fleet.orders] == [4, 8, 6, 5, 5, 0]
    assert [order["number"] for order in fleet.orders] == list(range(1, 7))
    judged = [text.split(":")[0] for text in fleet.told if "hold: " in text]
    assert judged[3:] == ["6 holders do not hold", "5 holders hold", "5 holders hold"]
    assert fleet.told[-1] == "The highest load that holds is 5 holders."


def test_a_level_that_a_host_did_not_come_to_is_not_judged() -> None:
    fleet = Fleet(lambda level: 0.1)
    fleet.deaf = {"b"}
    fleet.run(1000)
    assert [order["holders"] for order in fleet.orders] == [4, 0]
    assert fleet.told[-1] == "The search ends, because b did not take the order."


def test_a_level_whose_holders_are_not_there_is_not_judged() -> None:
    fleet = Fleet(lambda level: 0.1)
    fleet.absent = 1
    fleet.run(1000)
    assert "2 holders cannot be judged: only 0 of 2 holders were there." in fleet.told
    assert fleet.told[-1] == "The search ends without a load of which it is confirmed that it holds."


def test_a_level_that_breaks_without_some_of_its_holders_is_broken() -> None:
    fleet = Fleet(lambda level: 3.0)
    fleet.absent = 1
    fleet.run(1000)
    assert any(text.startswith("2 holders do not hold: ") for text in fleet.told)


def test_a_search_ends_without_a_host_that_is_lost() -> None:
    fleet = Fleet(lambda level: 0.1)
    fleet.run(110)
    fleet.hosts[1].failure = "b died"
    fleet.conductor.check(111.0)
    assert fleet.orders[-1]["holders"] == 0 and fleet.told[-1].endswith("because b takes no part any more.")


def test_no_conductor_for_another_load() -> None:
    assert conductor_of({"stampede_load_model": "closed"}, [], lambda order: None, lambda text, colour: None) is None


class TestOrders:
    """``order.json``."""

    def test_it_is_read_as_it_was_written(self) -> None:
        order = LevelOrder(3, 20, 1.8e9)
        assert read_level_order(as_text(order)) == order

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"number": 0, "holders": 5, "at": 1.8e9}',
            '{"number": 1, "holders": -5, "at": 1.8e9}',
            '{"number": 1, "holders": "5", "at": 1.8e9}',
            '{"number": 1, "holders": 5, "at": 1e300}',
            '{"number": 1, "holders": 5, "at": 1.8e9}' + " " * LONGEST,
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            read_level_order(text)

    def test_a_file_has_news_once(self, tmp_path: Path) -> None:
        file = OrderFile(tmp_path / "order.json")
        assert file.news() is None
        (tmp_path / "order.json").write_text("first")
        assert (file.news(), file.news()) == (b"first", None)
        (tmp_path / "order.json").unlink()
        assert file.news() is None
        (tmp_path / "order.json").write_bytes(b"x" * (LONGEST + 100))
        assert file.news() == b"x" * (LONGEST + 1)


SLOW_FROM = 30


def searched(
    folder: Path, levels: list[tuple[float, int]], *, pause: float = 2.0, there: int = 60, **settings: Any
) -> dict[str, Any]:
    """The report of a run with levels: seconds after the start, and holders, each of whom makes a step on each of two
    hosts every ``pause`` seconds. From SLOW_FROM on steps take 1 s. ``there`` holders are active on each host."""
    sample = samples.Sample(holders=there, duration=300, ramp=1, failures=False, settings=SEARCH | settings)
    samples.write_results(folder, sample, packed=False)
    for host in sample.hosts:
        journal = folder / host / "journal.lp"
        lines = [line for line in journal.read_text().splitlines() if not line.startswith("step,")]
        for place, (at, holders) in enumerate(levels):
            end = levels[place + 1][0] if place + 1 < len(levels) else 300.0
            text = f'{samples.tags("event", host, kind="level")} text="{holders} holders",value={holders}'
            lines.append(f"{text} {int((samples.START + at) * 1e9)}")
            moment, seconds = at + 0.01, 1.0 if holders >= SLOW_FROM else 0.3
            while moment < end:
                lines.append(samples.step_line(host, "present_proof", samples.START + moment, seconds))
                moment += pause / holders
        journal.write_text("\n".join(lines) + "\n")
    return samples.report(folder)


LEVELS = [(0.0, 10), (30.0, 20), (60.0, 40), (90.0, 28), (120.0, 31), (150.0, 28)]


def test_the_report_judges_each_level(tmp_path: Path) -> None:
    found = searched(tmp_path, LEVELS)
    search, run = found["search"], found["run"]
    assert [(level["holders"], level["held"], level["confirms"]) for level in search["levels"]] == [
        (10, True, False),
        (20, True, False),
        (40, False, False),
        (28, True, False),
        (31, False, False),
        (28, True, True),
    ]
    assert (search["highest"], search["lowest_broken"]) == (28, 31)
    first = search["levels"][0]
    assert (first["since"], first["until"]) == pytest.approx((10, 30), abs=0.5)
    assert first["per_second"] == pytest.approx(10, rel=0.05)
    assert first["figures"] == [{"text": P90, "value": pytest.approx(0.3), "kept": True}]
    assert (run["outcome"], run["passed"]) == ("passed", True)
    assert run["headline"] == "Found: up to 28 holders hold, 31 holders do not"
    (verdict,) = found["thresholds"]
    assert verdict["passed"] and verdict["value"] == pytest.approx(0.3), "that of the level that was confirmed"
    assert search["fit"]["alone"] == pytest.approx(1, rel=0.1)
    shown = terminal.table(samples.typed(found))
    assert [line.split(maxsplit=2)[2] for line in shown.splitlines() if "once more" in line] == ["yes, once more"]
    page = (tmp_path / "report.html").read_text()
    assert "Found: up to 28 holders hold" in page and page.count("<circle") == 6


def test_below_a_level_whose_longer_try_cannot_be_judged_one_is_found(tmp_path: Path) -> None:
    found = searched(tmp_path, [(0.0, 10), (30.0, 20), (60.0, 20), (90.0, 10)], there=5)
    assert [level["held"] for level in found["search"]["levels"]] == [True, None, None, True]
    assert (found["search"]["highest"], found["run"]["passed"]) == (10, True)
    assert found["run"]["headline"] == "Found: up to 10 holders hold, 20 holders could not be judged"


def test_what_is_not_confirmed_is_not_found(tmp_path: Path) -> None:
    found = searched(tmp_path, LEVELS[:-1])
    assert (found["search"]["highest"], found["run"]["outcome"]) == (None, "thresholds")
    assert found["run"]["headline"] == "Nothing found: 28 holders held, but that is not confirmed"
    reasons = failure_reasons(samples.typed(found), tmp_path / "report.html", fail_on_errors=True)
    assert f"{found['run']['headline']}; see {tmp_path / 'report.html'}" in reasons


def test_not_even_the_first_level_holds(tmp_path: Path) -> None:
    found = searched(tmp_path, [(0.0, 40), (30.0, 30)])
    assert found["run"]["headline"] == "Nothing found: not even 30 holders held"


def test_a_level_that_one_host_did_not_come_to_is_not_known(tmp_path: Path) -> None:
    searched(tmp_path, LEVELS)
    journal = tmp_path / "load-2" / "journal.lp"
    journal.write_text(
        "\n".join(line for line in journal.read_text().splitlines() if "28 holders" not in line) + "\n"
    )
    found = samples.report(tmp_path)
    assert found["search"]["highest"] is None and found["run"]["passed"] is False


def test_a_level_of_few_steps_is_no_evidence(tmp_path: Path) -> None:
    found = searched(tmp_path, [(0.0, 3), (30.0, 6), (60.0, 12), (90.0, 12)], pause=45)
    levels = found["search"]["levels"]
    assert [(level["held"], level["ok"]) for level in levels] == [(None, 2), (None, 4), (None, 10), (None, 16)]
    assert levels[0]["why"] == f"{P90} cannot be judged by 2 steps; at least 20 are needed"
    assert [figure["kept"] for level in levels for figure in level["figures"]] == [None] * 4
    assert (found["search"]["highest"], found["run"]["outcome"]) == (None, "thresholds")
    assert found["run"]["headline"] == "Nothing found: no level could be judged (3 to 12 holders)"
    (verdict,) = found["thresholds"]
    assert verdict["passed"] is None and "cannot be judged by 16 steps; at least 20 are needed" in verdict["sentence"]


def test_a_single_level_of_few_steps(tmp_path: Path) -> None:
    found = searched(tmp_path, [(0.0, 1)], pause=45)
    assert found["run"]["headline"] == "Nothing found: no level could be judged (1 holder)"


def test_a_level_that_breaks_above_levels_of_few_steps(tmp_path: Path) -> None:
    found = searched(tmp_path, [(0.0, 2), (30.0, 40), (60.0, 6), (90.0, 6)], pause=30)
    assert [level["held"] for level in found["search"]["levels"]] == [None, False, None, None]
    headline = "Nothing found: 40 holders did not hold, and no level below could be judged"
    assert found["run"]["headline"] == headline


def test_a_level_without_its_holders_is_no_evidence(tmp_path: Path) -> None:
    asked = [P90, "throughput > 25/s"]
    found = searched(tmp_path, [(0.0, 10), (30.0, 20), (60.0, 40), (90.0, 20)], there=9, stampede_thresholds=asked)
    levels = found["search"]["levels"]
    assert [(level["held"], level["why"]) for level in levels] == [
        (False, "crossed: throughput > 25/s"),
        (None, "only 18 of 20 holders were there"),
        (False, f"crossed: {P90}"),
        (None, "only 18 of 20 holders were there"),
    ]
    assert found["search"]["highest"] is None


def test_a_throughput_is_judged_of_ten_seconds(tmp_path: Path) -> None:
    asked = ["throughput > 1/s"]
    short = {"begin": 2, "settle": "10s", "hold": "9s", "confirm": "10s"}
    found = searched(tmp_path, [(0.0, 10), (30.0, 10)], stampede_thresholds=asked, stampede_search=short)
    assert [level["held"] for level in found["search"]["levels"]] == [None, True]
    assert "by 9 s; at least 10 s are needed" in found["search"]["levels"][0]["why"]


def test_a_run_of_another_model_has_none(tmp_path: Path) -> None:
    samples.write_results(tmp_path, samples.Sample(holders=5, duration=30, ramp=5, failures=False))
    assert samples.report(tmp_path)["search"] is None


def test_what_was_counted_between_two_moments() -> None:
    tally = Tally(thresholds.parse(P90))
    for seconds in (0.1, 5.0):
        tally.count(seconds)
    before = Tally.from_state(tally.state())
    for _ in range(50):
        tally.count(0.2)
    grown = tally.since(before)
    assert grown.ok == 50 and grown.at_quantile(0.9) == pytest.approx(0.2, rel=0.02)
