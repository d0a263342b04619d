"""The process in which a user's script is tried: ``python -m stampede.prepare.trial_process DESCRIPTOR``.

It is asked in JSON on its standard input and answers with one line of JSON: ``sentences`` that say what is wrong with
the script, and a ``text``. When its time is over it says where the script is.
"""

from __future__ import annotations

import dataclasses
import gc
import inspect
import json
import os
import sys
import threading
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stampede.engine import STEPS, Forecast, Script, dry_run
from stampede.load_models.closed import Closed
from stampede.load_models.interface import LoadModel
from stampede.machine.processes import die_with_parent
from stampede.prepare.rendering import find_script, render_scenario, render_script
from stampede.prepare.script_errors import said_by, told
from stampede.prepare.script_work import work_of
from stampede.schema.errors import BadInput
from stampede.schema.settings import thresholds
from stampede.schema.settings.run_settings import Settings

TRIAL, FORECAST, WORK = "trial", "forecast", "work"
TRIAL_SECONDS = 5.0
"""After which the trial of a script is ended, and the script refused."""
LONG_SECONDS = 1.0
"""That each further, longer look for the steps that thresholds name may take."""
FORECAST_SECONDS = 210.0
FORECAST_WITHIN = 180.0
"""Seconds after which a forecast is about the first part of the run only."""
WORK_WITHIN = 120.0
"""Seconds that the look for what a holder does may take."""
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
        script = self._loaded(source)
        if self._question.verb == FORECAST:
            return self._dry_run(script, settings, within=FORECAST_WITHIN).text()
        if self._question.verb == WORK:
            load = Closed(WORK_HOLDERS, first_holder=0, ramp_up=0.0, duration=0.0, iterations=WORK_ROUNDS)
            return work_of(self._dry_run(script, self._of(settings, load), within=WORK_WITHIN), self._path)
        self._try(script, settings, source)
        return ""

    def too_long(self, seconds: float) -> str:
        """A sentence about where the script is after so many seconds."""
        if not self._is_rendered:
            return f"{self._path} was still being rendered after {seconds:g} s; a template must come to an end"
        line = _line_of_main_thread(str(self._path)) or _line_of_a_coroutine(str(self._path))
        place = f"{self._path} line {line}" if line else str(self._path)
        return f"{place}: the script was still here after {seconds:g} s of its trial; {BUSY}"

    def _loaded(self, source: str) -> Script:
        """The ``script`` of the scenario, which is a module of that name on load hosts too."""
        module = types.ModuleType("scenario")
        module.__file__ = str(self._path)
        sys.modules[module.__name__] = module
        try:
            exec(compile(source, str(self._path), "exec"), module.__dict__)  # noqa: S102  the user's own script
        except BaseException as error:
            raise BadInput(told(self._path, error)) from error
        script = getattr(module, "script", None)
        if not inspect.iscoroutinefunction(script):
            raise BadInput(f"{self._path} has no 'async def script(holder)'; every script must have one")
        found: Script = script
        return found

    def _try(self, script: Script, settings: Settings, source: str) -> None:
        short = self._of(settings, settings.load.reduced(TRIAL_HOLDERS, TRIAL_ROUNDS, TRIAL_DURATION))
        trial = self._dry_run(script, short)
        for part in CUTS:
            self._dry_run(script, short, cut_at=part * trial.seconds)
        self._look_for_room(script, settings)
        steps, wanted = set(trial.steps), set(thresholds.steps_in(settings.thresholds))
        possible = {step for step in wanted if step in STEPS or step in source}
        is_complete = True
        for load in (
            settings.load.reduced(TRIAL_HOLDERS),
            settings.load,
        ):  # a step may come late, or from few holders
            if possible <= steps:
                break
            longer = self._dry_run(script, self._of(settings, load), within=LONG_SECONDS)
            steps |= set(longer.steps)
            is_complete = longer.complete
        thresholds.check_steps(settings.thresholds, sorted(steps if is_complete else steps | possible))

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
            return dry_run(script, settings, within, cut_at)
        except BaseException as error:
            raise BadInput(told(self._path, error)) from error


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


def _line_of_main_thread(file: str) -> int | None:
    """The line of ``file`` that the main thread is in."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame:
        if frame.f_code.co_filename == file:
            return frame.f_lineno
        frame = frame.f_back
    return None


def _line_of_a_coroutine(file: str) -> int | None:
    """The line of ``file`` at which some coroutine awaits something."""
    for each in gc.get_objects():
        if inspect.iscoroutine(each) and each.cr_code.co_filename == file and each.cr_frame:
            return each.cr_frame.f_lineno
    return None


if __name__ == "__main__":
    main()
