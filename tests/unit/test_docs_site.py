"""The documentation's site: built without a warning, complete in itself, with reference pages made from code."""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import documentation_site
import pytest
import report_samples as samples
from jsonschema import Draft202012Validator
from lxml import html
from markdown_it import MarkdownIt

from controller.holder.step import declared_steps
from stampede.engine import Holder
from stampede.playbooks import PLAYBOOKS
from stampede.schema.records import RECORDS, layout
from website.pages import REPOSITORY, markdown_outside, page_of, with_site_links
from website.reference import commands, help_of, journal_schema, summary_schema

pytestmark = pytest.mark.slow

LOADED = ("script", "img", "iframe", "source", "video", "audio", "embed", "object", "link", "use")
"""Elements that a browser loads something for."""
NOT_LOADED = {"canonical", "alternate", "next", "prev", "license"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = documentation_site.build(folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def pages(site: Path) -> Iterator[tuple[Path, html.HtmlElement]]:
    for file in sorted(site.rglob("*.html")):
        if file.name != "404.html":  # a server shows it at any depth
            yield file, html.fromstring(file.read_bytes())


def problems(site: Path) -> Iterator[str]:
    """What a page loads from elsewhere, and links to nothing."""
    ids = {file: {*page.xpath("//@id"), *page.xpath("//a/@name")} for file, page in pages(site)}
    for file, page in pages(site):
        name = file.relative_to(site)
        for element in page.iter(*LOADED, "a"):
            link = element.get("href") or element.get("src") or element.get("data") or ""
            there = urlsplit(link)
            if there.scheme or there.netloc:
                if element.tag != "a" and element.get("rel") not in NOT_LOADED and there.scheme != "data":
                    yield f"{name} loads {link}"
                continue
            target = file.parent / unquote(there.path) if there.path else file
            target = Path(posixpath.normpath(target))
            is_missing = target in ids and unquote(there.fragment) not in ids[target] | {""}
            if is_missing or not target.is_file():
                yield f"{name} leads to {link}"
        for style in page.iter("style"):
            yield from (f"{name} loads {url}" for url in _foreign(style.text or ""))
    for sheet in site.rglob("*.css"):
        yield from (f"{sheet.relative_to(site)} loads {url}" for url in _foreign(sheet.read_text()))


def _foreign(style: str) -> list[str]:
    return re.findall(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""", style)


def test_every_page_is_complete_in_itself_and_every_link_leads_somewhere(site: Path) -> None:
    assert list(problems(site)) == []


@pytest.mark.parametrize(
    ("markup", "problem"),
    [
        ('<script src="https://cdn.example.org/x.js"></script>', "page.html loads https://cdn.example.org/x.js"),
        ('<link rel="stylesheet" href="//fonts.example.org/x.css">', "page.html loads //fonts.example.org/x.css"),
        ("<style>@import '//fonts.example.org/x.css';</style>", "page.html loads //fonts.example.org/x.css"),
        ('<a href="gone.html">x</a>', "page.html leads to gone.html"),
        ('<a href="#gone">x</a>', "page.html leads to #gone"),
        ('<img src="gone.png">', "page.html leads to gone.png"),
    ],
)
def test_a_page_that_is_not_is_found(tmp_path: Path, markup: str, problem: str) -> None:
    (tmp_path / "page.html").write_text(f"<html><body>{markup}</body></html>")
    assert list(problems(tmp_path)) == [problem]


def test_every_markdown_page_is_in_the_site_and_all_but_sources_can_be_navigated_to(site: Path) -> None:
    files = [str(file.relative_to(REPOSITORY)) for file in REPOSITORY.glob("docs/*.md")] + [*markdown_outside()]
    wanted = {posixpath.splitext(page_of(file))[0] + ".html" for file in files}
    start = html.fromstring((site / "index.html").read_bytes())
    shown = {link.partition("#")[0] for link in start.xpath("//nav//a/@href")} | {"index.html"}
    assert wanted <= shown
    assert all((site / page).is_file() for page in wanted)


SHAPES = {"li": "list_item_open", "pre": ("fence", "code_block"), "table": "table_open", "ol": "ordered_list_open"}


def _shapes_of_markdown(text: str) -> Counter[str]:
    tokens = Counter(token.type for token in MarkdownIt("commonmark").enable("table").parse(text))
    return Counter(
        {
            tag: sum(tokens[kind] for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
            for tag, kinds in SHAPES.items()
        }
    )


@pytest.mark.parametrize(
    "file", [*markdown_outside(), *sorted(str(file.relative_to(REPOSITORY)) for file in REPOSITORY.glob("docs/*.md"))]
)
def test_a_page_has_the_lists_tables_and_blocks_that_it_has_where_the_repository_is_shown(
    site: Path, file: str
) -> None:
    """MkDocs reads indented lists, and those without a blank line before, in another way than CommonMark."""
    page = html.fromstring((site / page_of(file)).with_suffix(".html").read_bytes())
    [article] = page.xpath("//article")
    found = Counter({tag: len(article.xpath(f".//{tag}")) for tag in SHAPES})
    assert found == _shapes_of_markdown((REPOSITORY / file).read_text())


# ---------------------------------------------------------------- reference pages


def test_the_page_of_the_holder_has_every_public_step(site: Path) -> None:
    page = html.fromstring((site / "reference/holder.html").read_bytes())
    shown = {name.rpartition(".")[2] for name in page.xpath("//h2/@id")}
    public = {name for name in vars(Holder) if not name.startswith("_")}
    assert public - shown == {"start_over", "be_due", "mask"}
    assert {"data", "number", "random", "shared"} <= shown
    assert len(declared_steps(Holder)) > 10


def test_the_page_of_the_command_has_all_subcommands_with_their_options(site: Path) -> None:
    text = html.fromstring((site / "reference/commands.html").read_bytes()).text_content()
    found = {" ".join(words): help_of(*words) for words in commands()}
    assert {"report", "compare", "plan", "watch", "replay", "cloud"} <= found.keys()
    assert {playbook.command for playbook in PLAYBOOKS} <= found.keys()
    for command, help_ in found.items():
        assert f"usage: stampede {command} [-h]" in text
        for option in re.findall(r"--[a-z][a-z-]+", help_):
            assert option in text


def test_the_page_of_the_settings_has_every_setting(site: Path) -> None:
    text = html.fromstring((site / "roles/run.html").read_bytes()).text_content()
    names = re.findall(r"^(stampede_\w+):", (REPOSITORY / "roles/run/defaults/main.yml").read_text(), re.MULTILINE)
    assert len(names) > 50
    assert [name for name in names if name not in text] == []


def test_the_schema_of_summary_json_fits_a_summary_and_finds_what_is_wrong_in_one(site: Path, tmp_path: Path) -> None:
    schema = json.loads((site / "reference/summary.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert schema == summary_schema()
    summary = samples.report(samples.write_fleet(tmp_path / samples.RUN, 3))
    assert list(Draft202012Validator(schema).iter_errors(summary)) == []
    summary["run"]["outcome"] = "fine"
    del summary["load"]["steps_per_second"]
    wrong = [error.message for error in Draft202012Validator(schema).iter_errors(summary)]
    assert len(wrong) == 2
    assert "'steps_per_second' is a required property" in wrong


def test_the_schema_of_the_journal_has_all_measurements(site: Path) -> None:
    schema = json.loads((site / "reference/journal.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert schema == journal_schema()
    text = html.fromstring((site / "reference/journal.html").read_bytes()).text_content()
    for record in RECORDS:
        kind = layout(record)
        assert (
            schema["properties"][kind.measurement]["properties"]["fields"]["properties"].keys() == kind.fields.keys()
        )
        assert all(name in text for name in (*kind.tags, *kind.fields))


# ---------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("file", "text", "there"),
    [
        ("README.md", "[x](docs/security.md#tls)", "[x](security.md#tls)"),
        ("README.md", "![x](docs/images/report.png)", "![x](images/report.png)"),
        ("docs/security.md", "[x](../README.md)", "[x](index.md)"),
        ("docs/security.md", "[x](../pyproject.toml)", "[x](source/pyproject.toml.md)"),
        ("docs/security.md", "[x](../roles/run/README.md#a)", "[x](roles/run.md#a)"),
        ("roles/run/README.md", "[x](../../docs/security.md)", "[x](../security.md)"),
        ("docs/security.md", "[x](gone.md) [y](#here) [z](https://example.org)", ""),
        ("docs/security.md", "```\n[x](../README.md)\n```\n", ""),
        ("docs/security.md", "[1]: ../README.md\n", "[1]: index.md\n"),
    ],
)
def test_links_of_a_file_lead_to_its_pages(file: str, text: str, there: str) -> None:
    assert with_site_links(text, file) == (there or text)
