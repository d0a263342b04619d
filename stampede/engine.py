"""The one door to the controller's engine: for the dry run on the control node, and for scenarios.

Nothing else in this package imports ``controller``; ``make lint`` enforces that.
"""

from controller.dry_run import Forecast, dry_run
from controller.holder import STEPS, Holder
from controller.run import Script
from stampede.schema.errors import StepError

__all__ = ["STEPS", "Forecast", "Holder", "Script", "StepError", "dry_run"]
