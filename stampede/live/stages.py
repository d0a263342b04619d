"""Which stage of the load a run is in, and what sends it on to the next one: the same moment for all load hosts."""

from __future__ import annotations

from collections.abc import Sequence

from stampede.fleet.host_poller import HOSTS_PER_SECOND
from stampede.fleet.host_view import HostView
from stampede.schema.orders import NextStage
from stampede.schema.phases import Phase
from stampede.schema.state import StageState

LEAD = 3.0
"""Seconds until the next stage begins, of a small fleet: time for all hosts to learn of it."""


def stage_of(hosts: Sequence[HostView]) -> StageState | None:
    """The stage that all hosts which are not over are in; None when they are in none, or not in the same."""
    stages = {
        host.state.stage if host.state and host.phase == Phase.RUNNING else None for host in hosts if not host.over
    }
    return stages.pop() if len(stages) == 1 else None


def next_stage(stage: StageState | None, hosts: int, now: float) -> NextStage | None:
    """What hosts are told; None when there is no stage to go on to, or it begins by itself before that."""
    at = round(now + LEAD + hosts / HOSTS_PER_SECOND, 3)
    if stage is None or stage.number >= stage.count or stage.ends_at <= at:
        return None
    return NextStage(stage.number + 1, at)
