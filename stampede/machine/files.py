"""Small files that others read while they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stampede.schema.errors import BadInput


def write_atomically(path: Path, text: str, mode: int = 0o640) -> None:
    """Write a file so that readers see the old one or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.chmod(mode)
    part.replace(path)


def write_json(path: Path, value: Any, mode: int = 0o640) -> None:
    """``write_atomically`` of a value as JSON."""
    write_atomically(path, json.dumps(value, indent=1) + "\n", mode)


def write_json_anyway(path: Path, value: Any) -> None:
    """``write_json``, but where the disk is full in place: the new text takes the old one's blocks.

    Readers may then see a part of it for a moment. Raises OSError when that cannot be done either.
    """
    try:
        write_json(path, value)
    except OSError:
        with path.open("r+", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")
            file.truncate()


def read_json(path: Path) -> Any:
    """A JSON file's value; None when there is no such file or it holds no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def user_path(variable: str, path: str, folder: Path) -> Path:
    """The path that a user gave in ``variable``: absolute, relative to ``folder``, or below the home folder (``~``).

    Raises BadInput when there is no such home folder.
    """
    try:
        return folder / Path(path).expanduser()
    except RuntimeError:
        raise BadInput(
            f"{variable} is {path!r}, but no home folder is known for it; it must be a path without ~, or HOME be set"
        ) from None
