"""Where Stampede's own files are, and where the user's project is.

In a checkout, both are the checkout. Installed by pip, Stampede's own files are inside its package, which may be
read-only, and the project is the folder in which the user works: settings, scripts and results are there.
"""

from __future__ import annotations

import os
from pathlib import Path

from stampede.schema.errors import BadInput

PACKAGES = Path(__file__).resolve().parents[2]
"""The folder of the packages ``controller``, ``reference`` and ``stampede``."""
SHIPPED = PACKAGES / "stampede" / "shipped"
"""What setup.py puts into a wheel of that which lies beside the packages in a checkout."""
HOME = SHIPPED if SHIPPED.is_dir() else PACKAGES
"""The folder of playbooks, roles, templates and requirements. Nothing is written there by what is installed."""
VARIABLE = "STAMPEDE_PROJECT"
"""Environment variable that names the project's folder."""


def project() -> Path:
    """The folder to which users' paths are relative, and in which results and ``.stampede`` are made.

    Raises BadInput when STAMPEDE_PROJECT names no folder.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return Path.cwd() if HOME == SHIPPED else HOME
    if not Path(given).is_dir():
        raise BadInput(f"{VARIABLE} is {given!r}, which is no folder; it must be that of your settings and results")
    return Path(given).resolve()
