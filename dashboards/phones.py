"""*Phones*: the links of holders to their mediators, where holders are phones. Do they stay up, and what waits?"""

from __future__ import annotations

from .grafana import Json, chart, row, stat
from .grafana import dashboard as grafana_dashboard
from .grafana import query as ask
from .influxql import BY_TIME, HOSTS, OK, during, newest, per_second, percentiles, run
from .influxql import total as of_all
from .parts import events, host_variable, run_variable

CHOSEN = (run(), HOSTS)
AGENTS = '"host", "agent"'
SAMPLES = "10s"
"""The links of agents' holders are sampled every 5 s, at different moments: ten seconds contain a sample of each."""
OVER_LINKS = '"step" =~ /^(connect_to_mediator|reconnect|ping)$/'
"""Steps that are about the link alone."""


def dashboard() -> Json:
    return grafana_dashboard(
        "stampede-phones",
        "Stampede: Phones",
        "The links of holders to their mediators, where holders are phones (stampede_mediator_pickup).",
        [*overview(), *links(), *messages()],
        variables=[run_variable(), host_variable()],
        annotations=events(HOSTS),
    )


def now(field: str) -> str:
    """The sum over all agents of a figure of the moment."""
    return of_all(field, "phones", *CHOSEN, each=AGENTS)


def rate(field: str) -> str:
    """How often per second, of all agents together."""
    return per_second("phones", [field], *CHOSEN)


def total(field: str) -> str:
    """How often in the time range, of all agents together."""
    return f'SELECT sum("{field}") FROM "phones" {during(*CHOSEN)}'


FAULTS = {
    "dropped": ("Links lost", "Links that broke without having been closed by the holder."),
    "unanswered": ("Greetings unanswered", "Greetings that the mediator did not answer in time."),
    "held_back": ("Held back", "Messages that the mediator had and sent only when it was asked for them."),
    "refused": (
        "Refused",
        "Messages that were not taken: not decipherable, or pickup messages of someone else than the mediator.",
    ),
}
"""Figures that should be 0, with title and meaning."""


def overview() -> list[Json]:
    longest = f'SELECT max("reconnect_longest") FROM "phones" {during(*CHOSEN)}'
    size = (4, 4)
    return [
        stat(
            "Links up",
            "Links over which the mediator answers, at the end of the time range.",
            [ask(newest("open", "phones", *CHOSEN, each=AGENTS))],
            unit="short",
            graph=False,
            size=size,
        ),
        stat(
            "Longest return",
            "The longest time from the loss of a link, or from an app's coming back, until the mediator answered.",
            [ask(longest)],
            unit="s",
            graph=False,
            size=size,
        ),
        *(
            stat(
                title,
                meaning,
                [ask(total(field))],
                unit="short",
                levels=(("green", None), ("red", 1)),
                none="0",
                graph=False,
                size=size,
            )
            for field, (title, meaning) in FAULTS.items()
        ),
    ]


def links() -> list[Json]:
    seconds = 'sum("reconnect_seconds") / sum("reconnected") AS "mean", max("reconnect_longest") AS "max"'
    p95 = f'{percentiles("response_time", 95)} FROM "step" {during(*CHOSEN, OK, OVER_LINKS)}'
    sockets = f'SELECT max("sockets") FROM "load" {during(*CHOSEN)} {BY_TIME}, "host" fill(none)'
    return [
        row("Links"),
        chart(
            "Links",
            "Links that should be up, those of apps in the foreground, and those over which the mediator answers.",
            [ask(now("wanted"), "wanted"), ask(now("open"), "open")],
            unit="short",
            interval=SAMPLES,
        ),
        chart(
            "Links opened, lost and regained",
            "Links per second that came up for the first time, that were lost, and that are back.",
            [ask(rate(name), name) for name in ("opened", "dropped", "reconnected")],
            unit="ops",
            interval=SAMPLES,
        ),
        chart(
            "Return",
            "From the loss of a link, or from an app's coming back, until the mediator answers.",
            [ask(f'SELECT {seconds} FROM "phones" {during(*CHOSEN)} {BY_TIME} fill(none)', "$col")],
            unit="s",
            interval=SAMPLES,
            size=(8, 8),
        ),
        chart(
            "Response time over the link, p95",
            "Of connect_to_mediator, reconnect and ping, for ok steps.",
            [ask(f'SELECT {p95} {BY_TIME}, "step" fill(none)', "$tag_step")],
            unit="s",
            size=(8, 8),
        ),
        chart(
            "TCP sockets",
            "Sockets of each load host. A phone that is connected over a WebSocket holds one.",
            [ask(sockets, "$tag_host")],
            unit="short",
            size=(8, 8),
        ),
    ]


def messages() -> list[Json]:
    return [
        row("Messages"),
        chart(
            "Waiting messages",
            "Messages per second that had waited at the mediator while their phone was away.",
            [ask(rate("waited"), "waited")],
            unit="ops",
            interval=SAMPLES,
        ),
        chart(
            "Asked for",
            "Messages per second to the mediator because something awaited did not come, messages that it sent only "
            "then, and greetings that it did not answer.",
            [ask(rate(field), name) for field, name in ASKED_FOR.items()],
            unit="ops",
            interval=SAMPLES,
        ),
    ]


ASKED_FOR = {"poked": "asked", "held_back": "held back", "unanswered": "unanswered"}
