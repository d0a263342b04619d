"""The lines across the charts: phases, faults, recoveries, and since when thresholds were crossed."""

from collections.abc import Sequence

from stampede.analysis.load_window import Window
from stampede.report.charts.chart_data import Mark
from stampede.results.journal_columns import JournalColumns
from stampede.schema.phases import Phase
from stampede.schema.records import EventKind
from stampede.schema.summary import MeasuredPart, ThresholdVerdict

MAX_MARKS = 150
FAULTS: tuple[str, ...] = (
    EventKind.AGENT_DIED,
    EventKind.DISK_FULL,
    EventKind.INBOX_OVERFLOW,
    EventKind.PHONES_LOST,
    "journal_lost",  # which earlier versions recorded
    EventKind.UNREACHABLE,
    EventKind.LOST,
    EventKind.DIED,
    EventKind.BROKE_OFF,
    EventKind.NOT_COLLECTED,
)
KIND_WORDS: dict[str, str] = {EventKind.BROKE_OFF: "ended abruptly"}


def build_marks(
    journal: JournalColumns,
    window: Window | None,
    thresholds: Sequence[ThresholdVerdict],
    measured: MeasuredPart | None = None,
) -> list[Mark]:
    """All marks in order of time."""
    marks = [*_crossings(thresholds), *_events(journal, window), *_margins(measured, window)]
    return sorted(marks, key=lambda mark: mark.at)


def kind_in_words(kind: str) -> str:
    """The kind of an event for people: "agent died"."""
    return KIND_WORDS.get(kind, kind.replace("_", " "))


def _crossings(thresholds: Sequence[ThresholdVerdict]) -> list[Mark]:
    """Since when thresholds were crossed."""
    return [
        Mark(verdict.crossed_after, "threshold", f"crossed: {verdict.text}")
        for verdict in thresholds
        if verdict.crossed_after is not None
    ][:MAX_MARKS]


def _margins(measured: MeasuredPart | None, window: Window | None) -> list[Mark]:
    """Where the warm-up ends and the cool-down begins."""
    if measured is None or window is None:
        return []
    marks = [Mark(measured.since, "phase", "warm-up ends")] if measured.since > 0 else []
    return [*marks, Mark(measured.until, "phase", "cool-down")] if measured.until < window.seconds else marks


def _events(journal: JournalColumns, window: Window | None) -> list[Mark]:
    """Each phase once (when the first host reached it), and the faults and recoveries."""
    if window is None:
        return []
    marks: list[Mark] = []
    seen: set[str] = set()
    for event in sorted(journal.events, key=lambda event: event.time):
        if not window.start <= event.time <= window.end or len(marks) == MAX_MARKS:
            continue
        kind, text = "phase", event.text
        if not event.phase:
            kind = "fault" if event.kind in FAULTS else "note"
            text = f"{kind_in_words(event.kind)}, {event.host}"
        elif event.text in (*seen, Phase.RUNNING):
            continue
        seen.add(event.text)
        marks.append(Mark(window.after(event.time), kind, text))
    return marks
