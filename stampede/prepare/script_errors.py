"""What a user's script or template raised, in a sentence that names its file and line."""

from __future__ import annotations

import traceback
from pathlib import Path

from stampede.schema.errors import BadInput

LONGEST = 500
"""Characters of what an exception says that are quoted."""


def place_in(path: Path, error: BaseException) -> str:
    """``FILE line N`` of the script where ``error`` came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path} line {lines[-1]}" if lines else str(path)


def told(path: Path, error: BaseException) -> str:
    """The sentence about an exception; of several in a group, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{place_in(path, error)}: {said_by(error)}"


def said_by(error: BaseException) -> str:
    """What an exception says, in one line of bounded length that a terminal can show."""
    try:
        text = str(error)
    except Exception:  # the script's own class of exception
        text = ""
    if not isinstance(error, BadInput):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    text = "".join(sign if sign.isprintable() else " " for sign in text[: 2 * LONGEST])
    text = " ".join(text.split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    if isinstance(error, SystemExit | KeyboardInterrupt):
        text += "; a script must not end the process"
    return text
