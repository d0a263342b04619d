"""What is missing from the records of a run: the one list from which verdict, report, JUnit and playbook take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np

from stampede import wording
from stampede.analysis.next_stages import next_stages
from stampede.load_models import catalog
from stampede.load_models.interface import LoadModel
from stampede.results.folder import HostFolder, ResultsFolder
from stampede.results.journal_columns import JournalColumns, Reading
from stampede.schema.host_summary import HostSummary
from stampede.schema.phases import ENDED
from stampede.schema.records import EventKind
from stampede.schema.state import HolderState
from stampede.schema.summary import Loss, LossKind


def find_losses(results: ResultsFolder, journal: JournalColumns, hosts: dict[str, HostSummary]) -> list[Loss]:
    """What is missing, host by host. A host that did not finish is a matter of its own; what it did not do is not
    missing. Nor is anything that its version did not count yet."""
    folders = {folder.name: folder for folder in results.hosts}
    settings, model = results.settings, catalog.recorded_model(results.settings)
    cuts = set(next_stages(journal))
    losses: list[Loss] = []
    for name, host in hosts.items():
        if host.took_part:
            losses += _Host(name, host, folders.get(name), journal, settings, model, cuts).losses()
    return losses


class _Host:
    """What is known of a host that took part."""

    def __init__(
        self,
        name: str,
        host: HostSummary,
        folder: HostFolder | None,
        journal: JournalColumns,
        settings: Mapping[str, Any],
        model: type[LoadModel],
        cuts: Set[float],
    ) -> None:
        """``cuts``: when hosts went on to the next stage before its time, in seconds from the start."""
        self._name = name
        self._host = host
        self._state = folder.state if folder else None
        self._has_journal = bool(folder and folder.journal)
        self._reading = journal.readings.get(name, Reading())
        self._events = [event for event in journal.events if event.host == name]
        self._journal = journal
        self._limit = settings.get("stampede_inbox_limit")
        self._cuts = cuts
        self._model = model

    def losses(self) -> Iterator[Loss]:
        if not self._has_journal:
            yield self._loss(LossKind.HOST, None, f"Host {self._name} left no journal: none of its steps are known.")
            return
        yield from self._messages()
        yield from self._dropped()
        yield from self._stages()
        records = self._records()
        lines = self._reading.not_understood
        if records:
            count = wording.number(records, "record is", "records are")
            text = f"{count} missing from the journal of host {self._name}: its disk was full."
            yield self._loss(LossKind.RECORDS, records, text)
        if lines:
            yield self._loss(
                LossKind.LINES,
                lines,
                f"{wording.number(lines, 'line')} of the journal of host {self._name} could not be parsed, the first "
                f"being line {self._reading.first_not_understood}.",
            )
        if self._reading.given_up:
            text = f"The journal of host {self._name} was not read to its end: {self._reading.given_up}."
            yield self._loss(LossKind.CUT_SHORT, None, text)
        if not self._host.finished:
            return
        yield from self._steps(records + lines)
        yield from self._holders()
        if not records and self._is_cut_short():  # the end is among the records that a full disk did not take
            text = f"The journal of host {self._name} is cut short: it ends before the run did."
            yield self._loss(LossKind.CUT_SHORT, None, text)

    def _records(self) -> int:
        """Records that the host knows to have lost: by its last state, or else by its journal."""
        if self._state and self._state.losses:
            return self._state.losses.records
        return int(max((event.value for event in self._events if event.kind == EventKind.DISK_FULL), default=0))

    def _messages(self) -> Iterator[Loss]:
        told = [int(event.value) for event in self._events if event.kind == EventKind.INBOX_OVERFLOW]
        stated = self._state.losses.messages if self._state and self._state.losses else 0
        number = max([stated, *(value or 1 for value in told)])
        if number:
            count = wording.number(number, "message to a holder was", "messages to holders were")
            limit = f", which is {self._limit}" if self._limit is not None else ""
            text = (
                f"On host {self._name} {count} dropped before a step awaited it, so steps may have failed for that "
                f"alone; raise stampede_inbox_limit{limit}."
            )
            yield self._loss(LossKind.MESSAGES, number, text)

    def _steps(self, explained: int) -> Iterator[Loss]:
        counted, found = self._host.steps_counted, self._host.steps.total
        if counted is not None and counted - found > explained:
            number = counted - found
            verb = "is" if number == 1 else "are"
            text = f"{number:,} of the {counted:,} steps that host {self._name} counted {verb} not in its journal."
            yield self._loss(LossKind.STEPS, number, text)

    def _dropped(self) -> Iterator[Loss]:
        """Arrivals or rounds, of which a load model has one or the other."""
        holders = self._state.holders if self._state and self._state.holders else HolderState()
        if self._model.rounds_are_due:
            kind, what = LossKind.ROUNDS, "rounds"
            begun, dropped = holders.rounds, holders.rounds_dropped
        else:
            kind, what = LossKind.ARRIVALS, "arrivals"
            begun, dropped = holders.started or 0, holders.dropped
        begun = begun or self._counted(what)
        dropped = max(dropped, self._counted("dropped"))
        if dropped:
            why = "as many holders were there as stampede_holders allows"
            if kind == LossKind.ROUNDS:
                why = "no holder was free" if begun else "no holder came to until_end_of_run()"
            text = f"{dropped:,} of the {dropped + begun:,} {what} on host {self._name} were dropped: {why}."
            yield self._loss(kind, dropped, text)

    def _stages(self) -> Iterator[Loss]:
        """Whether it went on to the next stages with the others; otherwise hosts have shares of different loads."""
        begun = {event.value for event in self._events if event.kind == EventKind.NEXT_STAGE}
        if self._host.finished and (differs := self._cuts ^ begun):
            verb = "did not go" if self._cuts - begun else "went"
            text = (
                f"Host {self._name} {verb} on to the next stage at {wording.clock(min(differs))}, unlike others, so "
                "the load is not what the stages say."
            )
            yield self._loss(LossKind.STAGE, None, text)

    def _counted(self, name: str) -> int:
        """The sum of a count of the host's ``load`` records."""
        if self._name not in self._journal.hosts.list:
            return 0
        load, host = self._journal.load, self._journal.hosts.list.index(self._name)
        return int(np.nansum(load.column(name)[np.asarray(load.host) == host]))

    def _holders(self) -> Iterator[Loss]:
        holders = self._state.holders if self._state else None
        if not holders or holders.started is None or not self._model.all_come:
            return
        number = holders.total - holders.started - holders.dropped
        if number > 0:
            text = (
                f"{number:,} of the {holders.total:,} holders of host {self._name} never started: the run was over "
                "before it was their turn."
            )
            yield self._loss(LossKind.HOLDERS, number, text)

    def _is_cut_short(self) -> bool:
        """Whether the end of the journal is missing: of its last line, or the phase that the state tells of."""
        phases = {event.phase for event in self._events if event.phase}
        return self._reading.torn or bool(phases and not phases & ENDED and not self._reading.given_up)

    def _loss(self, kind: LossKind, number: int | None, text: str) -> Loss:
        return Loss(self._name, kind, number, text)
