"""Everything that the documentation refers to exists: links, anchors, files, playbooks and make targets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = {"build", "results"}
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(
        part in GENERATED or (part.startswith(".") and part != ".github") for part in page.relative_to(ROOT).parts
    )
)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n+)+")
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
STRAY_ROW = re.compile(r"(?<=\n\n)\|.*\|$(?!\n\| ?:?-)", re.MULTILINE)
"""A table's row that is none, because no table is above it and no line of dashes below."""
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FOLDERS = "|".join(
    sorted(
        re.escape(path.name)
        for path in ROOT.iterdir()
        if path.is_dir() and path.name not in GENERATED and not path.name.startswith((".", "__"))
    )
)
PATH = re.compile(rf"(?<![\w/.~-])(?:{FOLDERS})/[\w./*-]*\w[\w./*-]*")
"""A path relative to the repository, possibly with wildcards or NAME for a file's own name."""
OWN_INVENTORY = "inventory/mine"
"""How the documentation calls the inventory that users create."""


def prose_and_code(text: str) -> tuple[str, list[str]]:
    """A page without its code blocks; and its code, by lines of blocks and by spans."""
    fenced = [match.group() for match in FENCE.finditer(text)]
    text = FENCE.sub("", text)
    blocks = fenced + INDENTED.findall(text)
    prose = INDENTED.sub("", text)
    return prose, [line.strip() for block in blocks for line in block.splitlines()] + SPAN.findall(prose)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub generates for the headings of a page."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def problems(page: Path, root: Path = ROOT) -> Iterator[str]:
    """References of a page to something that does not exist."""
    prose, code = prose_and_code(page.read_text())
    for match in LINK.finditer(SPAN.sub("", prose)):
        link = match.group(1) or match.group(2)
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        linked = page.parent / path if path else page
        if not linked.exists():
            yield f"link to {link}"
        elif anchor and anchor not in anchors(linked):
            yield f"anchor {link}"
    for piece in code:
        for path in PATH.findall(piece):
            wanted = path.rstrip("./").replace("NAME", "*")
            if not wanted.startswith(OWN_INVENTORY) and not any(root.glob(wanted)):
                yield f"path {path}"
        if (verb := re.match(r"make ([a-z][a-z-]*)", piece)) and verb.group(1) not in TARGETS:
            yield f"make {verb.group(1)}"
    for row in STRAY_ROW.findall(prose):
        yield f"row {row}"
    for playbook in re.findall(r"playbooks/[\w-]+\.yml", prose):
        if not (root / playbook).exists():
            yield f"path {playbook}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_all_references_of_a_page_resolve(page: Path) -> None:
    assert list(problems(page)) == []


def test_each_question_of_the_architecture_has_one_row() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    table = page.partition("| question | file |")[2].partition("\n\n")[0]
    files = re.findall(r"^\|[^|]+\| \[[^]]+\]\(([^)]+)\)", table, re.MULTILINE)
    assert len(files) > 30
    assert sorted(files) == sorted(set(files))


def test_all_pages_are_checked() -> None:
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert {"README.md", "docs/quick-start.md", "roles/run/README.md", "tests/fleet/README.md"} <= names


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("See [there](gone.md).", "link to gone.md"),
        ("[0000]: gone/page.md", "link to gone/page.md"),
        ("# Here\n\n[There](#nowhere)", "anchor #nowhere"),
        ("In `controller/gone.py`.", "path controller/gone.py"),
        ("In `docs/*.gone`.", "path docs/*.gone"),
        ("Run\n\n    .venv/bin/python benchmarks/gone.py\n", "path benchmarks/gone.py"),
        ("```sh\nmake gone ARGS=-x\n```", "make gone"),
        ("`make gone`", "make gone"),
        ("In `stampede/load_models/NAME.gone`.", "path stampede/load_models/NAME.gone"),
        ("The play playbooks/gone.yml.", "path playbooks/gone.yml"),
        ("| a | b |\n| --- | --- |\n| 1 | 2 |\n\n| 3 | 4 |\n", "row | 3 | 4 |"),
    ],
)
def test_a_broken_reference_is_found(tmp_path: Path, text: str, problem: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    assert list(problems(page)) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "# Two *words*, here\n\n[There](#two-words-here), [web](https://example.org/gone)",
        "`apt-get install make git`, `~/.cache/stampede/gone`, `/opt/stampede/gone`, `inventory/mine/gone.yml`",
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n\nMore.\n\n| a |\n| :-- |\n| 3 |\n",
        "`make run` with `controller/*.py` and `stampede/`\n\n    make fleet ARGS='--hosts 2'\n",
    ],
)
def test_valid_references_are_accepted(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    assert list(problems(page)) == []
