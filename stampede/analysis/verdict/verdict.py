"""Did the run pass? Its outcome, a headline and the findings that page, terminal and summary.json have in common."""

from dataclasses import dataclass

from stampede import wording
from stampede.analysis.threshold_verdicts import uncovered_failures
from stampede.analysis.verdict import host_sentences, load_sentences, search_sentences
from stampede.analysis.verdict.comparison_sentence import comparison_sentence
from stampede.analysis.verdict.phone_sentences import phones_sentence
from stampede.schema.host_summary import HostSummary
from stampede.schema.phases import Phase
from stampede.schema.summary import Finding, LoadSummary, LossKind, RunOutcome, Summary, ThresholdVerdict


@dataclass(frozen=True)
class Verdict:
    """A word, a few words, and sentences."""

    outcome: RunOutcome
    headline: str
    findings: list[Finding]


def build_verdict(summary: Summary) -> Verdict:
    """The verdict on a run, from the other parts of its summary.

    Hosts that were left out before the start are not expected to finish.
    """
    outcome = _outcome(summary)
    comparison, generator, phones = summary.comparison, summary.generator, summary.phones
    pickup = str(summary.run.settings.get("stampede_mediator_pickup", ""))
    findings = [
        Finding("search", search_sentences.search_sentence(summary.search), False),
        Finding("search", search_sentences.fit_sentence(summary.search), False),
        *(Finding("thresholds", verdict.sentence, True) for verdict in _not_met(summary)),
        Finding("load", load_sentences.load_sentence(summary), False),
        Finding("measured", load_sentences.left_out_sentence(summary.measured), False),
        *(Finding("hosts", text, True) for text in host_sentences.host_sentences(summary)),
        *(Finding("missing", text, True) for text in host_sentences.loss_sentences(summary)),
        Finding("teardown", _sentence(summary.teardown), True),
        Finding("start", host_sentences.start_sentence(summary), False),
        Finding("time", load_sentences.time_spent_sentence(summary.time_spent), False),
        Finding("slowest", load_sentences.slowest_sentence(summary.steps), False),
        Finding("failures", load_sentences.first_failure_sentence(summary.errors), False),
        Finding(
            "checks",
            load_sentences.checks_sentence(summary),
            any(check.failed for check in summary.checks.values()),
        ),
        Finding("phones", phones_sentence(phones, pickup), bool(phones and (phones.lost or phones.held_back))),
        Finding(
            "comparison",
            comparison_sentence(comparison, summary.hosts),
            bool(comparison and comparison.stand_out),
        ),
        Finding("limits", load_sentences.limit_sentence(summary), bool(summary.limits)),
        Finding("generator", load_sentences.generator_sentence(summary), generator.bottleneck is not False),
    ]
    return Verdict(outcome, _headline(summary, outcome), [finding for finding in findings if finding.text])


def _outcome(summary: Summary) -> RunOutcome:
    if uncovered_failures(summary):
        return RunOutcome.FAILED
    if not any(step.ended for step in summary.steps.values()):
        return RunOutcome.NO_LOAD
    unfinished = _unfinished(summary)
    if any(host.phase != Phase.STOPPED for host in unfinished.values()):
        return RunOutcome.BROKEN_OFF
    if summary.losses:
        return RunOutcome.INCOMPLETE
    if _not_met(summary) or (summary.search and summary.search.highest is None):
        return RunOutcome.THRESHOLDS
    if summary.teardown:
        return RunOutcome.TEARDOWN
    return RunOutcome.STOPPED if unfinished else RunOutcome.PASSED


def _unfinished(summary: Summary) -> dict[str, HostSummary]:
    return {name: host for name, host in summary.hosts.items() if host.took_part and not host.finished}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def _not_met(summary: Summary) -> list[ThresholdVerdict]:
    """The thresholds that were crossed or could not be judged."""
    return [verdict for verdict in summary.thresholds if not verdict.passed]


def _headline(summary: Summary, outcome: RunOutcome) -> str:
    thresholds, not_met = summary.thresholds, _not_met(summary)
    if summary.search and outcome in (RunOutcome.PASSED, RunOutcome.THRESHOLDS):
        return summary.search.headline
    failures = f"{_share_that_failed(summary.load)} failed" if summary.load.failed else "no step failed"
    match outcome:
        case RunOutcome.FAILED:
            headline = f"Failed: {_share_that_failed(summary.load)}"
            if summary.losses:
                headline += f"; {_missing(summary)}"
        case RunOutcome.NO_LOAD:
            if summary.load.ended:
                return "No load was measured: every step ended in the warm-up or the cool-down"
            return "No load was generated: no step was executed"
        case RunOutcome.THRESHOLDS:
            texts = wording.listed([verdict.text for verdict in not_met])
            return f"Failed: {_count_not_met(thresholds, not_met)}: {texts}"
        case RunOutcome.PASSED if thresholds:
            met = "the threshold was" if len(thresholds) == 1 else f"all {len(thresholds)} thresholds were"
            return f"Passed: {met} met, {failures}"
        case RunOutcome.PASSED:
            return f"Passed: {failures}"
        case RunOutcome.TEARDOWN:
            return f"Failed: the script's teardown failed; {failures}"
        case RunOutcome.STOPPED:
            return f"Stopped early; until then {failures}"
        case RunOutcome.BROKEN_OFF:
            headline = f"Incomplete: {wording.listed(list(_unfinished(summary)))} did not finish; {failures}"
        case RunOutcome.INCOMPLETE:
            headline = f"Incomplete: {_missing(summary)}; {failures}"
    return f"{headline}; {_count_not_met(thresholds, not_met)}" if not_met else headline


def _missing(summary: Summary) -> str:
    """What is missing, in a few words."""
    number = sum(loss.number or 0 for loss in summary.losses)
    kinds = {loss.kind for loss in summary.losses}
    if kinds == {LossKind.HOLDERS}:
        return f"{wording.number(number, 'holder')} never started"
    if kinds == {LossKind.ARRIVALS}:
        return f"{wording.number(number, 'arrival was', 'arrivals were')} dropped"
    if kinds == {LossKind.ROUNDS}:
        return f"{wording.number(number, 'round was', 'rounds were')} dropped"
    if kinds == {LossKind.STAGE}:
        return "the hosts were in different stages"
    if kinds == {LossKind.MESSAGES}:
        return f"{wording.number(number, 'message to a holder was', 'messages to holders were')} dropped"
    hosts = list(dict.fromkeys(loss.host for loss in summary.losses))
    return f"records of {wording.listed(hosts)} are missing"


def _share_that_failed(load: LoadSummary) -> str:
    share = wording.percent(load.failed / load.ended)
    return f"{wording.count(load.failed)} of {wording.number(load.ended, 'step')} ({share})"


def _count_not_met(thresholds: list[ThresholdVerdict], not_met: list[ThresholdVerdict]) -> str:
    """How many thresholds were not met: "1 of 3 thresholds was crossed"."""
    unjudged = sum(verdict.passed is None for verdict in not_met)
    total = wording.number(len(thresholds), "threshold")
    parts = []
    if crossed := len(not_met) - unjudged:
        parts.append(f"{crossed} of {total} {'was' if crossed == 1 else 'were'} crossed")
    if unjudged:
        parts.append(f"{unjudged}{'' if parts else f' of {total}'} could not be judged")
    return " and ".join(parts)
