"""The process that calls ``setup`` and ``teardown``: ``python -m stampede.prepare.hook_process DESCRIPTOR``.

It is asked in JSON on its standard input, and answers with one line of JSON: ``sentences`` that say why setup failed,
or what it returned. Then it waits for SIGTERM, by which the playbook says that the run is over, and calls teardown.
That is called even when the playbook is interrupted or killed: then as soon as the load must have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stampede.engine import Hook, call
from stampede.machine.files import read_json, write_json
from stampede.machine.processes import is_alive
from stampede.prepare.hooks import HOSTS_ARE_STOPPED
from stampede.prepare.rendering import find_scripts, render_scenario
from stampede.prepare.scenario import Scenario, place_reached
from stampede.prepare.script_errors import told
from stampede.schema.errors import BadInput
from stampede.schema.json_form import to_json
from stampede.schema.masking import Mask
from stampede.schema.run_record import RUN_FILE
from stampede.schema.settings.run_settings import Settings
from stampede.schema.shared_values import Shared, check_shared, with_more
from stampede.schema.teardown_file import NOT_RUN, TeardownRecord

type _Call = tuple[Mapping[str, Any], Scenario, Mapping[str, Any]]
"""The variables of a script, the script, and ``run.shared``."""

STOP_TAKES = 15.0
"""Seconds after the end of an interrupted playbook in which HOSTS_ARE_STOPPED comes (``run_watch.STOP_LIMIT``)."""
LOOK_EVERY = 5.0
"""Seconds between two looks at whether the playbook is still there: few, since its CPU time is bounded."""


@dataclass(frozen=True)
class Task:
    """What is to be done. ``variables`` are without the ``secrets``."""

    variables: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)
    templates_dir: str
    base_dir: str
    timeout: float
    """Seconds that each of the two calls may take."""
    playbook: int
    """The process of the playbook."""
    local: bool
    """Whether the load ends with the playbook; on other hosts it goes on without."""
    start_delay: float
    duration: float
    """Seconds from the start until no step begins any more; 0 when only the run itself will tell."""
    drain: float
    """Seconds that steps in flight have after that, or after a stop."""
    teardown_file: str
    """See TeardownRecord."""


class Hooks:
    """The scenarios' ``setup`` and ``teardown``. Their sentences hold no secret."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._mask = Mask(task.secrets.values())
        self._shared: dict[str, Any] = {}
        self._done: list[_Call] = []
        """The scenarios whose setup has returned, with what is there for their teardown."""
        self._is_given_up = False
        self._settings = Settings.from_variables(task.variables | {"stampede_secrets": task.secrets})
        found = find_scripts(task.variables, Path(task.templates_dir), Path(task.base_dir))
        self._scenarios = [
            (each.variables, Scenario(each.path, render_scenario(each.path, each.variables), each.name))
            for each in found
        ]
        self._path = found[0].path
        """Of the scenario that is called."""

    @property
    def has_teardown(self) -> bool:
        """Whether there is one to call."""
        return any(scenario.teardown for _, scenario in self._scenarios)

    def set_up(self) -> dict[str, Any]:
        """What setup returns. Raises BadInput."""
        for variables, scenario in self._scenarios:
            if (setup := scenario.setup) and not self._is_given_up:
                self._path = scenario.path
                try:
                    returned = check_shared(self._called(setup, variables, self._shared))
                    self._mask = self._mask.with_more(Shared(returned).hidden())
                    self._done.append((variables, scenario, self._shared | returned))
                    self._shared = with_more(self._shared, returned)
                except BadInput as error:
                    raise BadInput(*(f"{self._path}: {sentence}" for sentence in error.sentences)) from None
        return self._shared

    def tear_down(self) -> str:
        """Why teardown failed, in a sentence; empty when it did not. Those of all scripts are called."""
        return self._torn_down([(variables, scenario, self._shared) for variables, scenario in self._scenarios])

    def undo(self) -> str:
        """The same, when a setup has failed: the teardown of the scripts whose setup was over before. Of a setup that
        goes on for too long, in another thread, none follows."""
        self._is_given_up = True
        return self._torn_down(self._done)

    def too_long(self, name: str) -> str:
        """A sentence about where a call is when its time is over."""
        return (
            f"{place_reached(self._path)}: {name} was still here after {self._task.timeout:g} s; it must come to an "
            "end within stampede_setup_timeout"
        )

    def _torn_down(self, calls: Iterable[_Call]) -> str:
        failures = []
        for variables, scenario, shared in calls:
            if teardown := scenario.teardown:
                self._path = scenario.path
                try:
                    self._called(teardown, variables, shared)
                except _Failed as error:
                    failures.append(str(error))
        return f"teardown failed: {'; '.join(failures)}" if failures else ""

    def _called(self, hook: Hook, variables: Mapping[str, Any], shared: Mapping[str, Any]) -> Any:
        try:
            return asyncio.run(call(hook, self._settings, variables, self._task.secrets, shared))
        except BaseException as error:
            raise _Failed(self._mask(told(self._path, error))) from error


class _Failed(Exception):
    """A call raised; the message says what, and where."""


def main() -> None:
    """Do the task."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, HOSTS_ARE_STOPPED})
    answers = os.fdopen(int(sys.argv[1]), "w")
    print(file=answers, flush=True)  # a sign of life

    def give(**answer: Any) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            print(json.dumps({"sentences": [], "shared": {}, "pid": 0} | answer), file=answers, flush=True)

    task = Task(**json.load(sys.stdin))
    try:
        hooks = Hooks(task)
    except BadInput as error:
        give(sentences=error.sentences)
        return

    def fail(*why: str) -> None:
        with _within(task.timeout, lambda: give(sentences=[*why, f"teardown failed: {hooks.too_long('teardown')}"])):
            failure = hooks.undo()
        give(sentences=[*why, failure] if failure else why)

    try:
        with _within(task.timeout, lambda: fail(hooks.too_long("setup"))):
            shared = hooks.set_up()
    except BadInput as error:
        fail(*error.sentences)
        return
    except _Failed as error:
        fail(f"setup failed: {error}")
        return
    if not hooks.has_teardown:
        give(shared=shared)
        return
    file = Path(task.teardown_file)

    def note(record: TeardownRecord) -> None:
        write_json(file, to_json(record), 0o644)

    file.parent.mkdir(parents=True, exist_ok=True)
    note(TeardownRecord())
    give(shared=shared, pid=os.getpid())
    if not _load_has_ended(task):
        note(TeardownRecord(f"{NOT_RUN}: the playbook was ended without the load, which may go on for any time"))
        return
    with _within(task.timeout, lambda: note(TeardownRecord(f"teardown failed: {hooks.too_long('teardown')}"))):
        failure = hooks.tear_down()
    note(TeardownRecord(failure))


def _load_has_ended(task: Task) -> bool:
    """Wait for the end of the load. False when the playbook is gone and nobody knows when that will be."""
    stopped = task.local
    while is_alive(task.playbook):
        if (told := _told()) == signal.SIGTERM:
            return True
        stopped |= told == HOSTS_ARE_STOPPED
    until = _start_of(task) + task.duration + task.drain if task.duration else time.time() + STOP_TAKES
    while not stopped and time.time() < until:  # not one long wait: the machine may be suspended in between
        if (told := _told()) == signal.SIGTERM:
            return True
        stopped = told == HOSTS_ARE_STOPPED
    if stopped:
        time.sleep(task.drain)
    return stopped or task.duration > 0


def _told() -> int:
    """The signal that comes within LOOK_EVERY; 0 when none does."""
    told = signal.sigtimedwait({signal.SIGTERM, HOSTS_ARE_STOPPED}, LOOK_EVERY)
    return told.si_signo if told else 0


def _start_of(task: Task) -> float:
    """When the load has begun, now that the playbook is gone, in epoch seconds; the latest that it can be when that
    has not been recorded."""
    record = read_json(Path(task.teardown_file).with_name(RUN_FILE))
    started = record.get("started") if isinstance(record, dict) else None
    return started if isinstance(started, int | float) else time.time() + task.start_delay


@contextlib.contextmanager
def _within(seconds: float, give_up: Callable[[], None]) -> Iterator[None]:
    """End the process, with a last word, when the block takes longer. It may do anything, so nothing less helps."""
    turn = threading.Lock()

    def end() -> None:
        if turn.acquire(blocking=False):
            give_up()
            os._exit(1)

    watchdog = threading.Timer(seconds, end)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        turn.acquire()
        watchdog.cancel()


if __name__ == "__main__":
    try:
        main()
    finally:
        os._exit(0)  # with whatever the scenario has left running
