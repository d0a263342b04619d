"""junit.xml: the verdict of a run as test cases, in the form that Jenkins, GitLab and others read.

A test case each for: load was generated, all hosts finished, the records are complete, no step of a kind failed
(unless a threshold on errors covers that), a threshold was met.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from stampede import wording
from stampede.analysis.threshold_verdicts import uncovered_failures
from stampede.schema.host_summary import StepCounts
from stampede.schema.settings.thresholds import ERRORS
from stampede.schema.summary import NOT_MADE, Summary

# What XML 1.0 does not allow; texts of services may contain it.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """A test case; `failure` is a sentence when it failed."""

    group: str
    name: str
    failure: str = ""
    seconds: float = 0.0


def build_document(summary: Summary) -> str:
    """The document, of one suite that is named after the run."""
    run, cases = summary.run, list(_cases(summary))
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failure) for case in cases)),
        "errors": "0",
        "time": f"{run.duration or 0:.3f}",
    }
    suites = ElementTree.Element("testsuites", {"name": "stampede"} | counts)
    attributes = {"name": _text(f"{run.scenario} {run.id}")} | counts
    if run.started:
        attributes["timestamp"] = run.started.removesuffix("Z")
    suite = ElementTree.SubElement(suites, "testsuite", attributes)
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("run", run.id), ("scenario", run.scenario), ("outcome", run.outcome.value)):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _text(value)})
    for case in cases:
        _add(suite, case)
    lines = [run.headline, *(finding.text for finding in run.findings)]
    ElementTree.SubElement(suite, "system-out").text = _text("\n".join(lines) + "\n")
    ElementTree.indent(suites)
    written: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return written.decode() + "\n"


def _cases(summary: Summary) -> Iterator[Case]:
    yield Case(
        "run",
        "load was generated",
        failure=_no_load(summary),
        seconds=summary.run.duration or 0.0,
    )
    unfinished = [
        f"{name} ({host.phase.replace('_', ' ')})"
        for name, host in summary.hosts.items()
        if host.took_part and not host.finished
    ]
    yield Case(
        "run",
        "all hosts finished",
        failure=f"{wording.listed(unfinished)} did not finish." if unfinished else "",
    )
    for name, is_about in (("all of the load was made", True), ("the records are complete", False)):
        texts = [loss.text for loss in summary.losses if (loss.kind in NOT_MADE) == is_about]
        yield Case("run", name, failure=" ".join(texts))
    if summary.teardown:
        yield Case("run", "teardown succeeded", failure=summary.teardown)
    uncovered = uncovered_failures(summary)
    covered = {  # None: all steps
        verdict.step
        for verdict in summary.thresholds
        if verdict.metric == ERRORS and not verdict.script and not verdict.group
    }
    for name, counts in summary.counts.items():
        if not covered & {name, None}:
            failure = _failed(name, counts, summary) if name in uncovered else ""
            yield Case("steps", f"no {name} failed", failure=failure)
    for verdict in summary.thresholds:
        yield Case("thresholds", verdict.text, failure="" if verdict.passed else verdict.sentence)


def _no_load(summary: Summary) -> str:
    if any(step.ended for step in summary.steps.values()):
        return ""
    return "No step ended in the measured part of the run." if summary.load.ended else "No step was executed."


def _failed(name: str, counts: StepCounts, summary: Summary) -> str:
    classes = [
        f"{wording.count(error.steps[name])} x {error_class}"
        for error_class, error in summary.errors.items()
        if name in error.steps
    ]
    return f"{wording.count(counts.failed)} of {counts.ended:,} failed: {wording.listed(classes)}."


def _add(suite: ElementTree.Element, case: Case) -> None:
    attributes = {
        "classname": f"stampede.{case.group}",
        "name": _text(case.name),
        "time": f"{case.seconds:.3f}",
    }
    element = ElementTree.SubElement(suite, "testcase", attributes)
    if case.failure:
        failure = ElementTree.SubElement(element, "failure", {"message": _text(case.failure), "type": case.group})
        failure.text = _text(case.failure)


def _text(text: str) -> str:
    """The text without the characters that XML does not allow."""
    return _FORBIDDEN.sub("\ufffd", text)
