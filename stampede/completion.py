"""The script by which a shell completes the words of a command, made by shtab from its parser."""

from __future__ import annotations

import argparse
from pathlib import Path

SHELLS = ("bash", "zsh", "fish")
FOLDERS = {"FOLDER", "RESULTS_DIR"}
"""What arguments that are folders are called."""
PATHS = {"INVENTORY", "FILE", "RUN_A", "RUN_B"}
"""What arguments that are files, or either, are called."""


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for one of SHELLS."""
    import shtab

    _complete_paths(parser, shtab.FILE, shtab.DIRECTORY)
    return str(shtab.complete(parser, shell))


def _complete_paths(parser: argparse.ArgumentParser, files: object, folders: object) -> None:
    for action in parser._actions:
        if action.metavar in FOLDERS:
            action.complete = folders  # type: ignore[attr-defined]
        elif action.type is Path or action.metavar in PATHS:
            action.complete = files  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_paths(command, files, folders)
