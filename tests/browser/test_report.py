"""report.html in a real browser: charts are drawn, controls work, nothing is asked of the network, it fits."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import report_samples as samples
from chromium import COLOURED
from playwright import sync_api as playwright

from stampede.analysis.collected_run import read_run
from stampede.comparison import page as comparison_page
from stampede.comparison.runs import compare_runs
from stampede.report.charts.timeline import build_charts
from stampede.report.output import report
from stampede.report.page import render

CHARTS = ("throughput", "latency", "failures", "holders", "processors", "lag", "bands", "distribution")
WIDE, NARROW = 1400, 400

type Open = Callable[..., "Opened"]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    results = samples.write_results(tmp_path_factory.mktemp("run") / samples.RUN, samples.Sample(holders=60))
    report(results)
    return results


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Path:
    """The report of 30 hosts, to some of which something happened."""
    results = samples.write_fleet(tmp_path_factory.mktemp("fleet") / samples.RUN, 30, holders=8)
    report(results)
    return results


class Opened:
    """The report, open in the browser, with what it complained of and what it asked for."""

    def __init__(self, page: playwright.Page, path: Path) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        self.url = path.as_uri()
        self.data = page.evaluate("JSON.parse(document.getElementById('chart-data')?.textContent ?? 'null')")

    def coloured(self, chart: str) -> int:
        """The coloured pixels of a chart."""
        return self.page.locator(f"figure[data-chart={chart}] canvas").evaluate(COLOURED)

    def pressed(self) -> list[str]:
        """The steps whose toggles are on."""
        return self.page.locator("[data-step][aria-pressed=true]").all_inner_texts()

    def caption(self, chart: str) -> str:
        """The words under a chart's heading."""
        return self.page.locator(f"figure[data-chart={chart}] figcaption p").inner_text()

    def hover(self, chart: str, share: float) -> str:
        """The words of the box that shows when the pointer is at a share of the chart's width."""
        over = self.page.locator(f"figure[data-chart={chart}] .u-over")
        over.scroll_into_view_if_needed()
        box = over.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
        return self.page.locator(f"figure[data-chart={chart}] .tip").inner_text()

    def axis(self) -> list[float]:
        """The first and last moment that the throughput chart shows, as the box tells them."""
        return [self.hover("throughput", share) for share in (0.01, 0.99)]


@pytest.fixture
def opened(browser, results) -> Iterator[Open]:
    """Opens the report (of a results folder) at a width, in a colour scheme; checks at the end that all was quiet."""
    contexts, pages = [], []

    def open_(width: int = WIDE, scheme: str = "light", folder: Path = results, name: str = "report.html") -> Opened:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        pages.append(Opened(contexts[-1].new_page(), folder / name))
        return pages[-1]

    yield open_
    for one in pages:
        assert one.complaints == []
        assert one.requests == [one.url]
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_all_charts_are_drawn_and_the_page_fits(opened, width, scheme):
    one = opened(width, scheme)
    for chart in CHARTS:
        assert one.coloured(chart) > 100, chart
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    assert one.page.evaluate("document.body.scrollWidth") <= width


def test_the_page_fits_with_everything_unfolded(opened):
    one = opened(NARROW)
    one.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert "def script(holder)" in one.page.locator("pre.script").inner_text()


def test_dark_mode_is_dark_and_light_mode_is_light(opened):
    def brightness(one: Opened) -> float:
        colour = one.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))

    assert brightness(opened(scheme="dark")) < 150
    assert brightness(opened(scheme="light")) > 600


def test_charts_follow_a_change_of_the_colour_scheme(opened):
    one = opened(scheme="light")
    canvas = one.page.locator("figure[data-chart=holders] canvas")
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    one.page.emulate_media(color_scheme="dark")
    one.page.wait_for_function(
        "before => document.querySelector('[data-chart=holders] canvas').toDataURL() !== before", arg=before
    )


def test_steps_can_be_hidden_and_shown(opened):
    one = opened()
    names = one.pressed()
    assert names == list(
        json.loads((Path(one.url.removeprefix("file://")).parent / "summary.json").read_text())["steps"]
    )
    before = one.coloured("throughput")
    one.page.click("[data-step='4']")
    assert one.pressed() == [name for name in names if name != "present_proof"]
    assert one.coloured("throughput") < before
    assert "present_proof" not in one.hover("latency", 0.5)
    one.page.click("[data-step='4']")
    assert one.coloured("throughput") == before
    assert "present_proof" in one.hover("latency", 0.5)


def test_a_step_alone_shows_its_percentiles(opened):
    one = opened()
    one.page.dblclick("[data-step='4']")
    assert one.pressed() == ["present_proof"]
    assert one.caption("latency").startswith("p50, p95, p99 and maximum of the service time of present_proof")
    assert {"p50", "p95", "p99", "max"} <= set(one.hover("latency", 0.5).split())
    one.page.click("#all-steps")
    assert len(one.pressed()) == 8


def test_no_step_at_all_may_be_chosen(opened):
    one = opened()
    for chip in one.page.locator("[data-step]").all():
        chip.click()
    assert one.pressed() == []
    assert one.coloured("holders") > 100


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("percentile", "p99", "p99 of the service time"), ("time", "response", "p95 of the response time")],
)
def test_what_the_latency_chart_shows_can_be_chosen(opened, name, value, words):
    one = opened()
    assert one.caption("latency").startswith("p95 of the service time")
    one.page.check(f"input[name={name}][value={value}]", force=True)
    assert one.caption("latency").startswith(words)


def test_a_logarithmic_scale_draws_too(opened):
    one = opened()
    one.page.check("input[name=scale][value=log]", force=True)
    assert one.coloured("latency") > 100


def test_the_pointer_is_told_the_values_and_what_happened_then(opened):
    one = opened()
    fault = next(mark["at"] for mark in one.data["marks"] if mark["kind"] == "fault")
    assert "agent died, load-1" in one.hover("throughput", (fault + 1) / one.data["seconds"])


def test_a_drag_zooms_all_charts_and_a_double_press_zooms_out(opened):
    one = opened()
    whole = one.axis()
    box = one.page.locator("figure[data-chart=throughput] .u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    one.page.mouse.move(box["x"] + box["width"] * 0.4, middle)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=4)
    one.page.mouse.up()
    zoomed = one.axis()
    assert zoomed != whole
    assert one.hover("lag", 0.01).splitlines()[0] == zoomed[0].splitlines()[0]
    one.page.click("[data-step='0']")
    assert one.axis()[0].splitlines()[0] == zoomed[0].splitlines()[0]  # a zoom outlasts a redraw
    one.page.locator("figure[data-chart=lag] .u-over").dblclick()
    assert one.axis()[0].splitlines()[0] == whole[0].splitlines()[0]


def test_a_host_can_be_chosen(opened):
    one = opened()
    assert "busiest agent" in one.hover("processors", 0.5)
    one.page.select_option("#host", "load-2")
    assert {"agent-0", "agent-1", "controller"} <= set(one.hover("processors", 0.5).split())


def test_all_charts_follow_the_chosen_host(opened):
    one = opened()
    before = {chart: one.coloured(chart) for chart in ("throughput", "latency")}
    assert "active holders\t120" in one.hover("holders", 0.5)
    one.page.select_option("#host", "load-2")
    for chart, coloured in before.items():
        assert one.caption(chart).endswith("Host load-2."), chart
        assert one.coloured(chart) not in (0, coloured), chart
    assert one.caption("holders").endswith("Host load-2.")
    assert "active holders\t60" in one.hover("holders", 0.5)
    assert one.page.locator("figure[data-chart=failures] .key span").count() == 0  # all of them were on load-1
    one.page.select_option("#host", "all hosts")
    assert {chart: one.coloured(chart) for chart in before} == before
    assert "Host" not in one.caption("latency")


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_table_of_thirty_hosts_fits_and_keeps_their_names_in_sight(opened, fleet, width):
    one = opened(width, folder=fleet)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    table = one.page.locator("table.hosts")
    assert table.locator("tbody tr:not(.happened)").count() == 30
    region = one.page.get_by_role("region", name="Table of load hosts")
    region.evaluate("region => { region.scrollLeft = 1e6 }")
    for part in (table.locator("tbody th").last, table.locator("tr.happened span").first):
        box = part.bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= width
    assert "left out" in table.locator("tr", has_text="load-30").first.inner_text()


def test_the_step_of_the_hosts_p95_can_be_chosen(opened, fleet):
    one = opened(folder=fleet)
    hosts = json.loads((fleet / "summary.json").read_text())["hosts"]
    one.page.select_option("#p95-step", "present_proof")
    cell = one.page.locator("td[data-p95=load-2]")
    assert cell.inner_text() == f"{hosts['load-2']['p95']['present_proof']:.2f} s"
    assert cell.get_attribute("class") == "out"
    assert one.page.locator("td[data-p95=load-30]").inner_text() == "–"  # noqa: RUF001
    assert "present_proof" in one.page.locator("table.hosts caption").inner_text()


def test_what_happened_is_marked_on_the_charts_and_told_at_the_top(opened, fleet):
    one = opened(folder=fleet)
    lost = next(mark["at"] for mark in one.data["marks"] if mark["text"] == "lost, load-4")
    assert "lost, load-4" in one.hover("throughput", (lost + 0.5) / one.data["seconds"])
    verdict = one.page.locator(".verdict").inner_text()
    for words in ("load-4 was lost", "load-30 took no part", "load-2 stands out", "started within"):
        assert words in verdict


def test_the_controls_can_be_reached_by_keyboard(opened):
    one = opened()
    one.page.focus("[data-step='0']")
    one.page.keyboard.press("Space")
    assert "connect_to_mediator" not in one.pressed()


def test_printing_is_light_and_fits_the_paper(opened):
    one = opened(scheme="dark")
    one.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    one.page.emulate_media(media="print", color_scheme="dark")
    assert one.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert max(one.page.locator("canvas").evaluate_all("all => all.map(one => one.clientWidth)")) <= 700
    one.page.set_viewport_size({"width": 718, "height": 1000})  # A4 without its margins
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 718
    one.page.set_viewport_size({"width": WIDE, "height": 900})
    one.page.emulate_media(media="screen", color_scheme="dark")
    one.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert max(one.page.locator("canvas").evaluate_all("all => all.map(one => one.clientWidth)")) > 1000


def test_a_run_without_a_step_is_a_quiet_page(opened, tmp_path):
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1" / "journal.lp").touch()
    report(tmp_path)
    one = opened(NARROW, folder=tmp_path)
    assert one.page.locator("h2").first.inner_text().startswith("No load was generated")
    assert one.page.locator("figure").count() == 0


def test_a_run_of_one_host_without_failures(opened, tmp_path):
    sample = samples.Sample(hosts=("localhost",), holders=4, duration=20, ramp=2, failures=False, think=(0.5, 1))
    report(samples.write_results(tmp_path, sample))
    one = opened(folder=tmp_path)
    assert one.page.locator("figure[data-chart=failures]").count() == 0
    assert one.coloured("latency") > 100
    assert not one.page.locator("#host-choice").is_visible()


# ------------------------------------------------------------------ one step


def test_the_step_that_took_most_time_is_shown_in_detail(opened, results):
    one = opened()
    spent = json.loads((results / "summary.json").read_text())["time_spent"]["steps"]
    most = max(spent, key=lambda step: spent[step]["share"])
    assert one.page.locator("#detail-step option:checked").inner_text() == most
    assert one.caption("bands").startswith(f"p50, p95, p99 and maximum of the service time of {most} that")
    assert one.caption("distribution").startswith(f"Share of {most} by time")
    assert one.page.locator(".spent li strong").first.inner_text().endswith(" %")


def test_another_step_can_be_looked_at(opened):
    one = opened()
    before = {chart: one.coloured(chart) for chart in ("bands", "distribution")}
    one.page.select_option("#detail-step", label="connect")
    for chart, coloured in before.items():
        assert "connect" in one.caption(chart)
        assert one.coloured(chart) not in (0, coloured), chart
    one.page.dblclick("[data-step='4']")
    assert "present_proof" in one.caption("distribution")


def test_the_box_over_a_distribution_tells_bin_and_shares(opened):
    one = opened()
    head, *rows = one.hover("distribution", 0.5).splitlines()
    assert " to " in head and head.endswith("s")
    assert {row.split("\t")[0] for row in rows} == {"service time", "response time"}
    assert all(row.endswith(" %") for row in rows)


def test_a_distribution_can_be_cumulative(opened):
    one = opened()
    one.page.check("input[name=shape][value=cumulative]", force=True)
    assert one.caption("distribution").startswith("Share of receive_revocation_notification that took less")
    assert one.hover("distribution", 0.99).splitlines()[1].endswith("100 %")


@pytest.mark.parametrize(
    ("name", "value", "words"), [("band-time", "response", "of the response time of"), ("band-scale", "log", "p50")]
)
def test_what_the_bands_show_can_be_chosen(opened, name, value, words):
    one = opened()
    before = one.page.locator("figure[data-chart=bands] canvas").evaluate("canvas => canvas.toDataURL()")
    one.page.check(f"input[name={name}][value={value}]", force=True)
    assert words in one.caption("bands")
    assert one.page.locator("figure[data-chart=bands] canvas").evaluate("canvas => canvas.toDataURL()") != before


def test_one_step_of_one_host(opened):
    one = opened()
    before = one.coloured("distribution")
    one.page.select_option("#detail-host", "load-2")
    assert one.caption("bands").endswith("Host load-2.")
    assert one.coloured("distribution") not in (0, before)
    assert one.page.locator("#host").input_value() == "load-2"


def test_failures_follow_the_chosen_steps(opened):
    one = opened()
    classes = one.page.locator("figure[data-chart=failures] .key span")
    every = classes.count()
    assert every > 0
    one.page.dblclick("[data-step='2']")  # connect, of which none failed
    assert classes.count() == 0
    one.page.click("#all-steps")
    assert classes.count() == every


def test_a_crossed_threshold_is_told_and_marked_where_it_began(opened, results, tmp_path):
    run = read_run(results)
    crossed = samples.threshold_verdict(
        "present_proof p95 response_time < 1.5 s", value=1.86, crossed_at="2026-11-22T18:04:12Z", crossed_after=60.4
    )
    met = samples.threshold_verdict("errors < 1 %", passed=True, value=0.72)
    summary = replace(run.summary, thresholds=[crossed, met])
    charts = build_charts(run.journal, run.window, summary.thresholds)
    (tmp_path / "report.html").write_text(render(summary, charts, {}))
    one = opened(folder=tmp_path)
    assert one.page.locator("table.thresholds tbody tr").all_inner_texts() == [
        "present_proof p95 response_time < 1.5 s\tcrossed\t1.86 s\t< 1.50 s\trun\t+1:00 18:04:12 UTC",
        "errors < 1 %\tmet\t0.72 %\t< 1 %\trun\t–",  # noqa: RUF001
    ]
    assert "crossed: present_proof p95" in one.hover("latency", 60.4 / one.data["seconds"])


# ------------------------------------------------------------------ two runs side by side


@pytest.fixture(scope="module")
def comparison(results, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    sample = samples.Sample(holders=60, seed=100, duration=240, slow={"load-1": 1.8, "load-2": 1.8})
    other = samples.write_results(folder / "other", sample)
    (folder / "compare.html").write_text(comparison_page.render(compare_runs(results, other)))
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_comparison_has_its_charts_and_fits(opened, comparison, width, scheme):
    one = opened(width, scheme, comparison, "compare.html")
    for chart in ("latency", "distribution", "throughput"):
        assert one.coloured(chart) > 100, chart
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    assert "slower" in one.page.locator("h2").first.inner_text()
    assert {"run A", "run B"} <= set(one.page.locator("figure[data-chart=latency] .key span").all_inner_texts())


def test_the_step_of_a_comparison_can_be_chosen(opened, comparison):
    one = opened(folder=comparison, name="compare.html")
    before = one.hover("latency", 0.5)
    one.page.select_option("#step", "connect_to_mediator")
    assert one.hover("latency", 0.05) != before
    one.page.select_option("#step", "present_proof")
    median = one.hover("latency", 0.5)
    one.page.check("input[name=percentile][value=p99]", force=True)
    assert one.hover("latency", 0.5) != median
