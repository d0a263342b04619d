"""The process in which a user's script is tried: ``python -m stampede.prepare.trial_process DESCRIPTOR``.

It is asked in JSON on its standard input and answers with one line of JSON: ``sentences`` that say what is wrong with
the script, and a ``text``. When its time is over it says where the script is.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stampede.engine import STEPS, Forecast, Script, dry_run, simulate
from stampede.load_models.interface import LoadModel
from stampede.machine.data_file import read_data_file
from stampede.machine.processes import die_with_parent
from stampede.prepare.rendering import find_script, render_scenario, render_script
from stampede.prepare.scenario import Scenario, place_reached
from stampede.prepare.script_errors import said_by, told
from stampede.schema.data_rows import Row, no_row
from stampede.schema.errors import BadInput
from stampede.schema.settings import thresholds
from stampede.schema.settings.run_settings import Settings

TRIAL, FORECAST = "trial", "forecast"
TRIAL_SECONDS = 5.0
"""After which the trial of a script is ended, and the script refused."""
LONG_SECONDS = 1.0
"""That each further, longer look for the steps that thresholds name may take."""
FORECAST_SECONDS = 210.0
FORECAST_WITHIN = 180.0
"""Seconds after which a forecast is about the first part of the run only."""

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
    """What is asked: ``verb`` is TRIAL or FORECAST."""

    verb: str
    variables: dict[str, Any]
    templates_dir: str
    base_dir: str


class Tried:
    """A script as it is tried."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._variables = question.variables
        self._templates, self._base = Path(question.templates_dir), Path(question.base_dir)
        self._path = find_script(str(self._variables["stampede_script"]), self._templates, self._base)
        self._is_rendered = False

    def text(self) -> str:
        """The answer to the question. Raises BadInput for what is wrong with the script."""
        settings = Settings.from_variables(self._variables)
        source = render_scenario(self._path, self._variables)
        render_script(self._variables, self._templates, self._base)
        self._is_rendered = True
        self._row_of = _row_of(settings)
        scenario = Scenario(self._path, source)
        script = scenario.script
        try:
            self._shared = simulate(scenario.setup, scenario.teardown, settings, self._variables)
        except BaseException as error:
            raise BadInput(told(self._path, error)) from error
        if self._question.verb == FORECAST:
            return self._dry_run(script, settings, within=FORECAST_WITHIN).text()
        self._try(script, settings, source)
        return ""

    def too_long(self, seconds: float) -> str:
        """A sentence about where the script is after so many seconds."""
        if not self._is_rendered:
            return f"{self._path} was still being rendered after {seconds:g} s; a template must come to an end"
        return f"{place_reached(self._path)}: the script was still here after {seconds:g} s of its trial; {BUSY}"

    def _try(self, script: Script, settings: Settings, source: str) -> None:
        short = self._of(settings, settings.load.reduced(TRIAL_HOLDERS, TRIAL_ROUNDS, TRIAL_DURATION))
        trial = self._dry_run(script, short)
        for part in CUTS:
            self._dry_run(script, short, cut_at=part * trial.seconds)
        self._look_for_room(script, settings)
        done, wanted = _done_in(trial), thresholds.subjects_in(settings.thresholds)
        possible = {
            (kind, name) for kind, name in wanted if (kind == thresholds.STEP and name in STEPS) or name in source
        }
        is_complete = True
        for load in (
            settings.load.reduced(TRIAL_HOLDERS),
            settings.load,
        ):  # a step may come late, or from few holders
            if possible <= done:
                break
            longer = self._dry_run(script, self._of(settings, load), within=LONG_SECONDS)
            done |= _done_in(longer)
            is_complete = longer.complete
        thresholds.check_subjects(settings.thresholds, done if is_complete else done | possible)

    def _look_for_room(self, script: Script, settings: Settings) -> None:
        """Raise BadInput when the load needs more holders than there may be."""
        if settings.load.needs_room:
            seen = self._dry_run(script, self._of(settings, settings.load.reduced(ROOM_HOLDERS)), within=LONG_SECONDS)
            if sentence := settings.load.too_few_holders(seen.visit, seen.round_time):
                raise BadInput(sentence)

    @staticmethod
    def _of(settings: Settings, load: LoadModel) -> Settings:
        return dataclasses.replace(settings, load=load)

    def _dry_run(
        self, script: Script, settings: Settings, within: float | None = None, cut_at: float | None = None
    ) -> Forecast:
        try:
            return dry_run(script, settings, within, cut_at, self._row_of, self._shared)
        except BaseException as error:
            raise BadInput(told(self._path, error)) from error


def _row_of(settings: Settings) -> Callable[[int], Row]:
    """The rows of simulated holders: those of the file, without the secrets in it."""
    if settings.data is None:
        return no_row
    return read_data_file(settings.data, settings.seed).simulated().row


def _done_in(forecast: Forecast) -> set[tuple[str, str]]:
    """What thresholds may be about: the steps, checks and measures of a dry run."""
    names = {
        thresholds.STEP: forecast.steps,
        thresholds.CHECK: forecast.checks,
        thresholds.MEASURE: forecast.measures,
    }
    return {(kind, name) for kind, each in names.items() for name in each}


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
    seconds = FORECAST_SECONDS if question.verb == FORECAST else TRIAL_SECONDS
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
