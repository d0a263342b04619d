"""A real browser: a Chromium on PATH. Without one, tests are skipped, or fail when STAMPEDE_REQUIRE_BROWSER=1."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright import sync_api as playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")

# How many pixels of a chart's canvas are drawn in a colour that is no grey: lines and areas, not grid and labels.
COLOURED = """canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let coloured = 0;
    for (let i = 0; i < data.length; i += 4) {
        const spread = Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]);
        if (data[i + 3] > 100 && spread > 40) coloured++;
    }
    return coloured;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        reason = f"no browser on PATH, looked for {', '.join(BROWSERS)}"
        if os.environ.get("STAMPEDE_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=[*ARGUMENTS])
        yield browser
        browser.close()
