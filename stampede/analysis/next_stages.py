"""When a run went on to the next stage before its time, as its hosts tell."""

from __future__ import annotations

from stampede.results.journal_columns import JournalColumns
from stampede.schema.records import EventKind

MOST = 1000
"""Moments that are believed."""


def next_stages(journal: JournalColumns) -> list[float]:
    """Seconds from the start, of those moments of which at least half of the hosts tell: what one host says is not
    what the run did."""
    by_moment: dict[float, set[str]] = {}
    for event in journal.events:
        if event.kind == EventKind.NEXT_STAGE:
            by_moment.setdefault(event.value, set()).add(event.host)
    most = len(journal.hosts.list)
    return sorted(moment for moment, hosts in by_moment.items() if 2 * len(hosts) >= most)[:MOST]
