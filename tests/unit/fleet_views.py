"""Hosts as the watching control node sees them."""

from __future__ import annotations

from typing import Any

from stampede.fleet.host_view import HostView
from stampede.fleet.snapshot import Snapshot
from stampede.schema.json_form import from_json
from stampede.schema.state import HostState

NOW = 1_000_000.0
_STATE = {
    "phase": "running",
    "pid": 412,
    "time": NOW,
    "ends_at": NOW + 90,
    "holders": {"total": 10, "active": 8, "ready": 10, "finished": 2},
    "steps": {"ok": 1000, "failed": 1, "interrupted": 0, "per_s": 4.2},
    "errors": {"timeout": 1},
    "p95": {"connect": 0.5, "present_proof": 0.81, "request_revocation": 0.2},
    "lag_p99": 0.002,
    "host_cpu": 1.0,
    "host_cores": 2,
    "host_memory_used": 0.61,
}
STATE = from_json(HostState, _STATE)


def snapshot(
    at: float = NOW, *, alive: bool = True, last_output: str = "", ahead: float = 0.0, **changes: Any
) -> Snapshot:
    """A look at ``at``, at a host whose clock is ``ahead`` and that has just written its state."""
    state = from_json(HostState, _STATE | {"time": at + ahead} | changes, problems=[])
    return Snapshot(alive, state, at + ahead, last_output)


def host(name: str = "h1", at: float = NOW, **changes: Any) -> HostView:
    view = HostView(name, "see its logs", at)
    view.update(snapshot(at, **changes), at)
    return view
