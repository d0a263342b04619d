"""Takes the run on to its next stage when the control node says so, at the moment that all hosts were given."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from controller.host.order_file import OrderFile
from controller.run.run import Run
from stampede.schema.orders import NEXT_STAGE, NextStage, read_next_stage
from stampede.schema.records import EventKind

LOGGER = logging.getLogger(__name__)


class StageSwitch:
    """Reads ``next_stage.json`` of a run's folder."""

    def __init__(self, run_dir: Path, announce: Callable[[EventKind, str, float], None]) -> None:
        self._file = OrderFile(run_dir / NEXT_STAGE)
        self._announce = announce
        self._telling: asyncio.TimerHandle | None = None

    def look(self, run: Run, start_at: float) -> bool:
        """Whether the run now goes on to another stage; ``start_at``: when its load began, in seconds since 1970."""
        text = self._file.news()
        if text is None:
            return False
        try:
            found = read_next_stage(text)
        except ValueError as error:
            LOGGER.warning("%s is ignored: %s", NEXT_STAGE, error)
            return False
        return self._go_on(run, found, found.at - start_at)

    def _go_on(self, run: Run, found: NextStage, seconds: float) -> bool:
        now = run.load.stage_at(seconds)
        if now is None or found.stage != now.number + 1 or found.stage > now.stages:
            LOGGER.info("stage %s is not what follows then", found.stage)
            return False
        late = run.clock.now() - run.clock.at_epoch(found.at)
        run.go_on(seconds)
        text = f"stage {found.stage} of {now.stages} began before its time"
        text += f"; this host learned of it {late:.1f} s too late" if late > 0 else ""
        moment = max(run.clock.at_epoch(found.at), run.clock.now())
        self._telling = asyncio.get_running_loop().call_at(moment, self._tell, run, text, seconds)
        return True

    def _tell(self, run: Run, text: str, seconds: float) -> None:
        if not run.pacer.ended:  # it was stopped before the stage began
            self._announce(EventKind.NEXT_STAGE, text, seconds)

    def close(self) -> None:
        """What has not begun will not begin."""
        if self._telling:
            self._telling.cancel()
