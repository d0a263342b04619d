"""Two runs side by side: what each step did in either, and whether the difference is more than noise.

A difference has to be both: large enough to matter, and improbable between runs that are alike. Of a long run the
smallest difference is improbable, of a short one a large difference is chance.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stampede import wording
from stampede.analysis import collected
from stampede.analysis.collected import CollectedRun
from stampede.comparison import noise as difference
from stampede.results.journal_columns import OK

LEVEL = 0.01  # of all tests of a comparison together
PERCENTILES = (50, 95)
LEAST_SHARE, LEAST_SECONDS = {"p50": 0.1, "p95": 0.2}, 0.005  # by which a time must differ to matter
LEAST_FAILED = 0.01  # by which the share of failed steps must
TEST = (
    "A step is slower or faster when p50 of its service time differs by at least 10 %, or p95 by at least 20 %, and "
    "by at least 5 ms, and the paired t-test over blocks of its records, corrected for their autocorrelation, gives "
    "p < 0.01. It fails more or less often when the share of failed steps differs by at least 1 percentage point and "
    "Fisher's exact test gives p < 0.01. All p are corrected for the number of tests (Holm)."
)
VERDICTS = {
    "slower": "slower",
    "faster": "faster",
    "mixed": "p50 and p95 differ in opposite directions",
    "no_difference": "no difference",
    "too_few": "too few records to tell",
    "only_a": "done in run A only",
    "only_b": "done in run B only",
}
# Settings that make no other load.
OF_NO_MATTER = frozenset(
    f"stampede_{name}"
    for name in (
        "abort_on_thresholds",
        "compare_with",
        "discard_runs",
        "fail_on_errors",
        "remove_from_hosts",
        "results_dir",
        "run_dir",
        "run_id",
        "thresholds",
        "watch_interval",
        "work_dir",
    )
)

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """The runs that are compared, `a` the one before; and what `of` found."""

    a: CollectedRun
    b: CollectedRun
    found: dict[str, Any]

    def runs(self) -> tuple[tuple[str, CollectedRun], tuple[str, CollectedRun]]:
        """Both runs with their names."""
        return ("a", self.a), ("b", self.b)


def compare(a: Path, b: Path) -> Pair:
    """Reads and compares two results folders. Raises ReportError as `collected.read` does."""
    one, other = collected.read(a), collected.read(b)
    return Pair(one, other, of(one, other))


def of(a: CollectedRun, b: CollectedRun) -> dict[str, Any]:
    """The comparison, as `stampede compare --json` prints it; times in seconds, `a` the run before.

    `outcome` is `no_difference`, `difference`, or `too_few` when of no step there were enough records to tell.
    A step's `verdict` is that of its times, `slower`, `faster`, `mixed` (the one percentile so, the other so),
    `no_difference`, `too_few` or, for a step that one run did not do, `only_a` or `only_b`.
    """
    names = list(dict.fromkeys([*a.summary["steps"], *b.summary["steps"]]))
    steps: dict[str, dict[str, Any]] = {name: {"a": _figures(a, name), "b": _figures(b, name)} for name in names}
    tests = [(name, test) for name in names for test in (*(f"p{its}" for its in PERCENTILES), "failed")]
    times = {name: (_times(a, name), _times(b, name)) for name in names}
    chances = difference.holm([_chance(test, steps[name], times[name]) for name, test in tests])
    for (name, test), chance in zip(tests, chances, strict=True):
        steps[name][test] = {"p": chance} | _difference(test, steps[name], chance)
    for step in steps.values():
        step["verdict"] = _verdict(step)
    outcome = _outcome(steps)
    settings = _settings(a, b)
    return {
        "outcome": outcome,
        "headline": _headline(steps, outcome),
        "findings": _findings(steps),
        "warnings": _warnings(a, b, settings),
        "test": TEST,
        "runs": {"a": _run(a), "b": _run(b)},
        "settings": settings,
        "steps": steps,
    }


def _figures(run: CollectedRun, name: str) -> dict[str, Any] | None:
    """What summary.json says of a step, with its share of failures; None when the run did not do it."""
    step: dict[str, Any] | None = run.summary["steps"].get(name)
    if step is None:
        return None
    ended = step["ok"] + step["failed"]
    return step | {"failed_share": step["failed"] / ended if ended else None}


def _times(run: CollectedRun, name: str) -> Floats:
    """The service times of the steps of a name that ended ok, in order of time."""
    records, names = run.journal.steps, run.journal.step_names
    if name not in names.list:
        return np.zeros(0)
    its = np.flatnonzero((np.asarray(records.step) == names.number(name)) & (np.asarray(records.outcome) == OK))
    order = np.argsort(np.asarray(records.end)[its], kind="stable")
    return np.asarray(records.service_time)[its[order]]


def _chance(test: str, step: dict[str, Any], times: tuple[Floats, Floats]) -> float | None:
    """The probability of such a difference between runs that are alike; None when that cannot be told."""
    a, b = step["a"], step["b"]
    if a is None or b is None:
        return None
    if test != "failed":
        return difference.of_times(*times, int(test.removeprefix("p")))
    ended = [its["ok"] + its["failed"] for its in (a, b)]
    return difference.of_shares(a["failed"], ended[0], b["failed"], ended[1]) if all(ended) else None


def _difference(test: str, step: dict[str, Any], chance: float | None) -> dict[str, Any]:
    """`ratio` (of times) or `points` (of shares), whether it `matters`, and whether it `differs`, which is more."""
    a, b = step["a"] or {}, step["b"] or {}
    if test == "failed":
        before, after = a.get("failed_share"), b.get("failed_share")
        points = after - before if before is not None and after is not None else None
        matters = points is not None and abs(points) >= LEAST_FAILED
        its: dict[str, Any] = {"points": points}
    else:
        before, after = (run.get("service_time", {}).get(test) for run in (a, b))
        known = before is not None and after is not None
        matters = known and _far_apart(before, after, LEAST_SHARE[test])
        its = {"ratio": after / before if known and before else None}
    return its | {"matters": matters, "differs": matters and chance is not None and chance < LEVEL}


def _far_apart(one: float, other: float, least_share: float) -> bool:
    least, most = sorted((one, other))
    return most - least >= LEAST_SECONDS and most >= least * (1 + least_share)


def _verdict(step: dict[str, Any]) -> str:
    for run, other in (("a", "only_b"), ("b", "only_a")):
        if step[run] is None:
            return other
    tests = [step[f"p{its}"] for its in PERCENTILES]
    directions = {"slower" if (its["ratio"] or math.inf) > 1 else "faster" for its in tests if its["differs"]}
    if directions:
        return directions.pop() if len(directions) == 1 else "mixed"
    return "no_difference" if any(its["p"] is not None for its in tests) else "too_few"


def _outcome(steps: dict[str, Any]) -> str:
    if any(_differs(step) for step in steps.values()):
        return "difference"
    if all(step["verdict"] == "too_few" for step in steps.values()):
        return "too_few"
    return "no_difference"


def _differs(step: dict[str, Any]) -> bool:
    return step["verdict"] not in ("no_difference", "too_few") or step["failed"]["differs"]


def _headline(steps: dict[str, Any], outcome: str) -> str:
    if outcome == "too_few":
        return "Too few records to tell"
    if outcome == "no_difference":
        return "No difference that is more than noise"
    parts = []
    for verdict, words in (("slower", "slower"), ("faster", "faster"), ("mixed", "differently distributed")):
        its = [name for name, step in steps.items() if step["verdict"] == verdict]
        if its:
            parts.append(f"{wording.listed(its)} {'is' if len(its) == 1 else 'are'} {words}")
    more, fewer = (
        [
            name
            for name, step in steps.items()
            if step["failed"]["differs"] and (step["failed"]["points"] > 0) == above
        ]
        for above in (True, False)
    )
    for its, words in ((more, "fails more often"), (fewer, "fails less often")):
        if its:
            parts.append(f"{wording.listed(its)} {words if len(its) == 1 else words.replace('fails', 'fail')}")
    only = [name for name, step in steps.items() if step["verdict"].startswith("only")]
    if only:
        parts.append(f"{wording.listed(only)} {'was' if len(only) == 1 else 'were'} done in one run only")
    return "; ".join(parts)


def _findings(steps: dict[str, Any]) -> list[str]:
    """A sentence for each step that differs, and one for all others."""
    found = [f"{name}: {describe(step)}." for name, step in steps.items() if _differs(step)]
    alike = sum(step["verdict"] == "no_difference" and not _differs(step) for step in steps.values())
    few = [name for name, step in steps.items() if step["verdict"] == "too_few" and not _differs(step)]
    if alike:
        found.append(f"{wording.number(alike, 'step shows', 'steps show')} no difference that is more than noise.")
    if few:
        found.append(f"Of {wording.listed(few)} there are too few records to tell.")
    return found


def verdict(step: dict[str, Any]) -> str:
    """Whether a step differs, in a few words: "slower, fails more often"."""
    failed = step["failed"]
    if not failed["differs"]:
        return VERDICTS[step["verdict"]] + _within_noise(step)
    often = f"fails {'more' if failed['points'] > 0 else 'less'} often"
    return often if step["verdict"] in ("no_difference", "too_few") else f"{VERDICTS[step['verdict']]}, {often}"


def _within_noise(step: dict[str, Any]) -> str:
    """Of a step without a difference, which of its figures differ by what would matter, were it not for noise."""
    if step["verdict"] != "no_difference":
        return ""
    large = [f"{name} {_change(step[name])}" for name in ("p50", "p95") if step[name]["matters"] and step[name]["p"]]
    return f" beyond noise ({'; '.join(large)})" if large else ""


def describe(step: dict[str, Any]) -> str:
    """What differs in a step, with the figures: "p50 1.62 s instead of 550 ms (+195 %, p < 0.001)"."""
    parts = []
    for test in (f"p{its}" for its in PERCENTILES):
        if step[test]["differs"]:
            before, after = (step[run]["service_time"][test] for run in "ab")
            parts.append(
                f"{test} {wording.seconds(after)} instead of {wording.seconds(before)} ({_change(step[test])})"
            )
    if step["failed"]["differs"]:
        before, after = (step[run]["failed_share"] for run in "ab")
        parts.append(f"{wording.percent(after)} failed instead of {wording.percent(before)}{_with_p(step['failed'])}")
    return ", ".join(parts) or verdict(step)


def _change(its: dict[str, Any]) -> str:
    return f"{its['ratio'] - 1:+.0%}, p {_p(its['p'])}".replace("%", " %", 1) if its["ratio"] else f"p {_p(its['p'])}"


def _with_p(its: dict[str, Any]) -> str:
    return f" (p {_p(its['p'])})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}" if value < 0.1 else f"= {value:.2f}"


def _run(run: CollectedRun) -> dict[str, Any]:
    summary = run.summary
    return {
        name: summary["run"][name] for name in ("id", "scenario", "started", "duration", "outcome", "headline")
    } | {
        "path": str(run.results.path),
        "hosts": sum(host["took_part"] for host in summary["hosts"].values()),
        "steps_per_second": summary["load"]["steps_per_second"],
        "peak_active_holders": summary["load"]["peak_active_holders"],
        "schedule_lag": summary["generator"]["schedule_lag"]["p99"],
        "bottleneck": summary["generator"]["bottleneck"],
    }


def _settings(a: CollectedRun, b: CollectedRun) -> list[dict[str, Any]]:
    """The settings that differ, each with its value in both runs; None where there is none."""
    one, other = (dict(_flat(run.summary["run"]["settings"])) for run in (a, b))
    return [
        {"name": name, "a": one.get(name), "b": other.get(name)}
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name) and name not in OF_NO_MATTER
    ]


def _flat(settings: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Settings by name, those within dictionaries as `stampede_services.verifier.invitation.url`."""
    flat: list[tuple[str, Any]] = []
    for name, value in settings.items():
        flat += _flat(value, f"{above}{name}.") if isinstance(value, dict) else [(f"{above}{name}", value)]
    return flat


def _warnings(a: CollectedRun, b: CollectedRun, settings: list[dict[str, Any]]) -> list[str]:
    """Why the runs may differ for other reasons than the services: their settings, versions, generators, ends."""
    warnings = []
    if settings:
        names = wording.listed([its["name"] for its in settings], 5)
        warnings.append(f"The runs had different settings: {names}.")
    hosts = [_run(run)["hosts"] for run in (a, b)]
    if hosts[0] != hosts[1]:
        warnings.append(f"Run A had {wording.number(hosts[0], 'load host')}, run B {hosts[1]}.")
    versions = [run.summary["run"]["versions"] for run in (a, b)]
    others = [name for name in versions[0] if name in versions[1] and versions[0][name] != versions[1][name]]
    if others:
        warnings.append(f"The runs had different versions of {wording.listed(sorted(others))}.")
    for name, run in (("A", a), ("B", b)):
        if run.summary["generator"]["bottleneck"]:
            warnings.append(
                f"In run {name} the load generator was the bottleneck: its times tell about the generator."
            )
        if run.summary["run"]["outcome"] in ("stopped", "broken_off"):
            warnings.append(f"Run {name} did not come to its end.")
    return warnings
