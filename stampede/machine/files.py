"""Small files that others read while they are written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from stampede.schema.errors import BadInput

BLOCK = 4096
"""Bytes that a disk hands out at a time, or more."""
LONGEST_NAME = 255
"""Bytes of a file's name, as Linux has it."""
SPARE = 2048
"""Bytes by which a text may grow while the disk is full."""


def write_atomically(path: Path, text: str, mode: int = 0o640) -> None:
    """Write a file so that readers see the old one or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.chmod(mode)
    part.replace(path)


def write_json(path: Path, value: Any, mode: int = 0o640, spare: int = 0) -> None:
    """``write_atomically`` of a value as JSON, with room for ``spare`` more bytes in the blocks that the file has."""
    text = json.dumps(value, indent=1)
    blocks = -(-(len(text) + spare) // BLOCK) if spare else 0
    write_atomically(path, text.ljust(blocks * BLOCK - 1) + "\n", mode)


def write_json_anyway(path: Path, value: Any) -> None:
    """``write_json``, but where the disk is full in place: the new text takes the old one's blocks.

    The file is filled up with spaces, so that a longer text has room later on. Readers may see a part of a text for a
    moment. Raises OSError when it cannot be done either, or the text is too long; what was there then stays.
    """
    try:
        write_json(path, value, 0o640, SPARE)
    except OSError:
        text = json.dumps(value).encode()
        with path.open("r+b") as file:
            room = file.seek(0, os.SEEK_END)
            if len(text) >= room:
                raise
            file.seek(0)
            file.write(text.ljust(room - 1) + b"\n")


def read_json(path: Path) -> Any:
    """A JSON file's value; None when there is no such file or it holds no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def user_path(variable: str, path: str, folder: Path) -> Path:
    """The path that a user gave in ``variable``: absolute, relative to ``folder``, or below the home folder (``~``).

    Raises BadInput when there is no such home folder, a name in it is too long, or no file can have it.
    """
    check_names(variable, path)
    try:
        return folder / Path(path).expanduser()
    except RuntimeError:
        raise BadInput(
            f"{variable} is {path!r}, but no home folder is known for it; it must be a path without ~, or HOME be set"
        ) from None
    except ValueError:  # NUL in the name of a user
        raise BadInput(f"{variable} is {path!r}, which no file can be called; it must be a path") from None


def check_names(variable: str, path: str) -> None:
    """Raise BadInput when a name within a path is too long for a file."""
    for name in Path(path).parts:
        if (length := len(os.fsencode(name))) > LONGEST_NAME:
            raise BadInput(
                f"{variable} has {name[:20]!r}... with {length} bytes; a file's name must have at most {LONGEST_NAME}"
            )
