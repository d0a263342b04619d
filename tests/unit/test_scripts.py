"""Several scripts in one run, by weight, each with its own settings; groups; thresholds of the one and the other."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from controller.holder.holder import Holder
from controller.run.run import Run
from stampede.prepare.rendering import find_scripts, render_script
from stampede.prepare.trial import forecast, try_script
from stampede.results.journal_columns import JournalColumns
from stampede.results.journal_reader import MOST_NAMES, read
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.settings.script_settings import SHUFFLED, script_of
from stampede.schema.settings.thresholds import Said, check_subjects, parse

REPOSITORY = Path(__file__).parents[2]
TEMPLATES = REPOSITORY / "templates"
TWO = [
    {"script": "issue_present_revoke", "weight": 3, "name": "wallets"},
    {"script": "several_services", "settings": {"stampede_wait_max": "11s", "stampede_on_failure": "stop"}},
]
FINE = {"wallets": 0.3333333, "several_services": 0.6666667}
"""Weights after which the deal begins again after ten million holders."""
WEIGHTS = st.lists(st.integers(1, 30) | st.sampled_from([0.5, 0.25, 1.5]), min_size=1, max_size=6)


# ------------------------------------------------------------------ the deal


@given(WEIGHTS, st.integers(0, 2_000))
def test_holders_are_dealt_by_weight(weights: list[float], number: int) -> None:
    counts = Counter(script_of(holder, weights) for holder in range(number))
    shares = [number * Fraction(weight) / Fraction(sum(weights)) for weight in weights]
    deal = math.lcm(*((Fraction(weight) / Fraction(sum(weights))).denominator for weight in weights))
    for place, share in enumerate(shares):
        assert abs(counts[place] - share) <= (0 if number % deal == 0 else 1 + SHUFFLED / 2)


def test_few_holders_are_dealt_exactly_where_whole_numbers_allow_it() -> None:
    assert Counter(script_of(holder, [2, 1, 1]) for holder in range(4)) == {0: 2, 1: 1, 2: 1}


@pytest.mark.parametrize("hosts", [2, 3, 4, 9])
@pytest.mark.parametrize("weights", [[1, 1], [1, 1, 1], [3, 1], [5, 4], [1] * 9])
def test_hosts_that_take_holders_in_turns_have_all_scripts(hosts: int, weights: list[float]) -> None:
    number = 20_000
    for host in range(hosts):
        counts = Counter(script_of(holder, weights) for holder in range(host, number, hosts))
        for place, weight in enumerate(weights):
            assert counts[place] == pytest.approx(number / hosts * weight / sum(weights), rel=0.2)


# ------------------------------------------------------------------ settings


def test_each_script_has_the_runs_settings_but_for_its_own(variables: dict[str, Any]) -> None:
    settings = Settings.from_variables(variables | {"stampede_scripts": TWO, "stampede_wait_min": 1})
    (first, ours), (second, own) = settings.of_scripts
    assert (first, second) == ("wallets", "several_services")
    assert (own.wait_max, own.on_failure, own.wait_min) == (11, "stop", 1)
    assert ours.wait_max == settings.wait_max != 11
    assert settings.scenario == "wallets+several_services"
    assert Settings.from_variables(variables).of_scripts[0][0] == ""
    json.dumps(settings.public(), default=str)


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([{"weight": 2}], "stampede_scripts[0].script is None; it must be the name of a template"),
        ([{"script": "conversation", "weight": 0}], "stampede_scripts[0].weight is 0; it must be a number above 0"),
        ([{"script": "conversation", "weight": True}], "stampede_scripts[0].weight is True; it must be a number"),
        ([{"script": "conversation", "wieght": 1}], "stampede_scripts[0] has the key 'wieght'"),
        ([{"script": "conversation", "name": "a b"}], "stampede_scripts[0].name is 'a b'; it must be 1 to 64 of"),
        (
            [{"script": "conversation"}, {"script": "/else/where/conversation.py"}],
            "stampede_scripts[1].name is 'conversation', which is another script's, too; give it one of its own",
        ),
        (
            [{"script": "conversation", "settings": {"stampede_holders": 3}}],
            "stampede_scripts[0].settings has 'stampede_holders'; a script may have its own stampede_wait_min, ",
        ),
        (
            [{"script": "conversation", "settings": {"stampede_wait_max": "soon"}}],
            "stampede_scripts[0].settings: stampede_wait_max is 'soon'; it must be",
        ),
        (
            [{"script": "conversation", "settings": {"stampede_wait_min": "2m", "stampede_wait_max": "1m"}}],
            "stampede_scripts[0].settings: stampede_wait_min is 2m, more than stampede_wait_max, which is 1m",
        ),
        (
            [{"script": "conversation", "weight": 0.0001}, {"script": "several_services", "weight": 7}],
            "stampede_scripts has the weights 0.0001, 7; they must be in proportion to whole numbers whose sum is",
        ),
        ([{"script": f"s{n}"} for n in range(51)], "stampede_scripts has 51 scripts; it must have at most 50"),
    ],
)
def test_what_is_wrong_has_one_sentence(variables: dict[str, Any], entries: list[Any], sentence: str) -> None:
    (found,) = check_variables(variables | {"stampede_scripts": entries})
    assert found.startswith(sentence)


def test_a_script_beside_scripts_is_refused(variables: dict[str, Any]) -> None:
    both = variables | {"stampede_script": "conversation", "stampede_scripts": TWO}
    (found,) = check_variables(both)
    assert found == (
        "stampede_script is 'conversation', but stampede_scripts names scripts as well; leave one of the two out, or "
        "give it as empty on the command line: -e stampede_script= or -e '{\"stampede_scripts\": []}'"
    )


def test_an_empty_script_leaves_it_to_the_scripts(variables: dict[str, Any]) -> None:
    """As with ``-e stampede_script=`` in a project that has one."""
    for empty in ("", None):
        settings = Settings.from_variables(variables | {"stampede_script": empty, "stampede_scripts": TWO})
        assert [name for name, _ in settings.of_scripts] == ["wallets", "several_services"]
        assert [own.script for _, own in settings.of_scripts] == ["issue_present_revoke", "several_services"]
    found = find_scripts(variables | {"stampede_script": "", "stampede_scripts": TWO}, TEMPLATES)
    assert [script.path.name for script in found] == ["issue_present_revoke.py.j2", "several_services.py.j2"]


@pytest.mark.parametrize("none", [{}, {"stampede_scripts": []}])
def test_an_empty_script_without_scripts_has_one_sentence(variables: dict[str, Any], none: dict[str, Any]) -> None:
    (found,) = check_variables(variables | {"stampede_script": ""} | none)
    assert found == (
        "stampede_script is '', and stampede_scripts names none; it must be the name of a template in "
        "templates/scenarios, or the path of a .py.j2 or .py file"
    )


FIVE_HUNDRED = [{"script": "conversation"}, {"script": "several_services", "weight": 500}]
LATE = {"load_model": "open", "stages": [{"rate": "1/s", "for": "9s"}, {"rate": 1, "for": 9, "scripts": {"a": 1}}]}


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"scripts": FIVE_HUNDRED, "holders": 2}, [0]),
        ({"scripts": FIVE_HUNDRED, "holders": 600}, []),
        ({"scripts": FIVE_HUNDRED, "load_model": "rounds", "rate": 1, "duration": "1h", "holders": 2}, [0]),
        ({"scripts": FIVE_HUNDRED, "load_model": "open", "rate": 1, "duration": "10s", "holders": 600}, [0]),
        ({"scripts": FIVE_HUNDRED, "load_model": "open", "rate": 1, "duration": "1h", "holders": 9}, []),
        ({"scripts": TWO, "holders": 1}, [1]),
        ({"scripts": [{"script": "a.py", "weight": 1e-3}, {"script": "b.py"}], **LATE}, []),
        (
            {
                "scripts": [{"script": "a.py", "weight": 1e-3}, {"script": "b.py"}],
                **LATE,
                "stages": LATE["stages"][:1],
            },
            [0],
        ),
        ({"scripts": [{"script": "a.py"}], "holders": 1}, []),
        ({"holders": 1}, []),
    ],
)
def test_a_script_that_no_holder_takes_is_told(
    variables: dict[str, Any], changes: dict[str, Any], places: list[int]
) -> None:
    run = Settings.from_variables(variables | {f"stampede_{name}": value for name, value in changes.items()})
    found = run.scripts_without_holders()
    assert [sentence.split(".weight is ")[0] for sentence in found] == [
        f"stampede_scripts[{place}]" for place in places
    ]


# ----------------------------------------------------------------- rendering


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_each_is_a_module_of_its_own_in_one_file(variables: dict[str, Any], tmp_path: Path) -> None:
    first = "from __future__ import annotations\n\nSTEP = 'one'\n\n\nasync def script(holder: Nothing):\n"
    first += "    async with holder.step(STEP):\n        pass\n"
    second = "STEP = 'two'\n\n\nasync def script(holder):\n    async with holder.step(STEP):\n        pass\n"
    entries = [{"script": write(tmp_path, "first.py", first)}, {"script": write(tmp_path, "second.py", second)}]
    settings = variables | {"stampede_scripts": entries, "stampede_holders": 4, "stampede_iterations": 1}
    text = render_script(settings, TEMPLATES, tmp_path)
    script = tmp_path / "controller_script.py"
    script.write_text(text)
    command = [sys.executable, str(script), "dry-run", "--json"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == {"one": 2, "two": 2}


def test_lines_in_errors_are_those_of_the_rendered_file(variables: dict[str, Any], tmp_path: Path) -> None:
    good = "async def script(holder):\n    await holder.connect('issuer')\n"
    bad = "async def script(holder):\n    raise RuntimeError('here')\n"
    entries = [{"script": write(tmp_path, "good.py", good)}, {"script": write(tmp_path, "bad.py", bad)}]
    text = render_script(variables | {"stampede_scripts": entries}, TEMPLATES, tmp_path)
    script = tmp_path / "controller_script.py"
    script.write_text(text)
    line = 1 + text.splitlines().index("    raise RuntimeError('here')")
    code = "import sys; from controller.cli import _sources, _loaded\n"
    code += "import asyncio, traceback, pathlib\n"
    code += f"text = pathlib.Path({str(script)!r}).read_text()\n"
    counts = [good.count("\n"), bad.count("\n")]
    code += f"sources = _sources(text, [('good', {counts[0]}), ('bad', {counts[1]})])\n"
    code += f"module = _loaded('scenario_bad', sources['scenario_bad'], {str(script)!r})\n"
    code += "asyncio.run(module.script(None))\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert f'controller_script.py", line {line}, in script' in done.stderr


def test_a_single_script_is_rendered_as_ever(variables: dict[str, Any]) -> None:
    text = render_script(variables, TEMPLATES)
    assert "SCENARIOS" not in text
    assert text.endswith("# ---- end of scenario ----\n")
    assert [script.name for script in find_scripts(variables, TEMPLATES)] == [""]


def test_the_trial_names_the_file_that_is_wrong(variables: dict[str, Any], tmp_path: Path) -> None:
    good = "async def script(holder):\n    await holder.connect('issuer')\n"
    bad = "async def script(holder):\n    await holder.connect('isuer')\n"
    entries = [{"script": write(tmp_path, "good.py", good)}, {"script": write(tmp_path, "bad.py", bad)}]
    with pytest.raises(BadInput) as refused:
        try_script(variables | {"stampede_scripts": entries}, TEMPLATES, tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'bad.py'} line 2: ")
    with pytest.raises(BadInput, match=r"stampede_scripts\[1\]\.script is 'nowhere'; it must be one of"):
        find_scripts(variables | {"stampede_scripts": [entries[0], {"script": "nowhere"}]}, TEMPLATES, tmp_path)


def test_the_forecast_tells_each_scripts_holders_and_steps(variables: dict[str, Any]) -> None:
    mixed = variables | {"stampede_scripts": TWO, "stampede_holders": 8, "stampede_iterations": 1}
    services = {"bank": variables["stampede_services"]["issuer"], "shop": variables["stampede_services"]["verifier"]}
    mixed["stampede_services"] = variables["stampede_services"] | services
    entries = [TWO[0], {"script": "conversation"}]
    text = forecast(mixed | {"stampede_scripts": [TWO[0], entries[0] | {"name": "other", "weight": 1}]}, REPOSITORY)
    assert "wallets, 6 holders:" in text
    assert "other, 2 holders:" in text


# ------------------------------------------------------------------- the run


async def mostly(holder: Holder) -> None:
    async for _ in holder.until_end_of_run():
        with holder.group("checkout"):
            await holder.present_proof("verifier")
            holder.check("paid", True)
        await holder.wait(holder.context.settings.wait_min)


async def rarely(holder: Holder) -> None:
    async for _ in holder.until_end_of_run():
        await holder.present_proof("verifier")
        holder.measure("items", 7)


def play_both(play: Callable[..., Run], **changes: Any) -> Run:
    entries = [{"script": "mostly.py", "weight": 2}, {"script": "rarely.py"}]
    return play([mostly, rarely], scripts=entries, holders=9, iterations=4, ramp_up=0, **changes)


def test_records_have_their_script_and_their_group(play: Callable[..., Run], tmp_path: Path) -> None:
    play_both(play)
    lines = (tmp_path / "journal.lp").read_text().splitlines()
    assert sum("script=mostly,group=checkout" in line for line in lines if "step=present_proof" in line) == 6 * 4
    assert sum("script=rarely holder=" in line for line in lines if "step=present_proof" in line) == 3 * 4
    journal = JournalColumns()
    read(journal, tmp_path / "journal.lp", "load-1")
    assert journal.readings["load-1"].not_understood == 0
    assert sorted(journal.scripts.list) == ["", "mostly", "rarely"] and journal.groups.list == ["", "checkout"]
    counts = Counter(
        (journal.scripts.list[each], journal.groups.list[group])
        for each, group in zip(journal.steps.script, journal.steps.group, strict=True)
    )
    assert counts == {("mostly", "checkout"): 48, ("rarely", ""): 24}, "an invitation and a presentation each"
    assert list(journal.measures.script) == [journal.scripts.number("rarely")] * 12
    assert list(journal.checks.group) == [1] * 24


def test_a_run_with_one_script_has_no_such_tags(play: Callable[..., Run], tmp_path: Path) -> None:
    play(rarely)
    text = (tmp_path / "journal.lp").read_text()
    assert "script=" not in text and "group=" not in text


def test_groups_do_not_nest_and_end_with_their_block(play: Callable[..., Run]) -> None:
    async def script(holder: Holder) -> None:
        with holder.group("one"):
            await holder.present_proof("verifier")
        within = r"holder\.group\('two'\) is within holder\.group\('one'\)"
        with pytest.raises(BadInput, match=within), holder.group("one"), holder.group("two"):
            pass
        with pytest.raises(BadInput, match="printable"), holder.group(" "):
            pass
        await holder.present_proof("verifier")

    run = play(script, holders=1)
    assert run.bad_input is None


def test_thresholds_count_their_script_and_group_alone(play: Callable[..., Run]) -> None:
    texts = [
        "present_proof p95 of mostly < 90 s",
        "present_proof p95 < 90 s",
        "throughput of rarely >= 0.01/s",
        "errors in checkout = 0",
        "check paid passed in checkout >= 1 %",
        "measure items max of rarely < 9",
        "present_proof p95 response_time of mostly in checkout < 90 s during run",
    ]
    run = play_both(play, thresholds=texts)
    states = {state.text: state.ok for state in run.tallies.states(run.clock.now())}
    assert list(states.values()) == [24, 36, 24, 48, 24, 12, 24]


STAGES = [
    {"holders": 6, "over": "6s", "scripts": {"mostly": 1}},
    {"holders": 12, "over": "6s", "scripts": {"mostly": 0, "rarely": 2}},
    {"holders": 18, "over": "6s"},
]


def test_a_stage_has_weights_of_its_own(play: Callable[..., Run], tmp_path: Path) -> None:
    entries = [{"script": "mostly.py", "weight": 2}, {"script": "rarely.py"}]
    play([mostly, rarely], scripts=entries, stages=STAGES, iterations=2, drain=0)
    journal = JournalColumns()
    read(journal, tmp_path / "journal.lp", "load-1")
    taken = dict(zip(journal.steps.holder, journal.steps.script, strict=True))
    of_stages = [Counter(journal.scripts.list[taken[holder]] for holder in range(at, at + 6)) for at in (0, 6, 12)]
    assert of_stages[:2] == [{"mostly": 6}, {"rarely": 6}]
    assert of_stages[2] == Counter(("mostly", "rarely")[script_of(holder, (2, 1))] for holder in range(12, 18))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"stampede_scripts": TWO, "stampede_stages": [{"holders": 2, "for": 9, "scripts": {"walets": 1}}]},
            "stampede_stages[0].scripts is {'walets': 1}; it must map the names of stampede_scripts, wallets, ",
        ),
        (
            {"stampede_scripts": TWO, "stampede_stages": [{"holders": 2, "for": 9, "scripts": {"wallets": 0}}]},
            "stampede_stages[0].scripts is {'wallets': 0}; it must map the names of",
        ),
        (
            {"stampede_scripts": TWO, "stampede_stages": [{"holders": 2, "for": 9, "scripts": FINE}]},
            "stampede_stages[0].scripts has the weights 0.3333333, 0.6666667; they must be in proportion to whole ",
        ),
        (
            {"stampede_stages": [{"holders": 2, "for": 9, "scripts": {"wallets": 1}}]},
            "stampede_stages[0].scripts is {'wallets': 1}; it must map names of stampede_scripts, which has none, to",
        ),
        (
            {
                "stampede_scripts": TWO,
                "stampede_load_model": "rounds",
                "stampede_stages": [{"rate": "2/s", "for": 9, "scripts": {"wallets": 1}}],
            },
            "stampede_stages[0].scripts is set, but holders of the load model rounds come before the stages",
        ),
    ],
)
def test_wrong_weights_of_a_stage(variables: dict[str, Any], changes: dict[str, Any], sentence: str) -> None:
    (found,) = check_variables(variables | changes)
    assert found.startswith(sentence)


# ----------------------------------------------------------------- thresholds


@pytest.mark.parametrize(
    ("text", "script", "group", "what"),
    [
        ("p95 of a < 1 s", "a", "", "p95 response_time of a"),
        ("connect p95 service_time in b < 1 s", "", "b", "connect p95 service_time in b"),
        (
            'errors in "log in" of a.b-c < 1 % during steady',
            "a.b-c",
            "log in",
            'errors of a.b-c in "log in" during steady',
        ),
        ("check paid passed of a >= 99 %", "a", "", "check paid passed of a"),
    ],
)
def test_of_and_in(text: str, script: str, group: str, what: str) -> None:
    threshold = parse(text)
    assert (threshold.script, threshold.group, threshold.what) == (script, group, what)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("errors of a of b = 0", "it names two scripts; it must name one, or none"),
        ("errors of = 0", "it names no script after 'of'"),
        ('p95 in "" < 1 s', "it names no group after 'in'"),
    ],
)
def test_half_of_and_in(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)


def test_a_script_or_a_group_that_there_is_not_is_refused(variables: dict[str, Any]) -> None:
    of_run = {"stampede_scripts": TWO, "stampede_thresholds": ["errors of walets = 0", "errors of wallets = 0"]}
    (found,) = check_variables(variables | of_run)
    assert found.endswith(
        "'walets' is not a script of the run; it must be one of wallets, several_services; did you mean wallets?"
    )
    (found,) = check_variables(variables | {"stampede_thresholds": ["errors of wallets = 0"]})
    assert found.endswith("the run has one script only; remove 'of wallets'")
    said = {Said("step", "connect", "a", "login"), Said("step", "ping", "b")}
    for text, why in (
        ("errors in logn = 0", "'logn' is not a group of the script; it must be one of login; did you mean login?"),
        ("errors of b in login = 0", "'login' is not a group of the script b; it has none, so it must have"),
        ("connect p95 of b < 1 s", "'connect' is not a step of the script b; it must be one of ping"),
        (
            "ping p95 in login < 1 s",
            "'ping' is not a step of the script in the group login; it must be one of connect",
        ),
    ):
        with pytest.raises(BadInput) as refused:
            check_subjects([text], said)
        assert why in str(refused.value)
    check_subjects(["errors of b = 0", "connect p95 of a in login < 1 s", "errors in login = 0"], said)


# --------------------------------------------------------------- the report


def line(number: int, *, script: str = "", group: str = "", outcome: str = "ok", step: str = "connect") -> str:
    error = "timeout" if outcome == "failed" else ""
    text = samples.step_line("load-1", step, samples.START + 1 + number / 10, 0.5, outcome=outcome, error=error)
    tags = "".join(f",{key}={value}" for key, value in (("script", script), ("group", group)) if value)
    head, rest = text.split(" ", 1)
    return f"{head}{tags} {rest.replace('holder=1i', f'holder={number}i')}"


def reported(folder: Path, lines: list[str], *texts: str) -> dict[str, Any]:
    (folder / "load-1").mkdir(parents=True)
    done = samples.event("load-1", samples.START + 70, "phase", "done")[1]
    (folder / "load-1" / "journal.lp").write_text("\n".join([*lines, done, ""]))
    (folder / "load-1" / "state.json").write_text(json.dumps({"phase": "done", "start_at": samples.START}))
    settings = {"stampede_thresholds": list(texts)}
    (folder / "run.json").write_text(json.dumps({"settings": settings, "started": samples.START}))
    return samples.report(folder)


MIXED = [
    *(line(number, script="a", group="login") for number in range(10)),
    *(line(number, script="b") for number in range(10, 30)),
    line(30, script="a", outcome="failed"),
    *(line(number, script="b", outcome="failed") for number in (31, 32)),
]


def test_the_report_has_the_figures_of_each(tmp_path: Path) -> None:
    found = reported(tmp_path, MIXED)
    assert found["scripts"]["a"]["holders"] == 11 and found["scripts"]["b"]["holders"] == 22
    assert (found["scripts"]["a"]["steps"]["connect"]["ok"], found["scripts"]["b"]["steps"]["connect"]["ok"]) == (
        10,
        20,
    )
    assert found["groups"]["login"]["connect"]["ok"] == 10
    page = (tmp_path / "report.html").read_text()
    assert 'id="scripts"' in page and 'id="groups"' in page and "22 holders" in page


def test_the_report_of_one_script_without_groups_is_as_ever(tmp_path: Path) -> None:
    found = reported(tmp_path, [line(number) for number in range(10)])
    assert found["scripts"] == found["groups"] == {} and found["failed_parts"] == []
    page = (tmp_path / "report.html").read_text()
    assert 'id="scripts"' not in page and 'id="groups"' not in page


@pytest.mark.parametrize(
    ("texts", "uncovered"),
    [
        ([], 3),
        (["errors of a < 90 %"], 2),
        (["errors of b < 90 %"], 1),
        (["errors of a < 90 %", "connect errors of b < 90 %"], 0),
        (["errors in login < 90 %"], 3),
        (["errors < 90 %"], 0),
    ],
)
def test_failures_are_covered_exactly(tmp_path: Path, texts: list[str], uncovered: int) -> None:
    found = reported(tmp_path, MIXED, *texts)
    summary = samples.typed(found)
    from stampede.analysis.threshold_verdicts import uncovered_failures

    assert sum(uncovered_failures(summary).values()) == uncovered
    assert found["run"]["outcome"] == ("failed" if uncovered else "passed")
    junit = (tmp_path / "junit.xml").read_text()
    assert ("no connect failed" in junit) == ("errors < 90 %" not in texts)


def test_a_threshold_of_a_script_is_judged_by_its_records(tmp_path: Path) -> None:
    found = reported(tmp_path, MIXED, "errors of a < 10 %", "errors of b < 9 %", "errors in login = 0")
    assert [verdict["value"] for verdict in found["thresholds"]] == pytest.approx([100 / 11, 200 / 22, 0])
    assert [verdict["passed"] for verdict in found["thresholds"]] == [True, False, True]


def test_a_host_may_have_so_many_of_them_only(tmp_path: Path) -> None:
    journal = tmp_path / "journal.lp"
    lines = [line(number, script=f"s{number}", group=f"g{number}") for number in range(400)]
    journal.write_text("\n".join(lines) + "\n")
    columns = JournalColumns()
    read(columns, journal, "load-1")
    assert len(columns.scripts.list) == MOST_NAMES["scripts"] + 1
    assert columns.readings["load-1"].not_understood == 400 - MOST_NAMES["scripts"]
