"""The process in which a user's script is tried: ``python -m stampede.prepare.trial_process DESCRIPTOR``.

It is asked in JSON on its standard input and answers with one line of JSON: ``sentences`` that say what is wrong with
the script, and a ``text``. When its time is over it says where the script is.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stampede.engine import STEPS, Forecast, Script, dry_run, simulate
from stampede.load_models.closed import Closed
from stampede.load_models.interface import LoadModel
from stampede.machine.data_file import read_data_file
from stampede.machine.processes import die_with_parent
from stampede.prepare.rendering import find_scripts, render_scenario, render_script
from stampede.prepare.room import room_of_kinds
from stampede.prepare.scenario import Scenario, place_reached
from stampede.prepare.script_errors import said_by, told
from stampede.prepare.script_work import work_of
from stampede.schema.data_rows import Row, no_row
from stampede.schema.errors import BadInput
from stampede.schema.settings import thresholds
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.thresholds import Said, Threshold

TRIAL, FORECAST, WORK, LENGTH = "trial", "forecast", "work", "length"
TRIAL_SECONDS = 6.0
"""After which the trial of a script is ended, and the script refused."""
LONG_SECONDS = 1.0
"""That each further, longer look for the steps that thresholds name may take."""
FORECAST_SECONDS = 210.0
FORECAST_WITHIN = 180.0
"""Seconds after which a forecast is about the first part of the run only."""
WORK_WITHIN = 120.0
"""Seconds that the look for what a holder does may take."""
LENGTH_WITHIN = 10.0
"""Seconds that the look for how long a run takes may take."""
WORK_HOLDERS = 100
WORK_ROUNDS = 20
"""By which it is averaged: two thousand rounds, so that the mean of a random number of steps is known within 2 %."""

TRIAL_HOLDERS = 2
TRIAL_ROUNDS = 2
TRIAL_DURATION = 120.0
ROOM_HOLDERS = 50
"""By whom it is measured how long a holder stays, and how long a round takes."""
CUTS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Parts of the trial after which it is repeated and cut off, to see that the script lets itself be ended."""

BUSY = (
    "a script must await its steps, let go when the run ends (a bare except: catches that, too), and not loop or "
    "block by itself"
)


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked: ``verb`` is one of the above."""

    verb: str
    variables: dict[str, Any]
    templates_dir: str
    base_dir: str
    hosts: int = 1
    """Load hosts that share the run."""


class Tried:
    """A run's scripts as they are tried."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._variables = question.variables
        self._templates, self._base = Path(question.templates_dir), Path(question.base_dir)
        self._found = find_scripts(self._variables, self._templates, self._base)
        self._path = self._found[0].path
        """Of the script that is being tried."""
        self._is_rendered = False
        self._notices: list[str] = []
        """What the run does otherwise than its user may expect."""

    def text(self) -> str:
        """The answer to the question. Raises BadInput for what is wrong with a script."""
        settings = Settings.from_variables(self._variables)
        sources = []
        for found in self._found:
            self._path = found.path
            sources.append(render_scenario(found.path, found.variables))
        render_script(self._variables, self._templates, self._base)
        self._is_rendered = True
        self._row_of = _row_of(settings)
        scenarios = []
        for found, source in zip(self._found, sources, strict=True):
            self._path = found.path
            scenarios.append(Scenario(found.path, source, found.name))
        self._simulate(scenarios, settings)
        scripts = [scenario.script for scenario in scenarios]
        if self._question.verb == FORECAST:
            return self._dry_run(scripts, settings, within=FORECAST_WITHIN).text()
        if self._question.verb == WORK:
            load = Closed(WORK_HOLDERS, first_holder=0, ramp_up=0.0, duration=0.0, iterations=WORK_ROUNDS)
            return work_of(self._dry_run(scripts, self._of(settings, load), within=WORK_WITHIN), self._path)
        if self._question.verb == LENGTH:
            return str(self._dry_run(scripts, settings, within=LENGTH_WITHIN).seconds)
        self._try(scripts, settings, sources)
        return "\n".join(self._notices)

    def too_long(self, seconds: float) -> str:
        """A sentence about where the script is after so many seconds."""
        if not self._is_rendered:
            return f"{self._path} was still being rendered after {seconds:g} s; a template must come to an end"
        return f"{place_reached(self._path)}: the script was still here after {seconds:g} s of its trial; {BUSY}"

    def _simulate(self, scenarios: Sequence[Scenario], settings: Settings) -> None:
        setups = [scenario.setup for scenario in scenarios if scenario.setup]
        teardowns = [scenario.teardown for scenario in scenarios if scenario.teardown]
        try:
            self._shared = simulate(setups, teardowns, settings, self._variables)
        except BaseException as error:
            raise self._refused(error) from error

    def _try(self, scripts: Sequence[Script], settings: Settings, sources: Sequence[str]) -> None:
        alone = [
            (name, script, dataclasses.replace(own, scripts=(), own_settings=()))
            for script, (name, own) in zip(scripts, settings.of_scripts, strict=True)
        ]
        said: set[Said] = set()
        for (name, script, own), found in zip(alone, self._found, strict=True):
            self._path = found.path
            short = self._of(own, own.load.reduced(TRIAL_HOLDERS, TRIAL_ROUNDS, TRIAL_DURATION))
            trial = self._dry_run([script], short)
            for part in CUTS:
                self._dry_run([script], short, cut_at=part * trial.seconds)
            said |= _said(trial, name)
            self._look_for_the_end(trial, settings)
        if settings.load.needs_room:
            self._look_for_room(alone, settings)
            self._look_for_drops(scripts, settings)
        awaited = _awaited(settings.thresholds, sources)
        is_complete = True
        for is_reduced in (True, False):  # a step may come late, or from few holders
            for name, script, own in alone:
                if all(any(threshold.is_about(each) for each in said) for threshold in awaited):
                    break
                load = own.load.reduced(TRIAL_HOLDERS) if is_reduced else own.load
                longer = self._dry_run([script], self._of(own, load), within=LONG_SECONDS)
                said |= _said(longer, name)
                is_complete = is_complete and (is_reduced or longer.complete)
        thresholds.check_subjects(settings.thresholds, said if is_complete else said | set(awaited.values()))

    def _look_for_the_end(self, trial: Forecast, settings: Settings) -> None:
        """Note, or raise BadInput, when all holders of a script come to its end long before the load's duration."""
        load = settings.load
        if not load.plan.duration or not load.holders_stay or sum(trial.left.values()) < trial.holders:
            return
        lasts = f"is to last {load.plan.duration:g} s"
        ends = f"a holder is through with {self._path} after about {trial.visit:.3g} s and leaves"
        loop = "'async for _ in holder.until_end_of_run()'"
        if load.is_for_those_who_stay:
            raise BadInput(
                f"stampede_load_model is flat_out and {lasts}, but {ends}; it must go round in {loop} until then"
            )
        self._notices.append(f"The run {lasts}, but {ends}; it would go round until then in {loop}.")

    def _look_for_room(self, alone: Sequence[tuple[str, Script, Settings]], settings: Settings) -> None:
        """Raise BadInput when the load needs more holders than there may be, by how long each script takes."""
        load, hosts = settings.load, self._question.hosts
        stays = []
        for (_, script, own), found in zip(alone, self._found, strict=True):
            self._path = found.path
            seen = self._dry_run([script], self._of(own, load.for_room(ROOM_HOLDERS)), within=LONG_SECONDS)
            if load.rounds_are_due and seen.complete and not seen.rounds:
                raise BadInput(
                    f"stampede_load_model is rounds, but no holder of {found.path} begins a round; it must have "
                    "'async for _ in holder.until_end_of_run()' and come to it, for a round is what that loop does"
                )
            stays.append(seen.rounds_took if load.rounds_are_due else seen.visits)
        if not all(stays):
            return
        script_at = _script_of_round(settings, stays) if load.rounds_are_due else _script_of_arrival(settings)
        needed, stay = room_of_kinds(load.due, stays, script_at, hosts, settings.seed)
        if sentence := load.too_few_holders(needed, stay, hosts):
            raise BadInput(sentence)

    def _look_for_drops(self, scripts: Sequence[Script], settings: Settings) -> None:
        """Raise BadInput when the load, as far as it can be simulated soon, drops any of what is due."""
        seen = self._dry_run(scripts, settings, within=LONG_SECONDS)
        if not seen.dropped:
            return
        dropped = f"{seen.dropped:,}" if seen.complete else f"at least {seen.dropped:,}"
        if settings.load.rounds_are_due and seen.left:
            paths = [
                str(found.path)
                for found, (name, _) in zip(self._found, settings.of_scripts, strict=True)
                if name in seen.left
            ]
            raise BadInput(
                f"stampede_load_model is rounds, but holders of {' and '.join(paths)} are through with the script "
                f"before the run is over, so that a dry run of this load drops {dropped} of its rounds; its loop of "
                "until_end_of_run() must go on until that ends"
            )
        raise BadInput(settings.load.drops(dropped))

    @staticmethod
    def _of(settings: Settings, load: LoadModel) -> Settings:
        return dataclasses.replace(settings, load=load)

    def _dry_run(
        self, scripts: Sequence[Script], settings: Settings, within: float | None = None, cut_at: float | None = None
    ) -> Forecast:
        try:
            return dry_run(scripts, settings, within, cut_at, self._row_of, self._shared)
        except BaseException as error:
            raise self._refused(error) from error

    def _refused(self, error: BaseException) -> BadInput:
        """What is wrong, and in which script, as far as the exception tells."""
        files = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
        path = next((found.path for found in self._found if str(found.path) in files), self._path)
        return BadInput(told(path, error))


def _script_of_arrival(settings: Settings) -> Callable[[int, float], int]:
    """Which script the first, second ... takes who arrives at a moment."""
    return lambda place, moment: settings.script_of(place, settings.load.stage_at(moment))


def _script_of_round(settings: Settings, stays: Sequence[Sequence[float]]) -> Callable[[int, float], int]:
    """Of which script the rounds are: who is through with one sooner begins more of them."""
    weights = [share.weight for share in settings.scripts] or [1.0]
    often = [weight * len(took) / sum(took) for weight, took in zip(weights, stays, strict=True)]
    chance = random.Random(settings.seed)
    return lambda place, moment: chance.choices(range(len(often)), often)[0]


def _said(forecast: Forecast, script: str) -> set[Said]:
    """What a script did that was tried alone."""
    return {each._replace(script=script) for each in forecast.said}


def _awaited(texts: Sequence[str], sources: Sequence[str]) -> dict[Threshold, Said]:
    """The thresholds about what a script may do later than it could be simulated, with what that is."""
    found = {}
    for threshold in map(thresholds.parse, texts):
        kind, name = threshold.subject or (thresholds.STEP, "")
        is_named = (kind == thresholds.STEP and name in STEPS) or any(name in source for source in sources)
        if is_named and any(threshold.group in source for source in sources):
            found[threshold] = Said(kind, name, threshold.script, threshold.group)
    return found


def _row_of(settings: Settings) -> Callable[[int], Row]:
    """The rows of simulated holders: those of the file, without the secrets in it."""
    if settings.data is None:
        return no_row
    return read_data_file(settings.data, settings.seed).simulated().row


class Answer:
    """The one line that is answered, by whichever thread is the first."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = threading.Lock()

    def has_begun(self) -> None:
        """Give a sign of life."""
        os.write(self._descriptor, b"\n")

    def give(self, sentences: Sequence[str], text: str = "") -> None:
        """Answer, and end the process with whatever the script has left running in it."""
        if self._turn.acquire(blocking=False):
            line = json.dumps({"sentences": list(sentences), "text": text}).encode() + b"\n"
            with os.fdopen(self._descriptor, "wb") as answers:
                answers.write(line)
            os._exit(0)


def main() -> None:
    """Answer the question."""
    die_with_parent()
    answer = Answer(int(sys.argv[1]))
    answer.has_begun()
    question = Question(**json.load(sys.stdin))
    seconds = TRIAL_SECONDS if question.verb == TRIAL else FORECAST_SECONDS
    seconds *= max(1, len(question.variables.get("stampede_scripts") or ()))
    try:
        tried = Tried(question)
        watchdog = threading.Timer(seconds, lambda: answer.give([tried.too_long(seconds)]))
        watchdog.daemon = True
        watchdog.start()
        answer.give([], tried.text())
    except BadInput as error:
        answer.give(error.sentences)
    except BaseException as error:
        answer.give([f"The trial of the script failed: {said_by(error)}"])


if __name__ == "__main__":
    main()
