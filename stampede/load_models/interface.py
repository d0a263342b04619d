"""What a load model is: who runs when, on one host or shared out over a fleet.

A model is a file of this folder with one class in it, a subclass of LoadModel; ``stampede_load_model`` names it by
the file's name. Nothing outside the file knows its settings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self


class EndOfRun(BaseException):
    """Ends a holder's script when the run is over. Not an Exception, so that scripts do not catch it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the load develops, as far as that is known before the run. Seconds from the start."""

    steady_after: float = 0.0
    """When the load has reached its level and the phase ``steady`` begins."""
    duration: float = 0.0
    """When steps begin no more and the phase ``drain`` begins; 0 when only the run itself will tell."""


class SettingReader(Protocol):
    """Reads ``stampede_*`` variables, named without that prefix, and collects a sentence for each that is wrong."""

    def integer(self, name: str) -> int:
        """A whole number, within the bounds of the argument specs."""

    def duration(self, name: str) -> float:
        """Seconds."""


class Stage(Protocol):
    """A run on one host, as its load model sees it."""

    @property
    def start(self) -> float:
        """The moment of the clock at which the load begins."""

    def now(self) -> float:
        """The clock, in seconds."""

    async def until(self, due: float) -> None:
        """Wait until the clock shows ``due``. Raises EndOfRun when the run ends before that."""

    def live(self, number: int, due: float) -> Coroutine[None, None, None]:
        """The life of holder ``number``, from its arrival, which was due at ``due``, to the end of its script."""


class LoadModel(ABC):
    """A load model with its settings: a host's share of the run, or the whole run on the control node."""

    @classmethod
    @abstractmethod
    def read(cls, reader: SettingReader) -> Self:
        """Read and check the model's settings; what is wrong is left with the reader."""

    @classmethod
    @abstractmethod
    def recorded_plan(cls, settings: Mapping[str, Any]) -> Plan:
        """The plan of a run from the settings that its results hold. Raises ValueError for what cannot be read."""

    @property
    @abstractmethod
    def plan(self) -> Plan:
        """How the load develops."""

    @property
    @abstractmethod
    def wallets(self) -> range:
        """The numbers of the holders whose wallets are created before the start."""

    @abstractmethod
    def describe(self) -> str:
        """The load in one sentence."""

    @abstractmethod
    def why_no_phase(self, phase: str) -> str:
        """Why a run of this model has no such phase (``stampede.schema.settings.thresholds``); empty when it has."""

    @abstractmethod
    def shares(self, weights: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """Each load host's share: the variables that differ on it. Raises BadInput when a host would get none."""

    @abstractmethod
    def reduced(self, holders: int, rounds: int | None = None, seconds: float | None = None) -> Self:
        """A smaller version that a script is tried with: at most so many holders, rounds and seconds."""

    @abstractmethod
    def another_round(self, rounds: int) -> bool:
        """Whether a holder that has completed ``rounds`` rounds of its loop may begin another one."""

    @abstractmethod
    async def run(self, stage: Stage) -> None:
        """Have the holders of this host live, and return when all have ended. Cancelling cancels them."""
