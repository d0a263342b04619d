"""*Load model*: the load that was asked for beside the load that was made. Was it the wanted one?"""

from __future__ import annotations

from .grafana import Json, chart, query, row, stat
from .grafana import dashboard as grafana_dashboard
from .influxql import BY_TIME, HOSTS, OK, during, newest, per_second, percentiles, rate, run, total
from .parts import LATE, events, host_variable, run_variable, schedule_lag
from .run import SAMPLES

CHOSEN = (run(), HOSTS)
HALF = (12, 8)


def dashboard() -> Json:
    return grafana_dashboard(
        "stampede-load",
        "Stampede: Load model",
        "The load that was asked for beside the load that was made: arrivals, rounds, holders, and how late.",
        [*overview(), *beside(), *holders(), *late()],
        variables=[run_variable(), host_variable()],
        annotations=events(HOSTS),
    )


def overview() -> list[Json]:
    def counted(selected: str) -> list[Json]:
        return [query(f'SELECT {selected} FROM "load" {during(*CHOSEN)}')]

    return [
        stat("Arrivals", "Holders that began.", counted('sum("arrivals")'), unit="short", graph=False, size=(4, 4)),
        stat(
            "Rounds",
            "Rounds of the script's loop that began.",
            counted('sum("rounds")'),
            unit="short",
            graph=False,
            size=(4, 4),
        ),
        stat(
            "Dropped",
            "Arrivals or rounds that were due and left out, because all holders that there may be were busy. The "
            "load that was asked for was not made.",
            counted('sum("dropped")'),
            unit="short",
            levels=(("green", None), ("red", 1)),
            none="0",
            graph=False,
            size=(4, 4),
        ),
        *(
            stat(
                title,
                meaning,
                [query(newest(field, "load", *CHOSEN))],
                unit="short",
                graph=False,
                size=(4, 4),
            )
            for field, title, meaning in (
                ("active", "Active holders", "Holders in their script, at the end of the time range."),
                ("in_flight", "Steps in flight", "Steps under way, at the end of the time range."),
            )
        ),
        schedule_lag(*CHOSEN, size=(4, 4)),
    ]


def beside() -> list[Json]:
    return [
        row("Asked for and made"),
        *(
            chart(
                title,
                f"{title} per second that were due, and those that began. What is due and does not begin is dropped. "
                "Journals of version 0.2 do not say which were dropped, arrivals or rounds.",
                [
                    query(per_second("load", [field, dropped], *CHOSEN, less=less), "due"),
                    query(per_second("load", [field], *CHOSEN), "begun"),
                    query(per_second("load", [dropped], *CHOSEN, less=less), "dropped"),
                ],
                unit="ops",
                interval=SAMPLES,
                size=HALF,
            )
            for title, field, dropped, less in (
                ("Arrivals", "arrivals", "dropped", "rounds_dropped"),
                ("Rounds", "rounds", "rounds_dropped", ""),
            )
        ),
    ]


def holders() -> list[Json]:
    throughput = f'SELECT {rate("service_time")} FROM "step" {during(*CHOSEN, OK)} {BY_TIME} fill(0)'
    response = f'SELECT {percentiles("response_time", 50, 95)} FROM "step" {during(*CHOSEN, OK)} {BY_TIME} fill(none)'
    return [
        row("What came of it"),
        chart(
            "Holders",
            "Holders in their script, and steps in flight. Under a search or stages, the levels. Holders that grow "
            "under arrivals at a constant rate mean that a service falls behind.",
            [
                query(total("active", "load", *CHOSEN), "active holders"),
                query(total("in_flight", "load", *CHOSEN), "steps in flight"),
            ],
            unit="short",
            interval=SAMPLES,
            size=(8, 8),
        ),
        chart("Throughput", "Ok steps per second.", [query(throughput, "ok")], unit="ops", size=(8, 8)),
        chart(
            "Response time",
            "From the moment a step was due to its end, for ok steps.",
            [query(response, "$col")],
            unit="s",
            size=(8, 8),
        ),
    ]


def late() -> list[Json]:
    lags = ", ".join(f'max("{field}") AS "{name}"' for field, name in LAGS.items())
    return [
        row("How late"),
        chart(
            "Schedule lag",
            "How much later than due steps began, in the worst second of any host. Above 0.1 s the generator does "
            "not keep up, and the load is not the one that was asked for.",
            [query(f'SELECT {lags} FROM "load" {during(*CHOSEN)} {BY_TIME} fill(none)', "$col")],
            unit="s",
            limit=LATE,
            interval=SAMPLES,
            size=HALF,
        ),
        chart(
            "Event loop lag",
            "How long the controller's event loop was blocked by its own work.",
            [query(f'SELECT max("loop_lag_max") FROM "load" {during(*CHOSEN)} {BY_TIME} fill(none)', "event loop")],
            unit="s",
            limit=LATE,
            interval=SAMPLES,
            size=HALF,
        ),
    ]


LAGS = {"lag_p50": "p50", "lag_p99": "p99", "lag_max": "max"}
