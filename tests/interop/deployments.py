"""A gateway with its controllers in a thread of the tests' process, and the runs against it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from controllers import Controllers
from journeys import Journey, Played, network, play, play_mission


class Deployment:
    """Controllers that run in a thread, and the runs against them."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._folder = folder
        self.controllers = Controllers(folder)
        self.run(self.controllers.start())

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns, done in the thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(900)

    def play(
        self, name: str, journeys: Sequence[Journey], places: Mapping[str, str] | None = None, **variables: Any
    ) -> Played:
        """One run of all these journeys; ``places`` are further names that their URLs have in braces."""
        known = self._places() | (places or {})
        return play(
            self._folder / name, journeys, ca_file=self.controllers.authority.ca_file, places=known, **variables
        )

    def play_mission(self, name: str, issuer: str, verifier: str, version: str, **variables: Any) -> None:
        """One run of issue_present_revoke; ``version`` is that of the revocation notification, `v1_0` or `v2_0`."""
        services = network(issuer, verifier, revocation=f"renew=1&version={version}")
        ca_file = self.controllers.authority.ca_file
        play_mission(self._folder / name, services, ca_file=ca_file, places=self._places(), **variables)

    def _places(self) -> dict[str, str]:
        known = {"url": self.controllers.url}
        known |= {f"{name}:admin": agent.admin for name, agent in self.controllers.agents.items()}
        return known | {f"{name}:{tag}": made for (name, tag), made in self.controllers.definitions.items()}

    def stop(self) -> None:
        self.run(self.controllers.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
