"""A user's scenario in a process of its own: loaded, and where it is when its time is over."""

from __future__ import annotations

import gc
import inspect
import sys
import threading
import types
from pathlib import Path

from stampede.engine import Hook, Script
from stampede.prepare.script_errors import told
from stampede.schema.errors import BadInput


class Scenario:
    """The module ``scenario``, as it is called on load hosts too. Raises BadInput for what is wrong with it."""

    def __init__(self, path: Path, source: str, name: str = "") -> None:
        """``name``: of the script, where the run has several."""
        self.path = path
        module = types.ModuleType(f"scenario_{name}" if name else "scenario")
        module.__file__ = str(path)
        sys.modules[module.__name__] = module
        try:
            exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102  the user's own script
        except BaseException as error:
            raise BadInput(told(path, error)) from error
        script = getattr(module, "script", None)
        if not inspect.iscoroutinefunction(script):
            raise BadInput(f"{path} has no 'async def script(holder)'; every script must have one")
        self.script: Script = script
        self.setup = self._hook(module, "setup")
        self.teardown = self._hook(module, "teardown")

    def _hook(self, module: types.ModuleType, name: str) -> Hook | None:
        """A function that is called once a run; None when the scenario has none."""
        hook: Hook | None = getattr(module, name, None)
        if hook is not None and not inspect.iscoroutinefunction(hook):
            raise BadInput(
                f"{self.path} has a {name} that is no coroutine; it must be 'async def {name}(run)', or have another "
                "name"
            )
        return hook


def place_reached(path: Path) -> str:
    """``FILE line N`` where the scenario is at this moment, as far as that can be told."""
    line = _line_of_main_thread(str(path)) or _line_of_a_coroutine(str(path))
    return f"{path} line {line}" if line else str(path)


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
