"""A comparison of two runs in a terminal, 80 columns wide: what differs, then both runs side by side."""

from rich.text import Text

from stampede import wording
from stampede.comparison.run_comparison import (
    Pair,
    RunComparison,
    RunFigures,
    SettingDifference,
    StepComparison,
    StepFigures,
)
from stampede.comparison.sentences import step_verdict
from stampede.report import terminal
from stampede.report.terminal import WIDTH, wrapped

COLOURS = {"slower": "red", "faster": "green", "mixed": "yellow", "too_few": "dim", "no_difference": "dim"}
TIMES = ("mean", "p50", "p95", "p99")
HEADER = f"{'':2}{'ok':>9}{'failed':>7}{'per s':>6}" + "".join(f"{name:>7}" for name in TIMES) * 2


def text(comparison: RunComparison) -> Text:
    """The comparison with colours, which a rich console leaves out where they do not belong."""
    parts = [
        _lines(comparison.headline, "bold"),
        *(_lines(finding) for finding in comparison.findings),
        *(_lines(warning, "yellow") for warning in comparison.warnings),
        _runs(comparison.runs),
        _steps(comparison.steps),
        Text("\n".join(terminal.checks(_both(comparison.checks), _unpainted))),
        Text("\n".join(terminal.measures(_both(comparison.measures), _unpainted))),
        _settings(comparison.settings),
        _lines(comparison.test, "dim"),
    ]
    return Text("\n\n").join(part for part in parts if part.plain)


def _lines(words: str, style: str = "") -> Text:
    return Text("\n".join(wrapped(words)), style)


def _runs(runs: dict[str, RunFigures]) -> Text:
    lines = []
    for name, run in runs.items():
        hosts = wording.number(run.hosts, "host")
        rate = wording.rate(run.steps_per_second).replace("/s", " steps/s")
        about = f"{wording.duration(run.duration)}, {hosts}, {rate}: {run.headline}"
        lines += wrapped(f"{name.upper()}  {run.id}: {about}", indent="   ")
    return Text("\n".join(lines))


def _steps(steps: dict[str, StepComparison]) -> Text:
    if not steps:
        return Text()
    lines = [Text(f"{'':24}{' service time ':-^28}{' response time ':-^28}", "dim"), Text(HEADER, "dim")]
    for name, step in steps.items():
        verdict = wording.printable(step_verdict(step))
        lines.append(Text(f"{wording.printable(name)}: ").append(verdict, COLOURS.get(step.verdict, "yellow")))
        lines += [_row(run, figures) for run, figures in (("A", step.a), ("B", step.b)) if figures]
    return Text("\n").join(lines)


def _row(run: str, step: StepFigures) -> Text:
    times = [wording.seconds(kind.figure(name)) for kind in (step.service_time, step.response_time) for name in TIMES]
    line = f" {run}{wording.count(step.ok):>9}{wording.count(step.failed):>7}"
    line += f"{wording.rate(step.per_second).removesuffix('/s'):>6}"
    return Text(line + "".join(f" {time:>6}" for time in times))


def _both[T](pairs: dict[str, Pair[T]]) -> dict[str, T]:
    """The figures of both runs by name, under each other."""
    rows: dict[str, T] = {}
    for name, pair in pairs.items():
        rows |= {f"{run} {name}": figures for run, figures in (("A", pair.a), ("B", pair.b)) if figures is not None}
    return rows


def _unpainted(text: str, *_: str) -> str:
    return text


def _settings(settings: list[SettingDifference]) -> Text:
    lines = []
    for setting in settings:
        in_a, in_b = (
            str(value)[: WIDTH // 2] if value is not None else wording.NONE for value in (setting.a, setting.b)
        )
        lines += wrapped(f"{setting.name}: {in_a} in A, {in_b} in B", indent="    ")
    return Text("\n".join(lines))
