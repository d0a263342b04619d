"""What the dashboards ask InfluxDB. Times in seconds, as in the journal.

A percentile is always one of raw records, of all hosts that are selected: never a mean of percentiles.
``$timeFilter``, ``$__interval`` and ``$__interval_ms`` are Grafana's.
"""

from __future__ import annotations

from stampede.schema.errors import StepError

HOSTS = '"host" =~ /^${host:regex}$/'
STEPS = '"step" =~ /^${step:regex}$/'
OK = "\"outcome\" = 'ok'"
COMPLETE = '"outcome" =~ /^(ok|failed)$/'
BY_TIME = "GROUP BY time($__interval)"


def run(variable: str = "run") -> str:
    """Records of the run that a variable names."""
    return f"\"run\" = '${{{variable}}}'"


def where(*conditions: str) -> str:
    return f"WHERE {' AND '.join(conditions)}"


def during(*conditions: str) -> str:
    """``where``, within the dashboard's time range."""
    return where(*conditions, "$timeFilter")


def rate(column: str) -> str:
    """How many records have a column, per second. Records without an error have no column ``error``."""
    return f'count("{column}") * 1000 / $__interval_ms'


def percentiles(column: str, *shares: int) -> str:
    return ", ".join(f'percentile("{column}", {share}) AS "p{share}"' for share in shares)


def total(column: str, measurement: str, *conditions: str, each: str = '"host"') -> str:
    """The sum over hosts, or agents, of the greatest value of each in an interval."""
    inner = f'SELECT max("{column}") AS "{column}" FROM "{measurement}" {during(*conditions)} {BY_TIME}, {each}'
    return f'SELECT sum("{column}") AS "{column}" FROM ({inner} fill(none)) {during()} {BY_TIME} fill(none)'


def offset() -> str:
    """By how many seconds the run began after its baseline; nothing when they are the same."""
    runs = f"({run('baseline')} OR {run()})"
    began = where(runs, "\"kind\" = 'phase'", "\"text\" = 'running'")
    return f'SELECT elapsed("began", 1s) FROM (SELECT first("value") AS "began" FROM "event" {began} GROUP BY "run")'


def error_classes() -> list[str]:
    """All classes that a step's ``error`` may have: it is a field, by which InfluxQL cannot group."""

    def below(kind: type[StepError]) -> set[str]:
        return {kind.error_class}.union(*map(below, kind.__subclasses__()))

    return sorted(below(StepError))
