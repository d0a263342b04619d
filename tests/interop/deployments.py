"""A gateway with its controllers in a thread of the tests' process, and the runs against it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from controllers import Controllers
from installs import Missing, MissingPython
from journeys import REVOCATION, Journey, Played, play, play_mission


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
        services = {
            "issuer": {
                "invitation": {"url": f"{{url}}/{issuer}/invitation"},
                "revocation": {"url": f"{{url}}/{issuer}/revocation?renew=1&version={version}", "body": REVOCATION},
            },
            "verifier": {"invitation": {"url": f"{{url}}/{verifier}/request?of={issuer}"}},
        }
        ca_file = self.controllers.authority.ca_file
        play_mission(self._folder / name, services, ca_file=ca_file, places=self._places(), **variables)

    def _places(self) -> dict[str, str]:
        known = {"url": self.controllers.url}
        known |= {f"{name}:admin": agent.admin for name, agent in self.controllers.agents.items()}
        return known | {f"{name}:{tag}": made for (name, tag), made in self.controllers.definitions.items()}

    def stop(self) -> None:
        self.run(self.controllers.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)


def had[T](make: Callable[[], T]) -> T:
    """What ``make`` returns. The test is skipped where it cannot be had on this machine.

    STAMPEDE_REQUIRE_INTEROP=1 makes that a failure, but for a Python that no package of Debian has.
    """
    try:
        return make()
    except (Missing, AssertionError) as reason:
        if os.environ.get("STAMPEDE_REQUIRE_INTEROP") == "1" and not isinstance(reason, MissingPython):
            raise
        pytest.skip(f"not tested on this machine, for want of {str(reason)[-400:]}")
