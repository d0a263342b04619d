"""Starts, restarts and stops a process that pushes the journal (see ``push`` and ``otlp_push``)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from controller.metrics.push import read_progress, write_progress
from stampede.schema.push_progress import FILE, OTLP_FILE, PushProgress
from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.otlp_settings import Otlp

LOGGER = logging.getLogger(__name__)

EXIT_GRACE = 2.0
"""Seconds that a pusher has to exit by itself when it is told to, or its time is over."""
FIRST_RESTART, LAST_RESTART = 1.0, 60.0
"""Seconds until a pusher that died is restarted; doubled each time."""


class PushProcess:
    """Keeps a pusher running beside the run: ``async with PushProcess(...) as push``."""

    def __init__(self, target: Influxdb | Otlp, secret: str | Mapping[str, str], flush: float, run_dir: Path) -> None:
        """``secret``: of an InfluxDB its password or token, of a collector the secrets by name. ``flush``: seconds
        that the pusher has once the journal is complete."""
        is_otlp = isinstance(target, Otlp)
        self._module = "controller.metrics.otlp_push" if is_otlp else "controller.metrics.push"
        self._file = OTLP_FILE if is_otlp else FILE
        self._given = {"target": dataclasses.asdict(target), "secret": secret, "flush": flush}
        self._flush = flush
        self._dir = run_dir
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._launch()
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end_within(EXIT_GRACE)

    async def finish(self) -> None:
        """The journal is complete: wait until all of it is pushed, or the time for that is over."""
        await self._stop_watching()
        if self._process is None or self._process.returncode is not None:
            await self._launch()
        await self._end_within(self._flush + EXIT_GRACE)

    def progress(self) -> PushProgress:
        """What its file, ``push.json`` or ``push-otlp.json``, says."""
        return read_progress(self._dir, self._file)

    async def _launch(self) -> None:
        """Start the pusher. If that fails, for lack of memory or disk space, there is none."""
        try:
            with (self._dir / "logs" / self._file).with_suffix(".log").open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", self._module, str(self._dir)),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    cwd=self._dir,
                    start_new_session=True,
                )
        except OSError as error:
            LOGGER.warning("the pusher cannot be started: %s", error)
            self._note_unless_it_did(f"the pusher cannot be started: {error}")
            return
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):  # it died at once; the watcher notices
            self._process.stdin.write(json.dumps(self._given).encode() + b"\n")
            await self._process.stdin.drain()

    async def _watch(self) -> None:
        """Restart the pusher whenever it exits: it should not before its input ends."""
        pause = FIRST_RESTART
        while True:
            if self._process:
                code = await self._process.wait()
                LOGGER.warning("the pusher exited with code %s; it is restarted in %g s", code, pause)
                log = Path(self._file).with_suffix(".log")
                self._note_unless_it_did(f"the pusher exited with code {code}; logs/{log} says why")
            await asyncio.sleep(pause)
            pause = min(LAST_RESTART, 2 * pause)
            await self._launch()

    async def _stop_watching(self) -> None:
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    async def _end_within(self, seconds: float) -> None:
        """Close the pusher's input, and kill it if it has not exited that many seconds later."""
        await self._stop_watching()
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            process.kill()
            await process.wait()
            self._note_unless_it_did("the pusher came to nothing in the time that it had")

    def _note_unless_it_did(self, error: str) -> None:
        """Without any progress of the pusher's own, it would look as if nothing should have been pushed."""
        if not (self._dir / self._file).exists():
            write_progress(self._dir, PushProgress(error=error), self._file)
