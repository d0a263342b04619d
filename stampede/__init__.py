"""Load tests of verifiable-credential services with real holder wallets.

Scenarios need three names only: ``from stampede import Holder, RunAccess, StepError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stampede.engine import Holder, RunAccess, StepError

__all__ = ["Holder", "RunAccess", "StepError"]


def __getattr__(name: str) -> Any:
    """Import the engine when a scenario asks for it, and not whenever a part of this package is imported."""
    if name in __all__:
        from stampede import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
