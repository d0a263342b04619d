"""The sample results that the unit tests use serve here too."""

import sys
from pathlib import Path

from chromium import browser  # noqa: F401  a fixture
from playwright.sync_api import expect

expect.set_options(timeout=20_000)

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
