"""The language of thresholds: what it means, and that whatever is wrong is named with what would be right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_files import REPOSITORY

from controller.holder import holder as script
from controller.holder.holder import STEPS
from stampede.prepare.trial import try_script
from stampede.schema.errors import BadInput
from stampede.schema.settings import thresholds
from stampede.schema.settings.run_settings import check_variables
from stampede.schema.settings.thresholds import Threshold, parse

TEMPLATES = REPOSITORY / "templates"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (
            "present_proof p95 response_time < 2 s",
            ("present_proof", "p95", "response_time", "<", 2.0, "s", "run"),
        ),
        ("p99.9 <= 1.5s", (None, "p99.9", "response_time", "<=", 1.5, "s", "run")),
        (
            "connect p99 service_time <= 800 ms during steady",
            ("connect", "p99", "service_time", "<=", 0.8, "s", "steady"),
        ),
        (" present_proof  max<10 s ", ("present_proof", "max", "response_time", "<", 10.0, "s", "run")),
        (
            "connect mean service_time < 1 s during ramp_up",
            ("connect", "mean", "service_time", "<", 1.0, "s", "ramp_up"),
        ),
        ("errors < 1 %", (None, "errors", None, "<", 1.0, "%", "run")),
        ("present_proof errors < 0.5%", ("present_proof", "errors", None, "<", 0.5, "%", "run")),
        ("errors = 0", (None, "errors", None, "=", 0.0, "", "run")),
        ("errors <= 3 during drain", (None, "errors", None, "<=", 3.0, "", "drain")),
        ("throughput >= 5/s", (None, "throughput", None, ">=", 5.0, "/s", "run")),
        ("present_proof throughput > 0.5 /s", ("present_proof", "throughput", None, ">", 0.5, "/s", "run")),
    ],
)
def test_what_a_threshold_means(text: str, meaning: tuple[Any, ...]) -> None:
    assert parse(text) == Threshold(" ".join(text.split()), *meaning)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it must be a figure, <, <=, >, >= or =, and a limit, such as 'present_proof p95 response_time < 2 s'"),
        ("present_proof p95", "it must be a figure, "),
        ("errors == 0", "it must be a figure, "),
        ("1 s < p95 < 2 s", "it must be a figure, "),
        ("< 2 s", "it names no figure; it must be a threshold such as 'present_proof p95 response_time < 2 s'"),
        ("response_time < 2 s", "it names no figure"),
        (
            "present_proof < 2 s",
            "'present_proof' is not a figure; it must be a percentile such as p95 or p99.9, mean, ",
        ),
        (
            "present_proof throughputs >= 1/s",
            "'throughputs' is not a figure; it must be a percentile such as p95 or p99.9, mean, max, errors or "
            "throughput; did you mean throughput?",
        ),
        (
            "present-proof p95 < 2 s",
            "'present-proof' is not the name of a step; it must be a name such as present_proof",
        ),
        ("present_proof p100 < 2 s", "'p100' is not a figure"),
        ("present_proof p0 < 2 s", "'p0' is not a figure"),
        (
            "present_proof p95 respons_time < 2 s",
            "'respons_time' is not a time of a step; it must be one of response_time, service_time; "
            "did you mean response_time?",
        ),
        ("p95 service_time twice < 2 s", "'service_time twice' is not a time of a step"),
        ("errors service_time < 1 %", "'service_time' must not follow errors; remove it"),
        ("p95 < 2", "p95 must be followed by < or <= and a time above 0 in s or ms, such as < 2 s"),
        ("p95 < 2 %", "p95 must be followed by"),
        ("p95 < 2 min", "p95 must be followed by"),
        ("p95 < -2 s", "p95 must be followed by"),
        ("p95 < two s", "p95 must be followed by"),
        ("p95 > 2 s", "p95 must be followed by < or <="),
        ("max < 0 s", "max must be followed by < or <= and a time above 0"),
        (
            "errors < 1 s",
            "errors must be followed by < or <= and a share or a count, such as < 1 % or <= 3, or by = 0",
        ),
        ("errors > 1 %", "errors must be followed by"),
        ("errors < 0 %", "errors must be followed by"),
        ("errors = 3", "errors can be = 0 only; it must be <= 3"),
        ("errors < 101 %", "a share of errors must be at most 100 %"),
        ("errors < 0.5", "a count of errors must be a whole number; a share needs a percent sign: 0.5 %"),
        ("throughput >= 5", "throughput must be followed by > or >= and steps a second above 0, such as >= 5/s"),
        ("throughput < 5/s", "throughput must be followed by > or >="),
        ("throughput >= 0/s", "throughput must be followed by > or >= and steps a second above 0"),
        (
            "p95 < 2 s during stedy",
            "'stedy' is not a phase; it must be one of run, ramp_up, steady, drain; did you mean steady?",
        ),
        ("p95 < 2 s steady", "p95 must be followed by"),
    ],
)
def test_what_is_no_threshold(variables: dict[str, Any], text: str, why: str) -> None:
    sentences = check_variables(variables | {"stampede_thresholds": ["errors < 1 %", text]})
    assert len(sentences) == 1
    assert sentences[0].startswith(f"stampede_thresholds[1] is {text!r}; {why}")


@given(st.text(alphabet=st.sampled_from("pemax059 .<>=/%s\n") | st.characters(), max_size=40))
def test_a_text_is_a_threshold_or_refused_with_a_sentence(text: str) -> None:
    try:
        threshold = parse(text)
    except ValueError as error:
        assert "must" in str(error) or "no " in str(error)
    else:
        assert parse(f"{threshold.what.partition(' during ')[0]} {threshold.asked}").limit == threshold.limit


NAMES = st.sampled_from([None, *sorted(STEPS)])
PHASES = st.sampled_from(thresholds.PHASES)
LIMITS = st.integers(1, 10**6).map(lambda thousandths: thousandths / 1000)
FIGURES = st.sampled_from(["p50", "p95", "p99.9", "mean", "max"])


@given(NAMES, FIGURES, st.sampled_from(thresholds.TIMES), st.sampled_from(["<", "<="]), LIMITS, PHASES)
def test_its_words_mean_the_same(
    step: str | None, figure: str, time: str, operator: str, limit: float, phase: str
) -> None:
    threshold = Threshold("", step, figure, time, operator, limit, "s", phase)
    words = f"{threshold.what.partition(' during ')[0]} {threshold.asked} during {phase}"
    assert parse(words) == Threshold(words, step, figure, time, operator, limit, "s", phase)


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("p95 < 2 s", 2.314, "2.31 s"),
        ("p95 < 2 s", 0.01234, "12.3 ms"),
        ("p95 < 2 s", 0.0, "0 s"),
        ("p95 < 2 s", 1234.5, "1234 s"),
        ("p95 <= 2 s", 2.0001, "2.0001 s"),  # not "2.00 s, the threshold is <= 2 s"
        ("p95 < 2 s", 2.0, "2.00 s"),
        ("errors < 1 %", 1.25, "1.25 %"),
        ("errors < 1 %", 0.0, "0 %"),
        ("errors <= 3", 1200.0, "1200"),
        ("throughput >= 5/s", 4.9999, "4.9999/s"),
        ("throughput >= 5/s", 66.54, "66.5/s"),
    ],
)
def test_values_in_words(text: str, value: float, shown: str) -> None:
    assert parse(text).shown(value) == shown


@pytest.mark.parametrize(
    ("text", "kept", "crossed"),
    [
        ("p95 < 2 s", 1.9, 2.0),
        ("p95 <= 2 s", 2.0, 2.1),
        ("errors = 0", 0.0, 1.0),
        ("throughput >= 5/s", 5.0, 4.9),
        ("throughput > 5/s", 5.1, 5.0),
    ],
)
def test_what_keeps_a_threshold(text: str, kept: float, crossed: float) -> None:
    assert parse(text).is_kept_by(kept) and not parse(text).is_kept_by(crossed)


def test_phases_follow_one_another_and_end_where_the_run_does() -> None:
    assert thresholds.spans(10, 60, 75) == {"run": (0, 75), "ramp_up": (0, 10), "steady": (10, 60), "drain": (60, 75)}
    without_draining = thresholds.spans(10, None, 75)
    assert without_draining["steady"] == (10, 75) and without_draining["drain"] == (75, 75)
    stopped_while_ramping_up = thresholds.spans(10, 4, 6)
    assert stopped_while_ramping_up == {"run": (0, 6), "ramp_up": (0, 4), "steady": (4, 4), "drain": (4, 6)}


@pytest.mark.parametrize(
    ("text", "settings", "why"),
    [
        (
            "errors < 1 % during ramp_up",
            {"ramp_up": 0},
            "the load is at its highest from the start; remove 'during r",
        ),
        (
            "errors < 1 % during ramp_up",
            {"stages": [{"holders": 10, "for": "5m"}]},
            "the load is at its highest from the start; remove 'during ramp_up'",
        ),
        (
            "errors < 1 % during ramp_up",
            {"load_model": "open", "stages": [{"rate": 1, "for": "5m"}]},
            "the load is at its highest from the start; remove 'during ramp_up'",
        ),
        (
            "errors < 1 % during steady",
            {"ramp_up": "20s", "duration": 20},
            "is not at its highest before 20 s, and ends",
        ),
        (
            "errors < 1 % during steady",
            {"stages": [{"holders": 10, "over": "5m"}]},
            "the load is not at its highest before 300 s, and ends after 300 s; it must last longer",
        ),
        (
            "errors < 1 % during steady",
            {
                "load_model": "open",
                "stages": [{"rate": 1, "over": 0.1}, {"rate": 2, "over": 0.2}, {"rate": 3, "over": 0.7}],
            },
            "the load is not at its highest before 1 s, and ends after 1 s; it must last longer",
        ),
        ("errors < 1 % during drain", {"duration": 0}, "there is no such phase, because stampede_duration is 0"),
    ],
)
def test_a_phase_that_a_run_does_not_have(
    variables: dict[str, Any], text: str, settings: dict[str, Any], why: str
) -> None:
    settings = {f"stampede_{name}": value for name, value in settings.items()}
    (sentence,) = check_variables(variables | settings | {"stampede_thresholds": [text]})
    assert sentence.startswith(f"stampede_thresholds[0] is {text!r}; ") and why in sentence


def test_a_threshold_is_there_once(variables: dict[str, Any]) -> None:
    (sentence,) = check_variables(variables | {"stampede_thresholds": ["errors = 0", " errors  = 0"]})
    assert sentence == "stampede_thresholds[1] is ' errors  = 0'; it is listed twice; list it once"


@pytest.mark.parametrize("value", ["errors < 1 %", [{"errors": 1}], 3])
def test_thresholds_are_a_list_of_texts(variables: dict[str, Any], value: Any) -> None:
    (sentence,) = check_variables(variables | {"stampede_thresholds": value})
    assert sentence == f"stampede_thresholds is {value!r}; it must be a list of texts"


class TestSteps:
    """A threshold is about a step that the script does."""

    def refused(self, variables: dict[str, Any], *texts: str) -> list[str]:
        with pytest.raises(BadInput) as caught:
            try_script(variables | {"stampede_thresholds": list(texts)}, TEMPLATES)
        return caught.value.sentences

    def test_a_name_that_is_nearly_right(self, variables: dict[str, Any]) -> None:
        (sentence,) = self.refused(variables, "errors < 1 %", "present_prof p95 < 2 s")
        assert sentence.startswith(
            "stampede_thresholds[1] is 'present_prof p95 < 2 s'; 'present_prof' is not a step of the script; "
            "it must be one of connect, "
        )
        assert sentence.endswith("; did you mean present_proof?")

    def test_a_step_of_other_scripts(self, variables: dict[str, Any]) -> None:
        (sentence,) = self.refused(variables, "ping p95 < 2 s")
        assert "'ping' is not a step of the script; it must be one of" in sentence

    def test_steps_of_this_script(self, variables: dict[str, Any]) -> None:
        try_script(
            variables | {"stampede_thresholds": ["present_proof p95 < 2 s", "delete_credential max < 1 s"]}, TEMPLATES
        )

    def test_a_step_that_comes_late(self, variables: dict[str, Any]) -> None:
        late = {"stampede_duration": "1h", "stampede_presentations_min": 10, "stampede_presentations_max": 10}
        waits = {"stampede_wait_min": 60, "stampede_thresholds": ["request_revocation errors < 1 %"]}
        try_script(variables | late | waits, TEMPLATES)

    def test_a_step_of_few_holders(self, variables: dict[str, Any], tmp_path: Path) -> None:
        (tmp_path / "own.py").write_text(
            "async def script(holder):\n    issuer = await holder.connect('issuer')\n"
            "    if holder.number == 7:\n        await holder.ping(issuer)\n"
        )
        own = {"stampede_script": "own.py", "stampede_holders": 9, "stampede_thresholds": ["ping max < 1 s"]}
        try_script(variables | own, TEMPLATES, tmp_path)

    def test_all_steps_of_a_holder_are_known(self) -> None:
        source = Path(script.__file__).read_text()
        assert set(re.findall(r'@step\("(\w+)"\)', source)) == STEPS
        assert all(hasattr(script.Holder, name) for name in STEPS)
