"""Pages that show files and folders of the repository."""

from __future__ import annotations

import ast
import posixpath
from pathlib import Path

from website.pages import REPOSITORY, page_of

LANGUAGES = {".js": "js", ".json": "json", ".mjs": "js", ".py": "python", ".toml": "toml", ".yml": "yaml"}
"""By the ending of a file's name; others are shown as plain text."""
MOST_BYTES = 500_000
"""A larger file is not for reading."""
_HEAD = "---\nsearch:\n  exclude: true\n---\n"


def source_page(path: str) -> str:
    """The Markdown of the page that shows a file or folder."""
    there = REPOSITORY / path
    return _folder(path, there) if there.is_dir() else _file(path, there)


def files_in(path: str) -> list[str]:
    """What a folder holds: the files that are shown, by paths from the repository's root."""
    found = (REPOSITORY / path).rglob("*")
    return sorted(str(file.relative_to(REPOSITORY)) for file in found if _is_shown(file))


def _is_shown(file: Path) -> bool:
    hidden = any(part.startswith((".", "__pycache__")) for part in file.relative_to(REPOSITORY).parts)
    return file.is_file() and not hidden and file.suffix in LANGUAGES and ".min." not in file.name


def _file(path: str, file: Path) -> str:
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has {file.stat().st_size:,} bytes, too many for a page; no page should link to it")
    text = file.read_text(encoding="utf-8")
    return f'{_HEAD}# {path}\n\n~~~~ {LANGUAGES.get(file.suffix, "text")} linenums="1"\n{text.rstrip()}\n~~~~\n'


def _folder(path: str, folder: Path) -> str:
    here = posixpath.dirname(page_of(path))
    lines = [f"{_HEAD}# {path}/", ""]
    for file in files_in(path):
        name, meaning = file.removeprefix(f"{path}/"), _meaning(REPOSITORY / file)
        lines.append(f"- [`{name}`]({posixpath.relpath(page_of(file), here)})" + (f": {meaning}" if meaning else ""))
    return "\n".join(lines) + "\n"


def _meaning(file: Path) -> str:
    """The first sentence of a module's docstring."""
    if file.suffix != ".py":
        return ""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`")
