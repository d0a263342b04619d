"""Where the files of a store are, and what its agent leaves there for the controller to read."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

FOLDER = "records"
CUT_SHORT = "cut_short.json"


def folder_of(home: Path, store: str) -> Path:
    """The folder of a store of the agent whose ACAPY_HOME is ``home``."""
    return home / "wallet" / store / FOLDER


def tell_cut_short(folder: Path, profiles: Collection[str]) -> None:
    """Leave the names of the profiles that lost the write that was under way when their process ended."""
    new = folder / f"{CUT_SHORT}.new"
    new.write_text(json.dumps(sorted(profiles)))
    new.replace(folder / CUT_SHORT)


def take_cut_short(folder: Path) -> list[str]:
    """What ``tell_cut_short`` left, once."""
    file = folder / CUT_SHORT
    if not file.exists():
        return []
    names: list[str] = json.loads(file.read_text())
    file.unlink()
    return names
