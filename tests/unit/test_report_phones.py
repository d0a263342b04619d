"""What hosts journal of their phones' links to the mediator, and what the report tells of them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples

from controller.host.phone_watch import PhoneWatch
from stampede.analysis.collected_run import read_run
from stampede.report.output import report
from stampede.report.terminal import table
from stampede.schema import line_protocol, records
from stampede.schema.errors import AgentDied
from stampede.schema.records import EventKind, PhonesRecord

STATE = dict.fromkeys(records.layout(PhonesRecord).fields, 0) | {"problem": "", "handover": []}


class WatchedAgent:
    """An agent with the states that it tells, one after the other; None: it does not answer."""

    def __init__(self, *states: dict[str, Any] | None) -> None:
        self.name, self.restarts, self.admin = "agent-0", 0, self
        self._states = list(states)

    async def call(self, method: str, path: str) -> dict[str, Any]:
        assert (method, path) == ("GET", "/pickup")
        if (state := self._states.pop(0)) is None:
            raise AgentDied("gone")
        return STATE | state


class Told:
    """A journal, and what is announced."""

    def __init__(self) -> None:
        self.records: list[PhonesRecord] = []
        self.events: list[tuple[EventKind, str, float]] = []

    def write(self, record: PhonesRecord) -> None:
        self.records.append(record)

    def announce(self, kind: EventKind, text: str, value: float = 0.0) -> None:
        self.events.append((kind, text, value))


async def test_records_hold_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = WatchedAgent(
        {"wanted": 5, "open": 5, "opened": 5, "waited": 2},
        None,
        {"wanted": 5, "open": 4, "opened": 6, "waited": 2, "reconnect_longest": 1.5},
        {"wanted": 5, "open": 3, "opened": 5, "waited": 1, "problem": "refused"},
    )
    told = Told()
    watch = PhoneWatch([agent], told.write, told.announce)  # type: ignore[list-item]
    for _ in range(3):
        await watch.take()
    agent.restarts += 1  # from zero
    await watch.finish()
    found = [(each.wanted, each.open, each.opened, each.waited, each.reconnect_longest) for each in told.records]
    assert found == [(5, 5, 5, 2, 0), (5, 4, 1, 0, 1.5), (5, 3, 5, 1, 0)]
    assert told.events == [
        (EventKind.PHONES_LOST, "2 of 5 phones had lost their mediator and not got it back at the end: refused", 2)
    ]


async def test_links_that_are_all_up_need_no_event() -> None:
    told = Told()
    await PhoneWatch([WatchedAgent({"wanted": 5, "open": 5})], told.write, told.announce).finish()  # type: ignore[list-item]
    assert told.events == []


def with_phones(folder: Path, *of_agents: list[PhonesRecord]) -> Path:
    """A run with these records of one host's agents."""
    found = samples.write_fleet(folder / samples.RUN, hosts=2)
    for journal in found.glob("*/journal.lp.gz"):
        lines = gzip.decompress(journal.read_bytes())
        tags = {"run": samples.RUN, "host": journal.parent.name, "scenario": samples.SCENARIO}
        for each in of_agents:
            for number, record in enumerate(each):
                series = line_protocol.encode_series(record.measurement, tags | records.tags(record))
                time = (samples.START + 60 + 10 * number) * samples.SECOND
                lines += line_protocol.encode(series, records.field_values(record), time).encode()
        journal.write_bytes(gzip.compress(lines))
    return found


def phones_record(agent: str = "agent-0", **figures: Any) -> PhonesRecord:
    return PhonesRecord(agent, **{name: figures.get(name, 0) for name in records.layout(PhonesRecord).fields})


def test_the_report_tells_of_links(tmp_path: Path) -> None:
    folder = with_phones(
        tmp_path,
        [
            phones_record(wanted=10, open=10, opened=10),
            phones_record(wanted=10, open=6, dropped=4, unanswered=1),
            phones_record(
                wanted=10, open=9, reconnected=3, reconnect_seconds=6.0, reconnect_longest=4.5, waited=7, held_back=2
            ),
        ],
        [phones_record("agent-1", wanted=5, open=5, opened=5, refused=1)],
    )
    summary = read_run(folder).summary
    phones = summary.phones
    assert phones is not None
    assert (phones.most_open, phones.lost, phones.opened, phones.dropped) == (15, 1, 15, 4)
    assert (phones.reconnected, phones.reconnect_mean, phones.reconnect_longest) == (3, 2.0, 4.5)
    assert (phones.unanswered, phones.waited, phones.held_back, phones.refused) == (1, 7, 2, 1)
    said = " ".join(table(summary).split())
    for sentence in (
        "Up to 15 holders at a time had a link to the mediator; 4 were dropped; 3 came up again, within 2.00 s on "
        "average and 4.50 s at most; 1 greeting got no answer.",
        "1 link was down when the run ended",
        "7 messages had waited at the mediator while a phone was away.",
        "The mediator held back 2 messages until it was poked",
        "1 message that came was not taken",
    ):
        assert sentence in said
    assert {finding.warning for finding in summary.run.findings if finding.about == "phones"} == {True}
    report(folder)
    assert "The mediator held back 2 messages" in (folder / "report.html").read_text()
    assert '"held_back": 2' in (folder / "summary.json").read_text()


def test_records_that_lack_figures_say_nothing_of_them(tmp_path: Path) -> None:
    folder = with_phones(tmp_path, [phones_record(wanted=10, open=9, opened=10)])
    for journal in folder.glob("*/journal.lp.gz"):
        series = f"phones,run={samples.RUN},host={journal.parent.name},scenario={samples.SCENARIO},agent=agent-9"
        line = f"{series} reconnected=1i,opened=1i {(samples.START + 70) * samples.SECOND}\n"
        journal.write_bytes(journal.read_bytes() + gzip.compress(line.encode()))
    report(folder)
    phones = read_run(folder).summary.phones
    assert phones and (phones.lost, phones.most_open, phones.reconnected) == (1, 9, 1)


def test_without_phones_nothing_is_said_of_them(tmp_path: Path) -> None:
    summary = read_run(with_phones(tmp_path)).summary
    assert summary.phones is None
    assert not any(finding.about == "phones" for finding in summary.run.findings)
