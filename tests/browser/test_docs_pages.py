"""The documentation's site in a real browser, opened from its folder: it asks nothing of the network, fits, and can
be searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import documentation_site
import pytest
from test_report import NARROW, WIDE

PAGES = (
    *("index.html", "quick-start.html", "load-testing.html", "roles/run.html"),
    *("reference/holder.html", "reference/journal.html"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = documentation_site.build(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_offline_without_a_complaint_and_fits(
    browser: Any,
    site: Path,
    name: str,
    width: int,
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((site / name).as_uri(), wait_until="load")
    assert page.locator("h1").inner_text()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_the_site_can_be_searched_from_a_folder(browser: Any, site: Path) -> None:
    page = browser.new_page(viewport={"width": WIDE, "height": 900})
    page.goto((site / "roles/run.html").as_uri())
    page.locator("input.md-search__input").fill("coordinated omission")
    found = page.locator("a.md-search-result__link").first
    found.wait_for(timeout=20_000)
    assert found.get_attribute("href").startswith("file:")
    page.close()


@pytest.mark.parametrize(("motion", "animation"), [("no-preference", "film"), ("reduce", "none")])
def test_the_picture_of_a_run_stands_still_where_less_motion_is_asked_for(
    browser: Any,
    motion: str,
    animation: str,
) -> None:
    page = browser.new_page(reduced_motion=motion)
    page.goto((documentation_site.REPOSITORY / "docs/images/run.svg").as_uri())
    film = "getComputedStyle(document.querySelector('.film'))"
    assert page.evaluate(f"{film}.animationName") == animation
    if motion == "reduce":  # the end, where the report is
        last = page.locator(".film > g").last
        assert page.evaluate(f"new DOMMatrix({film}.transform).f") == -float(
            last.get_attribute("transform").partition(" ")[2].rstrip(")")
        )
    page.close()
