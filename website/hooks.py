"""MkDocs's hooks: pages from outside of ``docs/``, pages made from code, and links that lead to them."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

from website.pages import REPOSITORY, SOURCE, file_of, linked, markdown_outside, page_of, with_site_links
from website.reference import reference_pages
from website.source import files_in, source_page

ASSETS = (REPOSITORY / "website/assets/iframe-worker.js", REPOSITORY / "website/assets/iframe-worker.LICENSE")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have anchors made as GitHub makes them. In mkdocs.yml that takes a tag that only MkDocs can read."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in ``docs/``."""
    texts = {page: (REPOSITORY / file).read_text(encoding="utf-8") for file, page in markdown_outside().items()}
    within = {page.src_uri: page.content_string for page in files.documentation_pages()}
    wanted = {path for page, text in (texts | within).items() for path in linked(text, file_of(page))}
    wanted |= {file for path in wanted if (REPOSITORY / path).is_dir() for file in files_in(path)}
    for path in sorted(wanted):
        if (page := page_of(path)).startswith(SOURCE):
            texts[page] = source_page(path)
    for page, text in (texts | reference_pages()).items():
        files.append(File.generated(config, page, content=text))
    for asset in ASSETS:
        files.append(File.generated(config, f"assets/{asset.name}", abs_src_path=str(asset)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links of a Markdown file of the repository to the site's pages."""
    file = file_of(page.file.src_uri)
    is_of_the_repository = page.file.generated_by is None or file in markdown_outside()
    return with_site_links(markdown, file) if is_of_the_repository else markdown
