"""What a holder shares with all other holders of its run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from controller.load.clock import Clock
from controller.load.pacing import Pacer
from controller.load.think_time import ThinkTimes
from controller.metrics.recorder import Recorder
from controller.services.interface import Services
from stampede.schema.data_rows import Row
from stampede.schema.masking import Mask
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.targets import Targets
from stampede.schema.shared_values import Shared


@dataclass(frozen=True, slots=True)
class HolderContext:
    """One per script of a run."""

    settings: Settings
    """Those of its script."""
    script: str
    """Its name, where the run has several scripts; else empty."""
    services: Services
    clock: Clock
    pacer: Pacer
    recorder: Recorder
    targets: Targets
    another_round: Callable[[int, int], bool]
    """Whether a holder, by its number, that has completed so many rounds may begin another one."""
    turn: Callable[[int], Coroutine[None, None, float | None]]
    """Waits until it may, and returns when that was due; None for at once."""
    think_times: ThinkTimes
    mask: Mask
    """Keeps the run's secrets out of what is told of a failed step."""
    row_of: Callable[[int], Row]
    """A holder's row of ``stampede_data``, by its number. Raises BadInput when there is none for it."""
    shared: Shared
