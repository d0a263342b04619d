"""The one door to the controller's engine: for the dry run on the control node, and for scenarios.

Nothing else in this package imports ``controller``; ``make lint`` enforces that.
"""

from controller.holder.holder import STEPS, Holder, Script
from controller.run.dry_run import Forecast, Work, dry_run
from controller.run.run_hooks import Hook, RunAccess, call, simulate
from stampede.schema.errors import StepError

__all__ = [
    "STEPS",
    "Forecast",
    "Holder",
    "Hook",
    "RunAccess",
    "Script",
    "StepError",
    "Work",
    "call",
    "dry_run",
    "simulate",
]
