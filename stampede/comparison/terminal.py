"""A comparison of two runs in a terminal: what differs, then both runs side by side; 80 columns."""

from typing import Any

from rich.text import Text

from stampede import wording
from stampede.comparison import runs as compare
from stampede.report.terminal import WIDTH, printable, wrapped

COLOURS = {"slower": "red", "faster": "green", "mixed": "yellow", "too_few": "dim", "no_difference": "dim"}
TIMES = ("mean", "p50", "p95", "p99")
HEADER = f"{'':2}{'ok':>9}{'failed':>7}{'per s':>6}" + "".join(f"{name:>7}" for name in TIMES) * 2


def text(found: dict[str, Any]) -> Text:
    """What `compare.of` found, with colours, which a rich console leaves out where they do not belong."""
    parts = [
        _lines(found["headline"], "bold"),
        *(_lines(finding) for finding in found["findings"]),
        *(_lines(warning, "yellow") for warning in found["warnings"]),
        _runs(found["runs"]),
        _steps(found["steps"]),
        _settings(found["settings"]),
        _lines(found["test"], "dim"),
    ]
    return Text("\n\n").join(part for part in parts if part.plain)


def _lines(words: str, style: str = "") -> Text:
    return Text("\n".join(wrapped(words)), style)


def _runs(runs: dict[str, Any]) -> Text:
    lines = []
    for name, run in runs.items():
        rate = wording.rate(run["steps_per_second"]).replace("/s", " steps/s")
        about = (
            f"{wording.duration(run['duration'])}, {wording.number(run['hosts'], 'host')}, {rate}: {run['headline']}"
        )
        lines += wrapped(f"{name.upper()}  {run['id']}: {about}", indent="   ")
    return Text("\n".join(lines))


def _steps(steps: dict[str, Any]) -> Text:
    if not steps:
        return Text()
    lines = [Text(f"{'':24}{' service time ':-^28}{' response time ':-^28}", "dim"), Text(HEADER, "dim")]
    for name, step in steps.items():
        told = Text(f"{printable(name)}: ").append(compare.verdict(step), COLOURS.get(step["verdict"], "yellow"))
        lines.append(told)
        lines += [_row(run, step[run]) for run in "ab" if step[run]]
    return Text("\n").join(lines)


def _row(run: str, step: dict[str, Any]) -> Text:
    times = [wording.seconds(step[kind][name]) for kind in ("service_time", "response_time") for name in TIMES]
    line = f" {run.upper()}{wording.count(step['ok']):>9}{wording.count(step['failed']):>7}"
    line += f"{wording.rate(step['per_second']).removesuffix('/s'):>6}"
    return Text(line + "".join(f" {its:>6}" for its in times))


def _settings(settings: list[dict[str, Any]]) -> Text:
    lines = []
    for its in settings:
        values = [str(its[run])[: WIDTH // 2] if its[run] is not None else wording.NONE for run in "ab"]
        lines += wrapped(f"{its['name']}: {values[0]} in A, {values[1]} in B", indent="    ")
    return Text("\n".join(lines))
