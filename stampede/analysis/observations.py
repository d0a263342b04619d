"""What scripts have checked and measured, exact over the records of all hosts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stampede.analysis.percentiles import Floats, percentiles
from stampede.results.journal_columns import JournalColumns, Names, Observations
from stampede.schema.summary import CheckSummary, MeasureSummary


def build_checks(journal: JournalColumns) -> dict[str, CheckSummary]:
    """The `checks` part of summary.json, by name."""
    return {
        name: CheckSummary(passed=int(passed.sum()), failed=int((passed == 0).sum()))
        for name, passed in _by_name(journal.checks, journal.check_names)
    }


def build_measures(journal: JournalColumns) -> dict[str, MeasureSummary]:
    """The `measures` part of summary.json, by name."""
    found = {}
    for name, values in _by_name(journal.measures, journal.measure_names):
        p50, p95, p99 = percentiles(values, (50, 95, 99))
        found[name] = MeasureSummary(
            count=len(values),
            sum=float(values.sum()),
            mean=float(values.mean()),
            min=float(values.min()),
            p50=p50,
            p95=p95,
            p99=p99,
            max=float(values.max()),
        )
    return found


def _by_name(records: Observations, names: Names) -> Iterator[tuple[str, Floats]]:
    """The values of each name, in the order of the names."""
    number, value = np.asarray(records.name), np.asarray(records.value)
    for name in sorted(names.list):
        here = number == names.number(name)
        if here.any():
            yield name, value[here]
