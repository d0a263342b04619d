"""Thresholds: pass/fail criteria of a run, such as ``present_proof p95 response_time < 2 s``.

The grammar, the phases and what each figure means are described in docs/thresholds.md.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from stampede.schema.errors import BadInput
from stampede.schema.plain_numbers import exact, plain
from stampede.schema.records import LARGEST_MEASURE, CheckRecord, Observation

RUN, RAMP_UP, STEADY, DRAIN = PHASES = ("run", "ramp_up", "steady", "drain")
RESPONSE_TIME, SERVICE_TIME = TIMES = ("response_time", "service_time")
ERRORS, THROUGHPUT, MEAN, MAX = "errors", "throughput", "mean", "max"
PASSED, MIN = "passed", "min"
LEAST_SECONDS = 10.0
"""Seconds of its phase below which a throughput is not judged, of a run in progress or of a search's level."""
STEP, CHECK, MEASURE = "step", "check", "measure"
"""What a threshold may be about."""
EXAMPLE = "present_proof p95 response_time < 2 s"

_THRESHOLD = re.compile(r"([^<>=]*?)\s*(<=|>=|<|>|=)\s*([^<>=]*?)(?:\s+during\s+(\S+))?")
_QUANTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)")
_COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.le,  # "= 0": no count is below it
}
_WORD = re.compile(r'"[^"]*"|\S+')  # names of steps with spaces are quoted
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(\S*)")
_MEASURED = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?")
_PLACES = {"of": "script", "in": "group"}
_LARGEST = 1e9
"""Of a limit, in its unit. Nothing that is measured comes near it, so that nothing could ever cross it."""


class Said(NamedTuple):
    """Something that a threshold may be about: a step, a check or a measure (the ``kind``), and where it was."""

    kind: str
    name: str
    script: str = ""
    group: str = ""


def observed(record: Observation) -> tuple[str, str]:
    """What a script said: a check or a measure, and the name of that."""
    return (CHECK, record.check) if isinstance(record, CheckRecord) else (MEASURE, record.measure)


@dataclass(frozen=True, slots=True)
class Threshold:
    """One threshold. ``limit`` and the values it judges are in ``unit``: ``s``, ``%``, ``/s``; empty for a count."""

    text: str
    step: str | None
    """None: all steps together."""
    metric: str
    """``p95`` and the like, ``mean``, ``max``, ``errors`` or ``throughput``; of a check ``passed``, of a measure
    ``min``, too."""
    time: str | None
    """Which of a step's two times; None where it is not about times."""
    operator: str
    limit: float
    unit: str
    phase: str = RUN
    check: str = ""
    """The check that it is about; ``step`` is None then, as it is for a measure."""
    measure: str = ""
    script: str = ""
    """The script that it is about, with ``of``; empty: all of the run."""
    group: str = ""
    """The group, with ``in``; empty: whatever was in one or not."""

    def is_about(self, said: Said) -> bool:
        """Whether it is about what was recorded there."""
        return (
            (self.subject or (STEP, said.name)) == (said.kind, said.name)
            and self.script in ("", said.script)
            and self.group in ("", said.group)
        )

    @property
    def subject(self) -> tuple[str, str] | None:
        """What it is about, a step, a check or a measure, and the name of that; None: all steps together."""
        named = ((STEP, self.step), (CHECK, self.check), (MEASURE, self.measure))
        return next(((kind, name) for kind, name in named if name), None)

    @property
    def quantile(self) -> float | None:
        """The share of steps that a percentile is about, such as 0.95; None for other figures."""
        match = _QUANTILE.fullmatch(self.metric)
        return float(match[1]) / 100 if match else None

    @property
    def what(self) -> str:
        """The figure's name in a sentence, such as ``present_proof p95 response_time during steady``."""
        kind, name = self.subject or ("", "")
        words = [
            "" if kind == STEP else kind,
            f'"{name}"' if " " in name or (kind != STEP and _is_metric(name)) else name,
            self.metric,
            self.time,
            f"of {self.script}" if self.script else "",
            f"in {quoted(self.group)}" if self.group else "",
            "" if self.phase == RUN else f"during {self.phase}",
        ]
        return " ".join(word for word in words if word)

    @property
    def asked(self) -> str:
        """What is asked of the figure, such as ``< 2 s``."""
        number = exact(self.limit) if self.measure else f"{self.limit:.6g}"
        return f"{self.operator} {_in_words(self.limit, self.unit, number)}"

    def is_kept_by(self, value: Any) -> Any:
        """Whether ``value`` is as it should be; of a numpy array, each of its values."""
        return _COMPARISONS[self.operator](value, self.limit)

    def shown(self, value: float) -> str:
        """A value in words, with three figures, or with as many as it takes to tell it from the limit."""
        if self.measure:
            text = plain(value)
            return exact(value) if float(text.replace(",", "")) == self.limit != value else text
        decimals = 0 if not self.unit or value >= 99.95 or not value else 1 if value >= 9.995 else 2
        if 0 < value < 0.995 and self.unit:
            decimals = 2 - math.floor(math.log10(value))
        text = f"{value:.{decimals}f}"
        if float(text) == self.limit != value:
            text = f"{value:.9g}"
        return _in_words(value, self.unit, text)


def _in_words(value: float, unit: str, text: str) -> str:
    if unit == "s" and 0 < value < 1:
        return f"{float(text) * 1000:.6g} ms"
    return text + ("/s" if unit == "/s" else f" {unit}" if unit else "")


def parse(text: str) -> Threshold:
    """Read a threshold. Raises ValueError, whose message says what is wrong and would be right.

    >>> parse("connect p99 service_time <= 800 ms during steady").limit
    0.8
    """
    text = " ".join(text.split())
    match = _THRESHOLD.fullmatch(text)
    if not match:
        raise ValueError(f"it must be a figure, <, <=, >, >= or =, and a limit, such as {EXAMPLE!r}")
    words, comparison, limit, phase = _WORD.findall(match[1]), match[2], match[3], match[4] or RUN
    words, where = _without_places(words)
    if phase not in PHASES:
        raise ValueError(f"{phase!r} is not a phase; {_right(phase, PHASES)}")
    if len(words) > 1 and words[0] in (CHECK, MEASURE) and not _is_metric(words[1]):
        found = _of_script(text, words, comparison, limit, phase)
    else:
        step, metric, time = _figure(words)
        number, unit = _limit(metric, comparison, limit)
        found = Threshold(text, step, metric, time, comparison, number, unit, phase)
    return replace(found, script=where.get("script", ""), group=where.get("group", ""))


def _without_places(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """The words without ``of SCRIPT`` and ``in GROUP`` at their end, and what these name."""
    found: dict[str, str] = {}
    while len(words) > 2 and words[-2] in _PLACES:
        place, name = _PLACES[words[-2]], words[-1].strip('"')
        if place in found:
            raise ValueError(f"it names two {place}s; it must name one, or none")
        if not name:
            raise ValueError(f"it names no {place} after {words[-2]!r}")
        found[place] = name
        words = words[:-2]
    if len(words) > 1 and words[-1] in _PLACES:
        raise ValueError(f"it names no {_PLACES[words[-1]]} after {words[-1]!r}")
    return words, found


def quoted(name: str) -> str:
    """A name as a threshold has it: in quotes when it has spaces."""
    return f'"{name}"' if " " in name else name


def _figure(words: list[str]) -> tuple[str | None, str, str | None]:
    """Step, figure and time of ``[STEP] FIGURE [TIME]``."""
    place = next((place for place, word in enumerate(words[:2]) if _is_metric(word)), None)
    if place is None:
        candidates = [word for word in words[:2] if word not in TIMES]
        if not candidates:
            raise ValueError(f"it names no figure; it must be a threshold such as {EXAMPLE!r}")
        wrong = candidates[-1]
        nearest = difflib.get_close_matches(wrong, (ERRORS, THROUGHPUT, MEAN, MAX), n=1)
        raise ValueError(
            f"{wrong!r} is not a figure; "
            "it must be a percentile such as p95 or p99.9, mean, max, errors or throughput"
            + (f"; did you mean {nearest[0]}?" if nearest else "")
        )
    step, metric, rest = words[0] if place else None, words[place], words[place + 1 :]
    if step and step.startswith('"'):
        step = step.strip('"')
    elif step and not re.fullmatch(r"\w+", step):
        raise ValueError(f"{step!r} is not the name of a step; it must be a name such as present_proof")
    if metric in (ERRORS, THROUGHPUT):
        if rest:
            raise ValueError(f"{' '.join(rest)!r} must not follow {metric}; remove it")
        return step, metric, None
    if len(rest) > 1 or (rest and rest[0] not in TIMES):
        raise ValueError(f"{' '.join(rest)!r} is not a time of a step; {_right(rest[0], TIMES)}")
    return step, metric, rest[0] if rest else RESPONSE_TIME


def _of_script(text: str, words: list[str], comparison: str, limit: str, phase: str) -> Threshold:
    """A threshold about what the script says itself: ``check NAME passed``, ``measure NAME FIGURE``."""
    kind, name, figure = words[0], words[1], " ".join(words[2:])
    name = name[1:-1] if name.startswith('"') and name.endswith('"') else name
    if not name or '"' in name:
        raise ValueError(f"it names no {kind}; it must, with quotes around a name that has spaces")
    quantile = _QUANTILE.fullmatch(figure)
    if kind == CHECK:
        if figure != PASSED:
            raise ValueError(f"{figure!r} is not a figure of a check; it must be passed")
        match = _NUMBER.fullmatch(limit)
        share = float(match[1]) if match and match[2] == "%" else math.nan
        if not (0 < share <= 100 if comparison == ">=" else 0 <= share < 100 and comparison == ">"):
            raise ValueError("passed must be followed by > or >= and a share of at most 100 %, such as >= 99 %")
        return Threshold(text, None, PASSED, None, comparison, share, "%", phase, check=name)
    if figure not in (MEAN, MAX, MIN) and not (quantile and float(quantile[1]) > 0):
        raise ValueError(
            f"{figure!r} is not a figure of a measure; it must be a percentile such as p95, mean, max or min"
        )
    number = float(limit.replace(",", "")) if _MEASURED.fullmatch(limit) else math.nan
    if comparison == "=" or not abs(number) <= LARGEST_MEASURE:
        raise ValueError(
            f"{figure} of a measure must be followed by <, <=, > or >= and a number without a unit, such as < 3, of "
            f"at most {LARGEST_MEASURE:,.0f}"
        )
    return Threshold(text, None, figure, None, comparison, number, "", phase, measure=name)


def _is_metric(word: str) -> bool:
    match = _QUANTILE.fullmatch(word)
    return float(match[1]) > 0 if match else word in (ERRORS, THROUGHPUT, MEAN, MAX)


def _limit(metric: str, comparison: str, text: str) -> tuple[float, str]:
    """The limit and its unit, checked against the figure."""
    match = _NUMBER.fullmatch(text)
    number, unit = (float(match[1]), match[2]) if match else (math.nan, "")
    if number > _LARGEST:
        raise ValueError(f"its limit must be at most {_LARGEST:.0f}")
    if metric == THROUGHPUT:
        if unit != "/s" or not number > 0 or comparison not in (">", ">="):
            raise ValueError("throughput must be followed by > or >= and steps a second above 0, such as >= 5/s")
    elif metric == ERRORS:
        never = number == 0 and comparison == "<"
        if unit not in ("%", "") or math.isnan(number) or never or comparison in (">", ">="):
            raise ValueError(
                "errors must be followed by < or <= and a share or a count, such as < 1 % or <= 3, or by = 0"
            )
        if comparison == "=" and number:
            raise ValueError(f"errors can be = 0 only; it must be <= {text}")
        if unit == "%" and number > 100:
            raise ValueError("a share of errors must be at most 100 %")
        if not unit and not number.is_integer():
            raise ValueError(f"a count of errors must be a whole number; a share needs a percent sign: {text} %")
    elif unit not in ("s", "ms") or not number > 0 or comparison not in ("<", "<="):
        raise ValueError(f"{metric} must be followed by < or <= and a time above 0 in s or ms, such as < 2 s")
    return (number / 1000, "s") if unit == "ms" else (number, unit)


def _right(found: str, choices: Collection[str]) -> str:
    """What a word must be, and which of the choices it comes near to."""
    nearest = difflib.get_close_matches(found, choices, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"it must be one of {', '.join(choices)}{hint}"


# ---------------------------------------------------------------- phases


def spans(
    steady_after: float,
    draining: float | None,
    end: float,
    *,
    warm_up: float = 0.0,
    cool_down_begins: float = math.inf,
) -> dict[str, tuple[float, float]]:
    """From when to when each phase lasts, in seconds from the start of a run that has come to ``end``.

    ``steady_after``: when the load has reached its level.
    ``draining``: when the first host began to drain, None where none has. A step belongs to the phase in which it
    ends. A phase that has not come has no length. The phase ``run`` is the run without its warm-up and cool-down.
    """
    drained = end if draining is None else min(max(draining, 0.0), end)
    ramped = min(steady_after, drained)
    measured = end if math.isinf(cool_down_begins) else min(cool_down_begins, drained)
    return {
        RUN: (min(warm_up, measured), measured),
        RAMP_UP: (0.0, ramped),
        STEADY: (ramped, drained),
        DRAIN: (drained, end),
    }


# ---------------------------------------------------------------- checks


def check(texts: Iterable[str], why_no_phase: Callable[[str], str], scripts: Collection[str] = ()) -> list[str]:
    """A sentence for each of ``stampede_thresholds`` that the run cannot be judged by.

    ``why_no_phase`` says why the run's load model has no such phase, empty when it has. ``scripts``: the names of
    ``stampede_scripts``.
    """
    sentences: list[str] = []
    known: set[str] = set()
    for place, text in enumerate(texts):
        try:
            threshold = parse(text)
            if threshold.text in known:
                raise ValueError("it is listed twice; list it once")
            known.add(threshold.text)
            if reason := why_no_phase(threshold.phase):
                raise ValueError(reason)
            if threshold.script and not scripts:
                raise ValueError(f"the run has one script only; remove 'of {threshold.script}'")
            if threshold.script and threshold.script not in scripts:
                right = _right(threshold.script, scripts)
                raise ValueError(f"{threshold.script!r} is not a script of the run; {right}")
        except ValueError as error:
            sentences.append(_sentence(place, text, str(error)))
    return sentences


def check_subjects(texts: Iterable[str], said: Collection[Said]) -> None:
    """Raises BadInput with a sentence for each threshold about something that is not among what the scripts do."""
    sentences = [
        _sentence(place, text, why) for place, text in enumerate(texts) if (why := _why_nothing(parse(text), said))
    ]
    if sentences:
        raise BadInput(*sentences)


def _why_nothing(threshold: Threshold, said: Collection[Said]) -> str:
    """Why there is nothing to judge a threshold by; empty when there is."""
    if any(threshold.is_about(each) for each in said) or not (threshold.subject or threshold.group):
        return ""
    of_script = {each for each in said if threshold.script in ("", each.script)}
    whose = f"script {threshold.script}" if threshold.script else "script"
    if threshold.group and threshold.group not in (groups := {each.group for each in of_script if each.group}):
        why = f"{threshold.group!r} is not a group of the {whose}; "
        return why + (
            _right(threshold.group, sorted(groups))
            if groups
            else f"it has none, so it must have 'with holder.group({threshold.group!r}):'"
        )
    kind, name = threshold.subject or (STEP, "")
    within = f" in the group {threshold.group}" if threshold.group else ""
    names = sorted({each.name for each in of_script if each.kind == kind and threshold.group in ("", each.group)})
    why = f"{name!r} is not a {kind} of the {whose}{within}; "
    return why + (_right(name, names) if names else f"it has none, so it must call holder.{kind}({name!r}, ...)")


def _sentence(place: int, text: str, why: str) -> str:
    return f"stampede_thresholds[{place}] is {text!r}; {why}"
