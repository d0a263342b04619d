"""Which file of the repository is which page of the site, and links between them.

The Markdown files work as they are where the repository is shown. In the site, a link out of ``docs/`` leads to
the file's own page there; what is no page, and is linked to, is shown under ``source/``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = "docs/"
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Pages that lie outside of ``docs/``, beside the roles' READMEs."""
SOURCE = "source/"

_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"(\]\(|^\[[^\]\n]+\]: )([^)\s#]+)", re.MULTILINE)
_SCHEME = re.compile(r"[a-z]+:")


def markdown_outside() -> dict[str, str]:
    """The Markdown files outside of ``docs/`` that are pages: path in the repository to path in the site."""
    roles = sorted(REPOSITORY.glob("roles/*/README.md"))
    return OUTSIDE | {str(file.relative_to(REPOSITORY)): f"roles/{file.parent.name}.md" for file in roles}


def page_of(path: str) -> str:
    """Where a file or folder of the repository is in the site, before the site's build makes HTML of it."""
    if page := markdown_outside().get(path):
        return page
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return f"{SOURCE}{path}.md"


def file_of(page: str) -> str:
    """The file of the repository that is this page of the site, but for those under ``source/``."""
    outside = {there: here for here, there in markdown_outside().items()}
    return outside.get(page, DOCS + page)


def linked(text: str, file: str) -> Iterator[str]:
    """What a Markdown file links to in the repository, by paths from its root."""
    for match in _LINK.finditer(_SPAN.sub("", _FENCE.sub("", text))):
        if target := _target(match[2], file):
            yield target


def with_site_links(text: str, file: str) -> str:
    """A Markdown file's text with links to pages of the site. Those to nothing are left, for MkDocs to tell."""
    here = posixpath.dirname(page_of(file))

    def replaced(match: re.Match[str]) -> str:
        target = _target(match[2], file)
        return match[1] + (posixpath.relpath(page_of(target), here or ".") if target else match[2])

    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(replaced, text[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*parts, _LINK.sub(replaced, text[end:])])


def _target(link: str, file: str) -> str:
    """A link's file or folder by its path from the repository's root; empty when it is none."""
    if _SCHEME.match(link):
        return ""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(file), link))
    return path if not path.startswith("..") and (REPOSITORY / path).exists() else ""
