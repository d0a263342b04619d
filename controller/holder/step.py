"""Steps: what is timed and journaled, and what happens to the holder when one fails."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Concatenate, Protocol, Self

from controller.agents.question import Question
from controller.agents.wallet import Connection, Wallet
from controller.holder.context import HolderContext
from stampede.load_models.interface import EndOfRun
from stampede.schema.errors import StepError, StepTimeout, noted
from stampede.schema.masking import Mask
from stampede.schema.records import Outcome

GROUP: ContextVar[str] = ContextVar("group", default="")
"""The ``holder.group`` that the running task is in; tasks that it starts are in it too."""
WITHIN_STEP: ContextVar[TimedStep | None] = ContextVar("within_step", default=None)
"""The step that the running task is in; tasks that it starts are in it too. While a step is recorded: the one that it
was in."""
FAILURE_PAUSE = 1.0
"""Seconds a holder pauses after a failed step, so that a failing service is not hammered."""


class Performer(Protocol):
    """A holder, as far as a step needs it."""

    number: int
    rounds: int
    attempt: int
    due: float | None
    """When its next step is due, on the run's clock; None: at once."""
    wallet: Wallet

    @property
    def mask(self) -> Mask:
        """Keeps secrets out of what is told of its failures."""

    @property
    def context(self) -> HolderContext:
        """What it shares with the other holders of its run."""


class TimedStep:
    """Times its block (``async with TimedStep(...):``), journals the outcome, and applies ``stampede_on_failure``.

    With ``continue``, a StepError or a timeout ends the block and the script goes on after it; else it is raised.
    Any other exception is the script's own and is journaled as such, not as a failure of this step.
    """

    __slots__ = (
        *("_done", "_due", "_group", "_holder", "_limit", "_name", "_outer", "_service", "_start"),
        *("_is_open", "_timeout"),
        *("awaited", "detail"),
    )

    def __init__(self, holder: Performer, name: str, service: str = "", limit: float | None = None) -> None:
        """``limit``: seconds after which the step fails; ``stampede_step_timeout`` without."""
        self._holder = holder
        self._name = name
        self._service = service
        self._limit = holder.context.settings.step_timeout if limit is None else limit
        self._done: float | None = None
        self._outer: TimedStep | None = None
        self._is_open = False
        self.awaited = ""
        """What the step waits for and saw last, should its time be over."""
        self.detail = ""
        """What is journaled of a step that ends ok."""

    def done(self) -> None:
        """Take the step's times until now. The rest of the block is not timed, but decides how the step ended."""
        self._done = self._holder.context.clock.now()

    async def __aenter__(self) -> Self:
        holder, context = self._holder, self._holder.context
        if context.pacer.ended:
            raise EndOfRun
        self._start = context.clock.now()
        self._group = GROUP.get()
        self._due, holder.due = self._start if holder.due is None else holder.due, None
        context.recorder.in_flight += 1
        self._timeout = asyncio.timeout(self._limit)
        await self._timeout.__aenter__()
        outer = WITHIN_STEP.get()
        while outer and not outer._is_open:  # in which a task was started that goes on without it
            outer = outer._outer
        self._outer, self._is_open = outer, True
        WITHIN_STEP.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        context = self._holder.context
        self._is_open = False
        WITHIN_STEP.set(self._outer)
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as expired:
            error = expired
        finally:
            context.recorder.in_flight -= 1
        match error:
            case None:
                self._record(Outcome.OK)
                return False
            case asyncio.CancelledError() | EndOfRun():
                self._record(Outcome.INTERRUPTED)
                return False
            case TimeoutError():
                reason = self._holder.wallet.cut_off() or StepTimeout(
                    noted(error) or self.awaited or "no answer came"
                )
                failure: StepError = type(reason)(f"{reason.detail}, for {self._limit:g} s")
            case StepError():
                failure = error
            case _:
                return False
        failure.detail = self._holder.mask(failure.detail)
        failure.args = (failure.detail,)
        self._record(Outcome.FAILED, failure)
        if context.settings.on_failure != "continue":
            raise failure
        await context.pacer.unless_over(self._holder.wallet.ready())
        await context.pacer.until(context.clock.now() + FAILURE_PAUSE, self._holder.number)
        return True

    def _record(self, outcome: Outcome, error: StepError | None = None) -> None:
        holder = self._holder
        holder.context.recorder.step(
            self._name,
            outcome,
            start=self._start,
            due=self._due,
            holder=holder.number,
            iteration=holder.rounds,
            attempt=holder.attempt,
            service=self._service,
            error=error.error_class if error else "",
            detail=error.detail if error else self.detail,
            done=self._done if outcome == Outcome.OK else None,
            script=holder.context.script,
            group=self._group,
        )


def step[H: Performer, **P, T](
    name: str,
) -> Callable[
    [Callable[Concatenate[H, P], Awaitable[T]]], Callable[Concatenate[H, P], Coroutine[Any, Any, T | None]]
]:
    """Declare a method of a holder as the step ``name``: all of it is timed, see TimedStep.

    It then returns None when the step failed and ``stampede_on_failure`` is ``continue``. Its first argument, where
    that is a service's name, a connection or a question, is journaled as the step's ``service``. A method with a
    parameter ``timed`` is given the step itself.
    """

    def declare(
        method: Callable[Concatenate[H, P], Awaitable[T]],
    ) -> Callable[Concatenate[H, P], Coroutine[Any, Any, T | None]]:
        _, *parameters = inspect.signature(method).parameters
        first = parameters[0] if parameters else ""
        wants_itself = "timed" in parameters

        @functools.wraps(method)
        async def timed(holder: H, /, *args: P.args, **kwargs: P.kwargs) -> T | None:
            async with TimedStep(holder, name, _service(args[0] if args else kwargs.get(first))) as itself:
                if wants_itself:
                    kwargs["timed"] = itself
                return await method(holder, *args, **kwargs)
            return None

        timed.step_name = name  # type: ignore[attr-defined]
        return timed

    return declare


def declared_steps(holder: type) -> frozenset[str]:
    """The names of all steps that a class declares."""
    return frozenset(method.step_name for method in vars(holder).values() if hasattr(method, "step_name"))


def _service(argument: object) -> str:
    argument = argument.connection if isinstance(argument, Question) else argument
    return argument.name if isinstance(argument, Connection) else argument if isinstance(argument, str) else ""
