"""``results/RUN/teardown.json``: how the scenario's ``teardown`` ended, of a run that has one."""

from __future__ import annotations

from dataclasses import dataclass

TEARDOWN_FILE = "teardown.json"
NOT_RUN = "teardown has not been run"


@dataclass(frozen=True, slots=True)
class TeardownRecord:
    """The file. It is there before ``setup`` is called, so that a teardown of which nobody knows has failed."""

    failure: str = NOT_RUN
    """Why it failed, in a sentence; empty when it did not."""
