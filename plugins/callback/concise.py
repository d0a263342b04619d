"""Concise output of a run: one line per task, and only the message of a failure."""

from __future__ import annotations

import atexit
import gc
import re
from typing import TYPE_CHECKING, Any

from ansible import constants as C
from ansible.playbook.block import Block
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as DefaultCallback

from stampede import wording
from stampede.schema.settings.variables import VARIABLES

if TYPE_CHECKING:
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

DOCUMENTATION = """
    name: concise
    type: stdout
    short_description: one line per task, and only the message of a failure
    description:
      - With C(-v) the output is that of Ansible's default callback.
    extends_documentation_fragment:
      - default_callback
      - result_format_callback
    author: The Stampede contributors
"""

EXAMPLES = """
# In ansible.cfg:
#
# [defaults]
# callback_plugins = plugins/callback
# stdout_callback = concise
"""


INTERRUPTED = "Interrupted: the controllers are asked to end the run; stampede collect then collects the results."
VALIDATION = "ansible.builtin.validate_argument_spec"
"""Ansible inserts this task before each role; it is only of interest when it fails."""

# Ansible forks a process for each task of each host. To look for garbage in all that it has loaded, in each of them,
# takes a seventh of its CPU.
gc.set_threshold(50_000, 50, 100)
gc.freeze()

_WRONG_TYPE = re.compile(r"argument '(stampede_\w+)' is of type (\w+) and we were unable to convert to")
_VALUE = re.compile(r"The value ('.*') is not")
TOLD = "cloud_told_by_rescue"
"""Variable of a block whose rescue says in one sentence what is wrong, and what to do."""


def short(action: str) -> str:
    """An action's name without that of a collection."""
    return action.rpartition(".")[2]


def in_our_words(error: str) -> str:
    """What Ansible says of a setting of a wrong type, as the check of a run says it."""
    wrong, value = _WRONG_TYPE.match(error), _VALUE.search(error)
    if not wrong or wrong[1] not in VARIABLES:
        return error
    return f"{wrong[1]} is {value[1] if value else f'of type {wrong[2]}'}; it must be {VARIABLES[wrong[1]].right}"


def where_it_happened(result: CallbackTaskResult) -> str:
    """The host of a task, or that to which it was delegated, unless both are this machine."""
    host, other = result.host, result.task.delegate_to
    if not other or (other == "localhost" and host.vars.get("ansible_connection") == "local"):
        return str(host.get_name())
    return str(other)


def told_by_rescue(task: Task) -> bool:
    """Whether what is wrong is said by the rescue of a block that the task is in, as that block's vars say."""
    inner, outer = task, task._parent
    while outer is not None:
        if isinstance(outer, Block) and outer.vars.get(TOLD) and inner._uuid in {each._uuid for each in outer.block}:
            return True
        inner, outer = outer, outer._parent
    return False


class CallbackModule(DefaultCallback):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "concise"

    def __init__(self) -> None:
        super().__init__()
        self._told = ""
        self._play_to_tell = ""
        self._said: set[tuple[str, str]] = set()
        self._watching = False
        # What a worker says when it is interrupted is lost when ansible-playbook has stopped listening before.
        atexit.register(self._take_leave)

    def _take_leave(self) -> None:
        if self._watching:
            self._display.display(INTERRUPTED)

    def _tells_all(self) -> bool:
        return bool(self._display.verbosity)

    def _tell(self, task: Task) -> None:
        """Print the task's name, once."""
        if self._told == task._uuid:
            return
        self._told = task._uuid
        if self._play_to_tell:
            self._display.display(self._play_to_tell)
            self._play_to_tell = ""
        self._display.display(
            wording.printable(f"* {task.name or task.get_name()}"),
            color=C.COLOR_HIGHLIGHT if self._prints_itself(task) else None,
        )

    @staticmethod
    def _prints_itself(task: Task) -> bool:
        return short(task.action) in ("stampede_watch", "stampede_process") or task.args.get("verb") == "dry_run"

    def v2_playbook_on_play_start(self, play: Play) -> None:
        if self._tells_all():
            super().v2_playbook_on_play_start(play)
            return
        self._play = play
        self._play_to_tell = play.get_name().strip()  # with its first task: a play may have nothing to tell

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:
        self._watching = short(task.action) == "stampede_watch"
        if self._tells_all():
            super().v2_playbook_on_task_start(task, is_conditional)
        elif self._prints_itself(task) and not task.when:
            self._tell(task)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        if self._tells_all():
            super().v2_playbook_on_include(included_file)

    def _handle_warnings(self, res: dict[str, Any]) -> None:
        if self._tells_all():
            super()._handle_warnings(res)
            return
        for warning in res.pop("warnings", None) or []:
            self._display.warning(wording.printable_lines(str(warning)))

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        if self._tells_all():
            super().v2_runner_on_ok(result)
            return
        if isinstance(result.task, TaskInclude) or result.task.action == VALIDATION:
            return
        self._handle_warnings_and_exception(result)
        self._tell(result.task)
        if result.task.action == "ansible.builtin.debug" and "msg" in result.result:
            self._display.display(wording.printable_lines(str(result.result["msg"])))

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        if self._tells_all():
            super().v2_runner_on_failed(result, ignore_errors)
        elif not (result.task.loop and "results" in result.result):  # of a loop each item has told its own
            self._tell_failed(result)

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        if self._tells_all():
            super().v2_runner_on_unreachable(result)
        else:
            self._tell_failure(result)

    def v2_runner_item_on_ok(self, result: CallbackTaskResult) -> None:
        if self._tells_all():
            super().v2_runner_item_on_ok(result)

    def v2_runner_item_on_failed(self, result: CallbackTaskResult) -> None:
        if self._tells_all():
            super().v2_runner_item_on_failed(result)
        else:
            self._tell_failed(result)

    def _tell_failed(self, result: CallbackTaskResult) -> None:
        if not told_by_rescue(result.task):
            self._tell_failure(result)

    def _tell_failure(self, result: CallbackTaskResult) -> None:
        self._tell(result.task)
        host = where_it_happened(result)
        validated = result.task.action == VALIDATION
        errors = result.result.get("argument_errors") if validated else None
        for line in map(in_our_words, errors) if errors else self._sentences(result.result):
            if (host, line) not in self._said:  # what was rescued may be the reason of a failure later on
                self._said.add((host, line))
                self._display.display(wording.printable(f"[ERROR] {host}: {line}"), color=C.COLOR_ERROR)

    @staticmethod
    def _sentences(values: dict[str, Any]) -> list[str]:
        """What a failed task has to say. Of a command that is what it said itself, not that it failed."""
        said = [str(values.get(name) or "").strip() for name in ("stderr", "module_stderr")]
        text = "\n".join(filter(None, said)) or str(values.get("msg", "it failed and does not say why"))
        return [line for line in text.splitlines() if line.strip()]

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._watching = False
        if self._tells_all():
            super().v2_playbook_on_stats(stats)
