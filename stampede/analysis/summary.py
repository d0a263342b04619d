"""summary.json: what a run bore, how long its steps took, what failed, and whether the generator kept up.

Times are seconds. Percentiles are exact: computed over the raw records of all hosts together, with linear
interpolation between the two nearest records, never averaged. They cover the steps that were ok; how many
failed stands beside them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stampede import wording
from stampede.analysis import generator, time_spent, verdict
from stampede.analysis import host_differences as comparison
from stampede.analysis import host_outcomes as hosts
from stampede.analysis import start_skew as start
from stampede.analysis import threshold_verdicts as thresholds
from stampede.analysis.faults import Fault
from stampede.analysis.load_window import SECOND, Window
from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import FAILED, INTERRUPTED, OK, Event, Journal

PERCENTILES = (50, 90, 95, 99)
FIGURES = ("mean", "p50", "p90", "p95", "p99", "max")
MOST_EXAMPLES = 5


def summarize(results: ResultsFolder, journal: Journal, window: Window | None, faults: list[Fault]) -> dict[str, Any]:
    """The summary of a run; see docs/reading-results.md for the meaning of every figure."""
    described = hosts.describe(results, journal, window, faults)
    judged = generator.judge(journal, window)
    times_of_hosts = comparison.service_times(journal)
    comparison.add_figures(journal, times_of_hosts, described, judged)
    summary: dict[str, Any] = {
        "run": _run(results, journal, window),
        "hosts": described,
        "load": _load(journal, window),
        "generator": judged,
        "comparison": comparison.of(journal, times_of_hosts, described, window.seconds if window else None),
        "steps": _steps(journal, window),
        "thresholds": thresholds.judge(results, journal, window),
        "time_spent": time_spent.of(journal, window),
        "errors": _errors(journal, window),
        "events": [_event(event, window) for event in sorted(journal.events, key=lambda event: event.time)],
        "journal": _completeness(results, journal),
    }
    delays = {name: host["start_delay"] for name, host in described.items() if host["start_delay"] is not None}
    summary["run"]["start_skew"] = start.skew(delays)
    summary["run"] |= verdict.of(summary)
    return summary


def _run(results: ResultsFolder, journal: Journal, window: Window | None) -> dict[str, Any]:
    """Who, when, with which settings. The verdict is added later."""
    settings: dict[str, Any] = results.run.get("settings") or next(
        (host.run["settings"] for host in results.hosts if isinstance(host.run.get("settings"), dict)), {}
    )
    versions: dict[str, str] = {}
    for source in (results.run, *(host.run for host in results.hosts)):
        its = source.get("versions")
        for name, version in its.items() if isinstance(its, dict) else ():
            known = versions.setdefault(name, str(version)).split(", ")
            if str(version) not in known:
                versions[name] = ", ".join([*known, str(version)])
    seed = settings.get("stampede_seed", settings.get("seed"))
    return {
        "id": results.run.get("run_id") or ", ".join(journal.runs.list) or results.path.resolve().name,
        "scenario": ", ".join(journal.scenarios.list) or results.run.get("scenario") or "unknown",
        "started": wording.moment(window.start / SECOND) if window else None,
        "ended": wording.moment(window.end / SECOND) if window else None,
        "duration": window.seconds if window else None,
        "seed": seed,
        "settings": _shown(settings),
        "versions": versions,
    }


def _shown(value: Any) -> Any:
    """A setting as it may be shown: passwords in URLs blotted out, of secrets the names alone."""
    if isinstance(value, dict):
        return {
            name: sorted(its) if name == "stampede_secrets" and isinstance(its, dict) else _shown(its)
            for name, its in value.items()
        }
    if isinstance(value, list):
        return [_shown(its) for its in value]
    return wording.without_passwords(value) if isinstance(value, str) else value


def _load(journal: Journal, window: Window | None) -> dict[str, Any]:
    """How much load was borne, all steps together."""
    outcome = np.asarray(journal.steps.outcome)
    ok, failed, interrupted = (int((outcome == which).sum()) for which in (OK, FAILED, INTERRUPTED))
    step = np.asarray(journal.steps.step)
    presented = 0
    if "present_proof" in journal.step_names.list:
        number = journal.step_names.number("present_proof")
        presented = int(((step == number) & (outcome == OK)).sum())
    return {
        "ok": ok,
        "failed": failed,
        "interrupted": interrupted,
        "steps_per_second": _per_second(ok, window),
        "presentations": presented,
        "presentations_per_second": _per_second(presented, window),
        "peak_active_holders": hosts.peak_active(journal, window),
    }


def _per_second(number: int, window: Window | None) -> float | None:
    return number / window.seconds if window and window.seconds > 0 else None


def _steps(journal: Journal, window: Window | None) -> dict[str, Any]:
    """The figures of each step, in the order in which the steps were first done."""
    records = journal.steps
    step, outcome, error = (np.asarray(column) for column in (records.step, records.outcome, records.error))
    service_time, response_time = np.asarray(records.service_time), np.asarray(records.response_time)
    end = np.asarray(records.end)
    figures: list[tuple[float, str, dict[str, Any]]] = []
    for number, name in enumerate(journal.step_names.list):
        its = step == number
        if not its.any():
            continue
        ok = its & (outcome == OK)
        failed = its & (outcome == FAILED)
        classes = np.bincount(error[failed], minlength=len(journal.errors.list))
        first = float((end[its] - response_time[its] * SECOND).min())
        figures.append(
            (
                first,
                name,
                {
                    "ok": int(ok.sum()),
                    "failed": int(failed.sum()),
                    "interrupted": int((its & (outcome == INTERRUPTED)).sum()),
                    "per_second": _per_second(int(ok.sum()), window),
                    "errors": {
                        journal.errors.list[which]: int(classes[which])
                        for which in np.argsort(-classes, kind="stable")
                        if classes[which]
                    },
                    "service_time": times(service_time[ok]),
                    "response_time": times(response_time[ok]),
                },
            )
        )
    return {name: its for _, name, its in sorted(figures, key=lambda entry: entry[0])}


def times(values: NDArray[np.float64]) -> dict[str, float | None]:
    """Mean, percentiles and maximum of times in seconds; None each when there are none."""
    if not values.size:
        return dict.fromkeys(FIGURES)
    figures = [values.mean(), *np.percentile(values, PERCENTILES), values.max()]
    return {name: float(figure) for name, figure in zip(FIGURES, figures, strict=True)}


def _errors(journal: Journal, window: Window | None) -> dict[str, Any]:
    """The error classes, most frequent first, each with its first occurrence and examples of its words."""
    records = journal.steps
    error, step = np.asarray(records.error), np.asarray(records.step)
    counts = np.bincount(error[error >= 0], minlength=len(journal.errors.list))
    errors: dict[str, Any] = {}
    for number in np.argsort(-counts, kind="stable"):
        name = journal.errors.list[number]
        by_step = np.bincount(step[error == number], minlength=len(journal.step_names.list))
        examples = journal.examples[name]
        first = examples.first
        words = sorted(examples.details.items(), key=lambda entry: -entry[1])[:MOST_EXAMPLES]
        errors[name] = {
            "count": int(counts[number]),
            "steps": {journal.step_names.list[which]: int(by_step[which]) for which in np.flatnonzero(by_step)},
            "first": {
                "time": wording.moment(first.time / SECOND),
                "after": window.after(first.time) if window else None,
                "host": first.host,
                "step": first.step,
                "holder": first.holder,
                "service": first.service,
                "detail": wording.without_passwords(first.detail),
            },
            "examples": [{"detail": wording.without_passwords(detail), "count": count} for detail, count in words],
        }
    return errors


def _event(event: Event, window: Window | None) -> dict[str, Any]:
    return {
        "time": wording.moment(event.time / SECOND),
        "after": window.after(event.time) if window else None,
        "host": event.host,
        "kind": event.kind,
        "text": wording.without_passwords(event.text),
    }


def _completeness(results: ResultsFolder, journal: Journal) -> dict[str, Any]:
    """How whole the journals were, and what of the folder could not be read."""
    notes = list(results.notes)
    for host, reading in journal.readings.items():
        if reading.torn:
            notes.append(f"The journal of host {host} ends in a torn line, which was passed over.")
        if reading.not_understood:
            lines = wording.number(reading.not_understood, "line")
            notes.append(
                f"The journal of host {host} has {lines} that were not understood, "
                f"the first being line {reading.first_not_understood}."
            )
        if reading.events_left_out:
            notes.append(f"{wording.number(reading.events_left_out, 'event')} of host {host} are not shown.")
    for host_folder in results.hosts:
        if host_folder.journal is None:
            notes.append(f"Host {host_folder.name} left no journal.")
        elif not host_folder.state:
            notes.append(f"Host {host_folder.name} left no state.json; what is said of it comes from its journal.")
    if len(journal.runs.list) > 1:
        notes.append(f"The journals hold records of several runs: {wording.listed(journal.runs.list)}.")
    readings = journal.readings.values()
    return {
        "records": sum(reading.records for reading in readings),
        "torn_lines": sum(reading.torn for reading in readings),
        "lines_not_understood": sum(reading.not_understood for reading in readings),
        "notes": notes,
    }
