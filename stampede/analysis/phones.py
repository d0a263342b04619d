"""What became of the links between phones and their mediators."""

import numpy as np

from stampede.analysis.load_window import SECOND
from stampede.results.journal_columns import JournalColumns
from stampede.schema.summary import PhonesSummary

SLOT = 10 * SECOND
"""Agents report each at moments of their own; what they say within a slot is taken for one moment."""


def build_phones(journal: JournalColumns) -> PhonesSummary | None:
    """The `phones` part of summary.json; None when there were no phones."""
    records = journal.phones
    if not records.time:
        return None
    lost = np.nan_to_num(records.column("wanted") - records.column("open"))
    longest = np.nan_to_num(records.column("reconnect_longest"))
    reconnected = _total(journal, "reconnected")
    return PhonesSummary(
        most_open=_most_open(journal),
        lost=int(sum(max(lost[last], 0) for last in _last_of_each_agent(journal))),
        opened=_total(journal, "opened"),
        dropped=_total(journal, "dropped"),
        reconnected=reconnected,
        reconnect_mean=float(np.nansum(records.column("reconnect_seconds"))) / reconnected if reconnected else None,
        reconnect_longest=float(longest.max()) if reconnected else None,
        unanswered=_total(journal, "unanswered"),
        waited=_total(journal, "waited"),
        poked=_total(journal, "poked"),
        held_back=_total(journal, "held_back"),
        refused=_total(journal, "refused"),
    )


def _total(journal: JournalColumns, name: str) -> int:
    return int(np.nansum(journal.phones.column(name)))


def _last_of_each_agent(journal: JournalColumns) -> list[int]:
    last: dict[tuple[int, int], int] = {}
    for number, agent in enumerate(zip(journal.phones.host, journal.phones.source, strict=True)):
        last[agent] = number
    return list(last.values())


def _most_open(journal: JournalColumns) -> int:
    """The most links that were open at a time, over all agents."""
    records = journal.phones
    slots: dict[int, dict[tuple[int, int], float]] = {}
    for time, host, agent, count in zip(
        records.time, records.host, records.source, records.column("open"), strict=True
    ):
        slots.setdefault(time // SLOT, {})[host, agent] = count
    return int(max(np.nansum(list(slot.values())) for slot in slots.values()))
