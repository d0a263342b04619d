"""Builds summary.json: what load a run made, how long its steps took, what failed, whether the generator kept up."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stampede import wording
from stampede.analysis.active_holders import peak_active
from stampede.analysis.generator import build_generator
from stampede.analysis.host_differences import compare_hosts, service_times_by_host, with_figures
from stampede.analysis.host_outcomes import build_hosts
from stampede.analysis.limits import find_limits, unknown_services
from stampede.analysis.load_window import SECOND, Window
from stampede.analysis.losses import find_losses
from stampede.analysis.measured import Measured
from stampede.analysis.observations import build_checks, build_measures
from stampede.analysis.percentiles import summarize_times
from stampede.analysis.phones import build_phones
from stampede.analysis.search import build_search, confirming
from stampede.analysis.start_skew import start_skew
from stampede.analysis.threshold_verdicts import judge_thresholds
from stampede.analysis.time_spent import build_time_spent
from stampede.analysis.verdict import build_verdict
from stampede.load_models import catalog
from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import FAILED, INTERRUPTED, OK, OUTCOMES, Event, JournalColumns
from stampede.schema.faults import Fault
from stampede.schema.host_summary import HostSummary, StepCounts
from stampede.schema.summary import (
    Completeness,
    ErrorExample,
    ErrorSummary,
    EventSummary,
    FailedPart,
    FirstError,
    LoadSummary,
    MeasuredPart,
    RunOutcome,
    RunSummary,
    ScriptSummary,
    StepSummary,
    Summary,
)

MAX_EXAMPLES = 5
PRESENTATION = "present_proof"


def build_summary(
    results: ResultsFolder,
    journal: JournalColumns,
    window: Window | None,
    measured: Measured,
    faults: list[Fault],
) -> Summary:
    """The summary of a run, with the figures of its measured part; docs/reading-results.md says what each means.

    Percentiles are exact, over the raw records of all hosts together. They cover the steps that ended ok; how many
    failed stands beside them.
    """
    model = catalog.recorded_model(results.settings)
    part = measured.window
    generator = build_generator(journal, part, rounds_are_due=model.rounds_are_due)
    times = service_times_by_host(measured.journal)
    hosts = with_figures(build_hosts(results, journal, window, faults), measured, times, generator)
    search = build_search(results, journal, window)
    limits = find_limits(journal, window)
    level = confirming(search) if search else None
    spans = dict.fromkeys(measured.spans, (level.since, level.until)) if level else measured.spans
    summary = Summary(
        run=_run(results, journal, window, hosts),
        hosts=hosts,
        load=_load(journal, measured),
        generator=generator,
        comparison=compare_hosts(journal, times, hosts, part.seconds if part else 0.0),
        steps=_steps(measured),
        thresholds=judge_thresholds(results, journal, window, spans, of_a_level=level is not None),
        time_spent=build_time_spent(measured.journal, part),
        errors=_errors(journal, window),
        events=[_event(event, window) for event in sorted(journal.events, key=lambda event: event.time)],
        journal=_completeness(results, journal),
        losses=find_losses(results, journal, hosts),
        phones=build_phones(journal),
        limits=limits,
        limits_unknown=unknown_services(journal, limits),
        scripts=_scripts(journal, measured),
        groups=_groups(measured),
        failed_parts=_failed_parts(journal),
        measured=_measured_part(journal, window, measured),
        checks=build_checks(measured.journal),
        measures=build_measures(measured.journal),
        teardown=results.teardown,
        search=search,
    )
    verdict = build_verdict(summary)
    run = replace(
        summary.run,
        outcome=verdict.outcome,
        passed=verdict.outcome == RunOutcome.PASSED,
        headline=verdict.headline,
        findings=verdict.findings,
    )
    return replace(summary, run=run)


def _run(
    results: ResultsFolder, journal: JournalColumns, window: Window | None, hosts: dict[str, HostSummary]
) -> RunSummary:
    """Which run, when, with which settings; `build_summary` adds the verdict."""
    settings = results.settings
    versions: dict[str, str] = {}
    for noted in (results.run.versions, *(host.record.versions for host in results.hosts)):
        for name, version in noted.items():
            known = versions.setdefault(name, version).split(", ")
            if version not in known:
                versions[name] = ", ".join([*known, version])
    return RunSummary(
        id=results.run.run_id or ", ".join(journal.runs.list) or results.path.resolve().name,
        scenario=", ".join(journal.scenarios.list) or results.run.scenario or "unknown",
        started=wording.moment(window.start / SECOND) if window else None,
        ended=wording.moment(window.end / SECOND) if window else None,
        duration=window.seconds if window else None,
        seed=settings.get("stampede_seed", settings.get("seed")),
        settings=_without_secrets(settings),
        versions=versions,
        start_skew=start_skew([host.start_delay for host in hosts.values() if host.start_delay is not None]),
        outcome=RunOutcome.NO_LOAD,
        passed=False,
        headline="",
        findings=[],
    )


def _without_secrets(value: Any) -> Any:
    """A setting as it may be shown: without the passwords in URLs, and with the names of secrets alone."""
    if isinstance(value, dict):
        return {
            name: sorted(item) if name == "stampede_secrets" and isinstance(item, dict) else _without_secrets(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return wording.without_passwords(value) if isinstance(value, str) else value


def _measured_part(journal: JournalColumns, whole: Window | None, measured: Measured) -> MeasuredPart | None:
    """What is measured, and what is left out; None where nothing is."""
    part = measured.window
    if whole is None or part is None or part == whole:
        return None
    left_out = _outcomes(journal) - _outcomes(measured.journal)
    return MeasuredPart(
        since=whole.after(part.start),
        until=whole.after(part.end),
        left_out={
            journal.step_names.list[number]: StepCounts(
                ok=int(counts[OK]), failed=int(counts[FAILED]), interrupted=int(counts[INTERRUPTED])
            )
            for number, counts in enumerate(left_out)
            if counts.any()
        },
    )


def _outcomes(journal: JournalColumns) -> NDArray[np.int64]:
    """How often each step (a row) ended in which way (a column), by their numbers."""
    step, outcome, ways = np.asarray(journal.steps.step), np.asarray(journal.steps.outcome), len(OUTCOMES)
    names = len(journal.step_names.list)
    return np.bincount(step * ways + outcome, minlength=names * ways).reshape(names, ways)


def _load(journal: JournalColumns, measured: Measured) -> LoadSummary:
    """All steps of all hosts together; their rates are those of the measured part."""
    part, every, in_part = measured.window, _outcomes(journal), _outcomes(measured.journal)
    ok, failed, interrupted = (int(every[:, which].sum()) for which in (OK, FAILED, INTERRUPTED))
    presentations = measured_presentations = 0
    if PRESENTATION in journal.step_names.list:
        number = journal.step_names.number(PRESENTATION)
        presentations, measured_presentations = int(every[number, OK]), int(in_part[number, OK])
    verified = min(journal.verified, presentations)
    sent = min(journal.sent, presentations - verified)
    return LoadSummary(
        ok=ok,
        failed=failed,
        interrupted=interrupted,
        steps_per_second=part.rate(int(in_part[:, OK].sum())) if part else None,
        presentations=presentations,
        presentations_per_second=part.rate(measured_presentations) if part else None,
        peak_active_holders=peak_active(journal, part),
        presentations_verified=verified,
        presentations_acknowledged=presentations - verified - sent,
        presentations_sent=sent,
    )


def _scripts(journal: JournalColumns, measured: Measured) -> dict[str, ScriptSummary]:
    """The figures of each of several scripts; its holders are those of the whole run."""
    script, holder = np.asarray(journal.steps.script), np.asarray(journal.steps.holder)
    of_step = np.asarray(measured.journal.steps.script)
    return {
        name: ScriptSummary(int(np.unique(holder[script == number]).size), _steps(measured, of_step == number))
        for number, name in enumerate(journal.scripts.list)
        if name
    }


def _groups(measured: Measured) -> dict[str, dict[str, StepSummary]]:
    """The figures of the steps of each group."""
    group = np.asarray(measured.journal.steps.group)
    found = {
        name: _steps(measured, group == number) for number, name in enumerate(measured.journal.groups.list) if name
    }
    return {name: steps for name, steps in found.items() if steps}


def _failed_parts(journal: JournalColumns) -> list[FailedPart]:
    """Failures by step, script and group; empty where the run had neither several scripts nor groups."""
    steps = journal.steps
    if len(journal.scripts.list) == len(journal.groups.list) == 1:
        return []
    failed = np.asarray(steps.outcome) == FAILED
    places = np.stack([np.asarray(column)[failed] for column in (steps.step, steps.script, steps.group)])
    kinds, counts = np.unique(places, axis=1, return_counts=True)
    return [
        FailedPart(
            journal.step_names.list[step], journal.scripts.list[script], journal.groups.list[group], int(number)
        )
        for (step, script, group), number in zip(kinds.T, counts, strict=True)
    ]


def _steps(measured: Measured, among: NDArray[np.bool_] | None = None) -> dict[str, StepSummary]:
    """The figures of each step that ended in the measured part, of some of its records or of all, in the order in
    which the steps were first due."""
    journal, window = measured.journal, measured.window
    records = journal.steps
    step, outcome, error = (np.asarray(column) for column in (records.step, records.outcome, records.error))
    service_time, response_time = np.asarray(records.service_time), np.asarray(records.response_time)
    end = np.asarray(records.end)
    steps: list[tuple[float, str, StepSummary]] = []
    for number, name in enumerate(journal.step_names.list):
        here = step == number if among is None else (step == number) & among
        if not here.any():
            continue
        ok, failed = here & (outcome == OK), here & (outcome == FAILED)
        classes = np.bincount(error[failed], minlength=len(journal.errors.list))
        by_frequency = np.argsort(-classes, kind="stable")
        summary = StepSummary(
            ok=int(ok.sum()),
            failed=int(failed.sum()),
            interrupted=int((here & (outcome == INTERRUPTED)).sum()),
            per_second=window.rate(int(ok.sum())) if window else None,
            errors={journal.errors.list[which]: int(classes[which]) for which in by_frequency if classes[which]},
            service_time=summarize_times(service_time[ok]),
            response_time=summarize_times(response_time[ok]),
        )
        steps.append((float((end[here] - response_time[here] * SECOND).min()), name, summary))
    return {name: summary for _, name, summary in sorted(steps, key=lambda entry: entry[0])}


def _errors(journal: JournalColumns, window: Window | None) -> dict[str, ErrorSummary]:
    """The error classes, most frequent first, each with its first occurrence and examples of its details."""
    records = journal.steps
    error, step = np.asarray(records.error), np.asarray(records.step)
    counts = np.bincount(error[error >= 0], minlength=len(journal.errors.list))
    errors = {}
    for number in np.argsort(-counts, kind="stable"):
        name = journal.errors.list[number]
        by_step = np.bincount(step[error == number], minlength=len(journal.step_names.list))
        examples = journal.examples[name]
        first = examples.first
        details = sorted(examples.details.items(), key=lambda entry: -entry[1])[:MAX_EXAMPLES]
        errors[name] = ErrorSummary(
            count=int(counts[number]),
            steps={journal.step_names.list[which]: int(by_step[which]) for which in np.flatnonzero(by_step)},
            first=FirstError(
                time=wording.moment(first.time / SECOND),
                after=window.after(first.time) if window else None,
                host=first.host,
                step=first.step,
                holder=first.holder,
                service=first.service,
                detail=wording.without_passwords(first.detail),
            ),
            examples=[ErrorExample(wording.without_passwords(detail), count) for detail, count in details],
        )
    return errors


def _event(event: Event, window: Window | None) -> EventSummary:
    return EventSummary(
        time=wording.moment(event.time / SECOND),
        after=window.after(event.time) if window else None,
        host=event.host,
        kind=event.kind,
        text=wording.without_passwords(event.text),
    )


def _completeness(results: ResultsFolder, journal: JournalColumns) -> Completeness:
    """How complete the journals were, and what in the folder could not be read."""
    notes = list(results.notes)
    for host, reading in journal.readings.items():
        if reading.torn:
            notes.append(f"The journal of host {host} ends in an incomplete line, which was ignored.")
        if reading.events_left_out:
            notes.append(f"{wording.number(reading.events_left_out, 'event')} of host {host} are not shown.")
    for folder in results.hosts:
        if folder.journal is None:
            notes.append(f"Host {folder.name} left no journal.")
        elif not folder.state:
            notes.append(f"Host {folder.name} left no state.json; its figures come from its journal alone.")
    if len(journal.runs.list) > 1:
        notes.append(f"The journals contain records of several runs: {wording.listed(journal.runs.list)}.")
    readings = journal.readings.values()
    return Completeness(
        records=sum(reading.records for reading in readings),
        torn_lines=sum(reading.torn for reading in readings),
        lines_not_understood=sum(reading.not_understood for reading in readings),
        notes=notes,
    )
