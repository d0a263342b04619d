"""What scripts check and measure: journaled, counted, judged alike during the run and at the end, and shown."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import report_samples as samples
from fleet_views import host
from hypothesis import given
from hypothesis import strategies as st

from controller.holder.holder import Holder
from controller.holder.requests import check_name
from controller.metrics.journal import Journal
from controller.run.run import Run
from stampede.analysis.threshold_verdicts import Records, figure_of
from stampede.comparison.runs import compare_runs
from stampede.fleet.standings import Standing, standings
from stampede.prepare.trial import try_script
from stampede.report.terminal import table
from stampede.results.journal_columns import JournalColumns
from stampede.results.journal_reader import read
from stampede.schema.errors import BadInput
from stampede.schema.json_form import from_json, to_json
from stampede.schema.plain_numbers import exact, plain
from stampede.schema.records import MOST_OWN_NAMES, CheckRecord, MeasureRecord, Outcome, StepRecord
from stampede.schema.settings.run_settings import check_variables
from stampede.schema.settings.thresholds import Said, check_subjects, parse
from stampede.schema.state import TallyState, read_state
from stampede.schema.summary import Summary
from stampede.schema.tally import Tally

REPOSITORY = Path(__file__).parents[2]
VALUES = st.lists(
    st.floats(-1e6, 1e6).map(lambda value: float(f"{value:.9g}")) | st.integers(-5, 5).map(float),
    min_size=1,
    max_size=200,
)
LIMITS = st.integers(-5000, 5000).map(lambda thousandths: thousandths / 1000) | st.integers(-5, 5).map(float)
FIGURES = ["p5", "p50", "p95", "mean", "max", "min"]


async def observing(holder: Holder) -> None:
    async for turn in holder.until_end_of_run():
        await holder.present_proof("verifier")
        assert holder.check("signed", holder.number) is bool(holder.number)
        holder.check("every other", turn % 2)
        holder.measure("items", holder.number * 10 + turn)
        holder.measure("with spaces", -0.25)


# ------------------------------------------------------------------- the run


def test_they_are_in_the_journal_with_their_holder(play: Callable[..., Run], tmp_path: Path) -> None:
    play(observing, holders=2)
    lines = (tmp_path / "journal.lp").read_text().splitlines()
    checks = [line for line in lines if line.startswith("check,")]
    assert len(checks) == 2 * 2 * 2
    assert checks[0].startswith("check,run=test-run,check=signed,outcome=")
    assert " holder=0i,iteration=1i,attempt=1i " in next(line for line in checks if "outcome=failed" in line)
    assert sum(r"measure=with\ spaces value=-0.25," in line for line in lines) == 4
    journal = JournalColumns()
    read(journal, tmp_path / "journal.lp", "load-1")
    assert journal.readings["load-1"].not_understood == 0
    assert sorted(journal.measures.value) == [-0.25] * 4 + [1, 2, 11, 12]
    assert sorted(journal.check_names.list) == ["every other", "signed"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e16, "12", None, True])
def test_what_is_no_finite_number_is_an_error_of_the_script(
    play: Callable[..., Run], tmp_path: Path, value: object
) -> None:
    async def script(holder: Holder) -> None:
        holder.measure("items", value)  # type: ignore[arg-type]

    play(script, holders=1, on_failure="stop")
    assert "must be a finite number" in (tmp_path / "journal.lp").read_text()


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 65, "x" + " " * 64, 7])
def test_what_cannot_be_a_name(variables: dict[str, Any], tmp_path: Path, name: object) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"async def script(holder):\n    holder.check({name!r}, True)\n")
    with pytest.raises(BadInput, match=r"script.py line 2: holder.check was given the name .*; it must have 1 to 64"):
        try_script(variables | {"stampede_script": str(script)}, REPOSITORY / "templates")


def test_a_name_that_line_protocol_cannot_express(play: Callable[..., Run]) -> None:
    async def script(holder: Holder) -> None:
        holder.check("\\", True)

    assert str(play(script, holders=1).bad_input) == (
        r"holder.check was given the name '\\'; it must not end in a backslash"
    )


@given(st.lists(st.text(min_size=1, max_size=64), max_size=20))
def test_whatever_may_be_a_name_is_read_back(names: list[str]) -> None:
    journal = JournalColumns()
    allowed = []
    for name in names:
        with suppress(BadInput):
            check_name("check", name)
            allowed.append(name)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "journal.lp"
        with Journal(file, {"run": "r", "host": "h", "scenario": "s"}) as written:
            for number, name in enumerate(allowed):
                written.write(CheckRecord(name, Outcome.OK, 0, 0, 1, group=name), 10**18 + number)
                written.write(MeasureRecord(name, 1.5, 0, 0, 1), 10**18 + number)
                written.write(StepRecord(name, Outcome.OK, 0, 0, 1, name, 0.0, 0.0, group=name), 10**18 + number)
        read(journal, file, "h")
    assert journal.readings["h"].not_understood == 0
    for found in (journal.check_names, journal.measure_names, journal.step_names):
        assert sorted(found.list) == sorted(set(allowed))


@pytest.mark.parametrize("kind", ["check", "measure", "step", "group"])
def test_a_name_for_each_holder_is_refused(play: Callable[..., Run], kind: str) -> None:
    async def script(holder: Holder) -> None:
        name = f"of {holder.number}"
        match kind:
            case "check":
                holder.check(name, True)
            case "measure":
                holder.measure(name, 1)
            case "step":
                async with holder.step(name):
                    pass
            case _:
                with holder.group(name):
                    pass

    assert play(script, holders=MOST_OWN_NAMES).bad_input is None
    assert str(play(script, holders=MOST_OWN_NAMES + 1).bad_input) == (
        f"holder.{kind} was given 'of 250' after 250 other names; each name is a series in the report and in "
        "InfluxDB, so use few names, without numbers of holders or rounds"
    )


# ---------------------------------------------------------------- thresholds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("check signed errors < 1 %", "'errors' is not a figure of a check; it must be passed"),
        ("check signed passed < 99 %", "passed must be followed by > or >= and a share"),
        ("check signed passed > 100 %", "passed must be followed by"),
        ("check signed passed >= 99", "passed must be followed by"),
        ("check not quoted passed >= 99 %", "'quoted passed' is not a figure of a check"),
        ('check "" passed >= 99 %', "it names no check; it must"),
        ("measure items p0 < 3", "'p0' is not a figure of a measure; it must be a percentile such as p95"),
        ("measure items throughput >= 3", "'throughput' is not a figure of a measure"),
        (
            "measure items p95 < 3 s",
            "p95 of a measure must be followed by <, <=, > or >= and a number without a unit",
        ),
        ("measure items p95 = 3", "p95 of a measure must be followed by"),
        ("measure items max < 1e30", "max of a measure must be followed by"),
        ("measure items max < 10000000000000000", "of at most 1,000,000,000,000,000"),
    ],
)
def test_what_is_no_threshold_about_them(variables: dict[str, Any], text: str, why: str) -> None:
    (sentence,) = check_variables(variables | {"stampede_thresholds": [text]})
    assert sentence.startswith(f"stampede_thresholds[0] is {text!r}; ") and why in sentence


@pytest.mark.parametrize(
    "text",
    [
        "check signed passed >= 99 %",
        'check "every other" passed > 0 % during steady',
        "measure items p99.9 <= -3.5",
        'measure "with spaces" mean > 1500000',
        "measure items min >= 1,500,000.25 during drain",
        'measure "p95" max < 3',
    ],
)
def test_its_words_mean_the_same(text: str) -> None:
    threshold = parse(text)
    words, _, phase = threshold.what.partition(" during ")
    again = parse(f"{words} {threshold.asked}{f' during {phase}' if phase else ''}")
    assert (again.subject, again.limit, again.phase) == (threshold.subject, threshold.limit, threshold.phase)


def test_steps_may_have_their_names() -> None:
    assert parse("check p95 < 2 s").subject == ("step", "check")
    assert parse("measure errors < 1 %").subject == ("step", "measure")


def test_one_that_the_script_never_does_is_refused(variables: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "async def script(holder):\n    holder.check('signed', True)\n    async for _ in holder.until_end_of_run():\n"
        "        await holder.wait(1)\n        if holder.number > 2:\n            holder.measure('rare', 1)\n"
    )
    of = variables | {"stampede_script": str(script)}
    right = ["check signed passed >= 99 %", "measure rare max < 3"]
    try_script(of | {"stampede_thresholds": right}, REPOSITORY / "templates")
    wrong = ["check sined passed >= 99 %", "measure rarely max < 3", "measure signed max < 3"]
    with pytest.raises(BadInput) as refusal:
        try_script(of | {"stampede_thresholds": wrong}, REPOSITORY / "templates")
    assert refusal.value.sentences == [
        "stampede_thresholds[0] is 'check sined passed >= 99 %'; 'sined' is not a check of the script; it must be "
        "one of signed; did you mean signed?",
        "stampede_thresholds[1] is 'measure rarely max < 3'; 'rarely' is not a measure of the script; it must be one "
        "of rare; did you mean rare?",
        "stampede_thresholds[2] is 'measure signed max < 3'; 'signed' is not a measure of the script; it must be one "
        "of rare",
    ]
    with pytest.raises(BadInput, match=r"it has none, so it must call holder.measure\('rare', ...\)"):
        check_subjects(["measure rare max < 3"], {Said("check", "signed")})


# --------------------------------------------------------------- in progress


def tally(text: str, values: list[float]) -> Tally:
    its = Tally(parse(text))
    for value in values:
        its.measured(value)
    return its


def stands(text: str, *hosts: list[float], left: float | None = 30) -> Standing:
    states = [json.dumps(to_json(tally(text, values).state(30, left, ramped_up=True))) for values in hosts]
    (standing,) = standings([host(f"h{n}", thresholds=[json.loads(state)]) for n, state in enumerate(states)])
    return standing


@given(VALUES, st.sampled_from([0.05, 0.5, 0.95]), LIMITS)
def test_percentiles_are_within_1_percent_of_the_distance_to_the_limit(
    values: list[float], share: float, limit: float
) -> None:
    found = tally(f"measure items p95 < {limit:.3f}", values).at_quantile(share)
    right = float(np.percentile(values, 100 * share, method="lower"))
    assert found == pytest.approx(right, abs=abs(right - limit) * 0.0101 + 2e-9)


@given(VALUES, LIMITS, st.sampled_from(["<", "<=", ">", ">="]))
def test_on_which_side_of_the_limit_a_value_lies_is_exact(values: list[float], limit: float, operator: str) -> None:
    threshold = parse(f"measure items p95 {operator} {limit:.3f}")
    its = tally(threshold.text, values)
    assert its.beyond() == sum(not threshold.is_kept_by(value) for value in values)


@given(st.lists(VALUES, min_size=1, max_size=4), st.sampled_from(FIGURES))
def test_hosts_added_up_are_as_one(hosts: list[list[float]], figure: str) -> None:
    text = f"measure items {figure} < 1.5"
    merged = Tally(parse(text))
    merged.add(Tally(parse(text)))
    for values in hosts:
        merged.add(
            Tally.from_state(from_json(TallyState, json.loads(json.dumps(to_json(tally(text, values).state())))))
        )
    one = tally(text, [value for values in hosts for value in values])
    assert (merged.ok, merged.least, merged.most, merged.buckets) == (one.ok, one.least, one.most, one.buckets)
    assert merged.total == pytest.approx(one.total)


@pytest.mark.parametrize(
    ("text", "values", "value", "unrecoverable"),
    [
        ("measure items max < 3", [-2.0, 4], 4, True),
        ("measure items max > 5", [-2.0, 4], 4, False),
        ("measure items min >= 0", [-2.0, 4], -2, True),
        ("measure items mean < -5", [-4.0] * 20, -4, False),
        ("measure items p50 < -5", [-4.0] * 20, -4, False),
        ("measure items p95 < -5", [-4.0] * 20, -4, True),
        ("measure items p5 > -3", [-4.0] * 20, -4, True),
    ],
)
def test_how_it_stands(text: str, values: list[float], value: float, unrecoverable: bool) -> None:
    standing = stands(text, values)
    assert standing.value == pytest.approx(value) and standing.crossed
    assert standing.unrecoverable is unrecoverable
    if unrecoverable is False and "mean" in text:
        assert stands(text, values, left=0).unrecoverable


def test_large_figures_have_no_exponent() -> None:
    standing = stands("measure items max < 1000000", [1.5e9])
    assert standing.sentence == "measure items max is 1,500,000,000, the threshold is < 1,000,000"
    assert [plain(value) for value in (0, 1.5e9, 1e15, 123456.7, 0.000012345, -0.5, 1e-20)] == [
        *("0", "1,500,000,000", "1,000,000,000,000,000", "123,457", "0.00001234", "-0.5", "1e-20")
    ]
    assert exact(1e15) == "1,000,000,000,000,000"


@pytest.mark.parametrize(
    "changes",
    [
        {"measured": None},
        {"measured": {"sum_of": 1e31, "lowest": 0, "highest": 0}},
        {"measured": {"sum_of": 0, "lowest": -1e16, "highest": 0}},
        {"text": "p95 < 3 s"},
        {"total": -5},
        {"ok": 0},
    ],
)
def test_a_host_cannot_claim_what_cannot_be(changes: dict[str, Any]) -> None:
    state = to_json(tally("measure items p95 < 3", [1.0] * 30).state()) | changes
    told, problems = read_state(json.dumps({"thresholds": [state]}))
    assert problems or not standings([host("h0", thresholds=to_json(told.thresholds))])


# -------------------------------------------------------------- at the end


def journal_of(tmp_path: Path, lines: list[str]) -> JournalColumns:
    path = tmp_path / "journal.lp"
    path.write_text("\n".join([*lines, ""]))
    journal = JournalColumns()
    read(journal, path, "load-1")
    return journal


def observation(
    kind: str, name: str, after: float, value: object = 1, outcome: str = "ok", at: str = "load-1"
) -> str:
    tags = {kind: name} | ({"outcome": outcome} if kind == "check" else {})
    fields = "holder=0i,iteration=1i,attempt=1i"
    fields = fields if kind == "check" else f"value={value!r},{fields}"
    return f"{samples.tags(kind, at, **tags)} {fields} {int((samples.START + after) * 1e9)}"


def judged(text: str, values: list[float], tmp_path: Path) -> tuple[float, float] | None:
    from stampede.analysis.load_window import SECOND, Window

    lines = [observation("measure", "items", 1 + n / 1000, value) for n, value in enumerate(values)]
    journal = journal_of(tmp_path, lines)
    window = Window(start=samples.START * SECOND, end=(samples.START + 60) * SECOND)
    figure = figure_of(parse(text), Records(journal, window), 0, 60)
    return (figure.value, figure.crossed_after) if figure else None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_the_end_is_exact_and_says_since_when(tmp_path: Path, seed: int, figure: str, operator: str) -> None:
    rng = random.Random(seed)
    values = [float(rng.choice([round(rng.gauss(0, 3), 2), rng.randint(-2, 2)])) for _ in range(120)]
    text = f"measure items {figure} {operator} {rng.choice([-1, 0, 1, 0.5])}"
    threshold = parse(text)

    def until(count: int) -> float:
        first = np.array(values[:count])
        if threshold.quantile is not None:
            return float(np.percentile(first, 100 * threshold.quantile))
        return float({"mean": first.mean, "max": first.max, "min": first.min}[figure]())

    value, crossed = judged(text, values, tmp_path) or (0.0, 0.0)
    assert value == pytest.approx(until(120))
    if threshold.is_kept_by(value):
        return
    kept = [count for count in range(1, 121) if threshold.is_kept_by(until(count))]
    assert crossed == pytest.approx(1 + max(kept, default=0) / 1000)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``run(thresholds)`` is the summary of a run on two hosts with checks and measures."""

    def run(texts: list[str], folder: str = "run", scale: float = 1.0) -> dict[str, Any]:
        results = samples.write_results(
            tmp_path / folder,
            samples.Sample(holders=5, duration=60, ramp=5, failures=False, settings={"stampede_thresholds": texts}),
            packed=False,
        )
        for at in ("load-1", "load-2"):
            journal = results / at / "journal.lp"
            lines = [
                observation("check", name, after, outcome=outcome, at=at)
                for after in range(10, 40)
                for name, outcome in (("signed", "ok"), ("<b>late</b>", "failed" if after > 35 else "ok"))
            ]
            lines += [observation("measure", "amount", after, after * 1e6 * scale, at=at) for after in range(10, 40)]
            journal.write_text(journal.read_text() + "\n".join([*lines, ""]))
        return samples.report(results)

    return run


def test_they_are_in_summary_page_and_terminal(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    found = run(
        ["check signed passed >= 99 %", "measure amount p95 < 50000000", "check signed passed > 99 % during steady"]
    )
    assert found["checks"]["signed"] == {"passed": 60, "failed": 0}
    assert found["checks"]["<b>late</b>"] == {"passed": 52, "failed": 8}
    amount = found["measures"]["amount"]
    assert (amount["count"], amount["min"], amount["max"], amount["sum"]) == (60, 1e7, 3.9e7, 1.47e9)
    assert found["run"]["passed"] is True, found["run"]["headline"]
    assert [verdict["passed"] for verdict in found["thresholds"]] == [True] * 3
    sentence = "8 of 120 checks failed: <b>late</b> 8 of 60. Failed checks without a threshold do not fail the run."
    assert {"about": "checks", "text": sentence, "warning": True} in found["run"]["findings"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "&lt;b&gt;late&lt;/b&gt;" in page and "<b>late" not in page
    assert (
        "1,470,000,000" in page
        and "e+" not in page[page.index('id="measures"') : page.index("</table>", page.index('id="measures"'))]
    )
    shown = table(Summary.from_json((tmp_path / "run" / "summary.json").read_text()))
    assert "check" in shown and "24,500,000" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_crossed_threshold_fails_the_run(run: Callable[..., dict[str, Any]]) -> None:
    found = run(
        ['check "<b>late</b>" passed >= 99 %'.replace("<b>late</b>", "signed"), "measure amount max < 20000000"]
    )
    assert found["run"]["outcome"] == "thresholds"
    assert found["thresholds"][1]["sentence"].startswith(
        "measure amount max was 39,000,000, the threshold is < 20,000,000; crossed since"
    )
    assert (found["thresholds"][1]["measure"], found["thresholds"][1]["step"]) == ("amount", None)
    assert found["thresholds"][0]["sentence"] == "check signed passed in 100 %, the threshold is >= 99 %."


def test_without_any_nothing_is_shown(tmp_path: Path) -> None:
    samples.write_results(tmp_path / "run", samples.Sample(holders=5, duration=30, ramp=5))
    found = samples.report(tmp_path / "run")
    assert found["checks"] == {} and found["measures"] == {}
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'id="checks"' not in page and 'id="measures"' not in page


def test_a_threshold_without_data_could_not_be_judged(run: Callable[..., dict[str, Any]]) -> None:
    found = run(["measure other max < 3"])
    assert found["thresholds"][0]["sentence"].startswith(
        "measure other max could not be judged because no such measure"
    )
    assert found["run"]["passed"] is False


def test_two_runs_side_by_side(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    from stampede.comparison import page, terminal

    run([], "a")
    run([], "b", scale=2)
    compared = compare_runs(tmp_path / "a", tmp_path / "b")
    pair = compared.to_json()["measures"]["amount"]
    assert (pair["a"]["max"], pair["b"]["max"]) == (3.9e7, 7.8e7)
    text = terminal.text(compared.comparison).plain
    assert "A amount" in text and "78,000,000" in text
    assert "78,000,000" in page.render(compared)
