"""The dashboards' InfluxQL. Times are in seconds, as in the journal.

A percentile is always computed from raw records of all selected hosts, never as a mean of percentiles.
``$timeFilter``, ``$__interval``, ``$__interval_ms`` and ``${__to}`` are Grafana's.
"""

from __future__ import annotations

from collections.abc import Iterable

from stampede.schema.errors import StepError

HOSTS = '"host" =~ /^${host:regex}$/'
STEPS = '"step" =~ /^${step:regex}$/'
OK = "\"outcome\" = 'ok'"
FAILED = "\"outcome\" = 'failed'"
COMPLETE = '"outcome" =~ /^(ok|failed)$/'
RECENT = "time > ${__to}ms - 15s"
"""The end of the time range: three samples of the agents, and time for them to come to InfluxDB."""
BY_TIME = "GROUP BY time($__interval)"


def run(variable: str = "run") -> str:
    """Condition for the records of the run that a variable names."""
    return f"\"run\" = '${{{variable}}}'"


def where(*conditions: str) -> str:
    """A WHERE clause."""
    return f"WHERE {' AND '.join(conditions)}"


def during(*conditions: str) -> str:
    """A WHERE clause within the dashboard's time range."""
    return where(*conditions, "$timeFilter")


def rate(column: str) -> str:
    """Records that have a column, per second. Records without an error have no column ``error``."""
    return f'count("{column}") * 1000 / $__interval_ms'


def per_second(measurement: str, fields: Iterable[str], *conditions: str, less: str = "") -> str:
    """The sum of fields that count since the record before, ``less`` another one, per second, of all that there are
    records of."""
    summed = " + ".join(f'sum("{field}") * 1000 / $__interval_ms' for field in fields)
    if less:
        summed += f' - sum("{less}") * 1000 / $__interval_ms'
    return f'SELECT {summed} FROM "{measurement}" {during(*conditions)} {BY_TIME} fill(none)'


def percentiles(column: str, *shares: int) -> str:
    """Columns p50, p95, … of a column."""
    return ", ".join(f'percentile("{column}", {share}) AS "p{share}"' for share in shares)


def lags(*conditions: str) -> str:
    """Where to select ``lag`` from: how late steps began that were due, as in the report. Others follow directly on a
    step, have a lag of 0, and say nothing about lateness."""
    lag = f'SELECT "response_time" - "service_time" AS "lag" FROM "step" {during(*conditions)}'
    return f'FROM ({lag}) WHERE "lag" > 0 AND $timeFilter'


def total(column: str, measurement: str, *conditions: str, each: str = '"host"') -> str:
    """The sum over hosts, or agents, of the maximum of each in an interval."""
    inner = f'SELECT max("{column}") AS "{column}" FROM "{measurement}" {during(*conditions)} {BY_TIME}, {each}'
    return f'SELECT sum("{column}") AS "{column}" FROM ({inner} fill(none)) {during()} {BY_TIME} fill(none)'


def newest(column: str, measurement: str, *conditions: str, each: str = '"host"') -> str:
    """The sum over hosts, or agents, of the newest value of each, at the end of the time range.

    In the newest interval of a chart are only those that have reported since it began. Whoever has not reported for
    ``RECENT`` is not there any more."""
    inner = f'SELECT last("{column}") AS "{column}" FROM "{measurement}" {during(*conditions, RECENT)}'
    return f'SELECT sum("{column}") AS "{column}" FROM ({inner} GROUP BY {each})'


def offset() -> str:
    """Seconds between the start of the baseline and the start of the run; no row when they are the same run."""
    runs = f"({run('baseline')} OR {run()})"
    began = where(runs, "\"kind\" = 'phase'", "\"text\" = 'running'")
    return f'SELECT elapsed("began", 1s) FROM (SELECT first("value") AS "began" FROM "event" {began} GROUP BY "run")'


def error_classes() -> list[str]:
    """All classes that a step's ``error`` can have: it is a field, and InfluxQL cannot group by a field."""

    def subclasses(kind: type[StepError]) -> set[str]:
        return {kind.error_class}.union(*map(subclasses, kind.__subclasses__()))

    return sorted(subclasses(StepError))
