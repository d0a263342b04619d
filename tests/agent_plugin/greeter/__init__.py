"""A plugin of ACA-Py that says in the agent's log that it was set up."""

import sys
from typing import Any


async def setup(context: Any) -> None:
    """ACA-Py calls it."""
    print("greeter: good morning", file=sys.stderr, flush=True)
