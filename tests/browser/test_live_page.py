"""The page of a run in progress in a real browser: it follows the run, controls it, and fits; nobody else gets in."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from chromium import COLOURED
from fleet_views import NOW, host, snapshot
from playwright.sync_api import expect

from stampede.fleet.host_view import HostView
from stampede.live.page import LivePage
from stampede.live.server import PageServer
from stampede.schema import step_times

WIDE, NARROW = 1280, 400
NAUGHTY = "<img src=x onerror=alert(1)>\u202e"


@dataclass
class LiveRun:
    """A run of made-up hosts, whose page is served."""

    views: list[HostView]
    page: LivePage
    url: str = ""
    asked: list[str] = field(default_factory=list)
    second: float = 0.0
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    """Answers the browser, and so has to be where the page takes in what is new, as in stampede watch."""

    def go_on(self, seconds: int, **changes: Any) -> None:
        """So many seconds later."""

        async def note() -> None:
            self.take_in(seconds, changes)

        asyncio.run_coroutine_threadsafe(note(), self.loop).result(20)

    def take_in(self, seconds: int, changes: dict[str, Any]) -> None:
        """The same, where nobody has the page yet."""
        for _ in range(seconds):
            self.second += 1
            for number, view in enumerate(self.views):
                view.update(snapshot(NOW + self.second, **(self.state(number) | changes)), NOW + self.second)
            self.page.note([], NOW + self.second)

    def state(self, number: int) -> dict[str, Any]:
        """What a host writes: two steps, of which one fails now and then."""
        done = int(self.second * (number + 1))
        times = {step_times.bucket_of(0.2): done, step_times.bucket_of(0.9): done // 10}
        failed = done // 20
        return {
            "start_at": NOW,
            "ends_at": NOW + 300,
            "holders": {"total": 50, "active": min(50, done), "ready": 50, "finished": 0},
            "steps": {"ok": 2 * done, "failed": failed, "per_s": 2.0 * (number + 1), "in_flight": 3},
            "by_step": {
                "connect": {"ok": done, "failed": 0, "times": step_times.to_text(times)},
                "present_proof": {"ok": done, "failed": failed, "times": step_times.to_text(times)},
            },
            "errors": {"timeout": failed} if failed else {},
            "thresholds": [
                {"text": "present_proof p95 < 2 s", "ok": done, "failed": failed, "total": 1.0, "most": 1.0}
                | {"buckets": [[-40, done]], "elapsed": self.second, "left": 300 - self.second, "ramped_up": True},
                {"text": "max < 500 ms", "ok": done, "failed": 0, "total": 1.0, "most": 0.9, "buckets": []},
            ],
            "lag_p99": 0.004,
            "loop_lag_max": 0.01,
            "cpu": 0.4,
            "host_cpu": 0.9 + 0.1 * number,
            "agents": [{"name": "agent-0", "cpu": 0.5}, {"name": "agent-1", "cpu": 0.4}],
            "message": NAUGHTY if number else "",
        }


@pytest.fixture
def live() -> Iterator[LiveRun]:
    """A run of two hosts, two minutes on its way."""
    views = [host(name, NOW, phase="arming") for name in ("load-1", "load-2")]
    run = LiveRun(views, LivePage("2026-11-28T05-00-00Z", views))
    run.page.note([], NOW)
    run.take_in(120, {})
    yield from served(run)


def served(run: LiveRun) -> Iterator[LiveRun]:
    """Serve its page from another thread."""
    loop, ready, over = run.loop, threading.Event(), asyncio.Event()

    async def stop() -> str:
        run.asked.append("stop")
        run.page.stop_asked = "All load hosts were asked to end the run."
        return run.page.stop_asked

    async def go_on() -> str:
        run.asked.append("next stage")
        return "Stage 2 begins at 05:00:00 UTC."

    async def serve() -> None:
        async with PageServer(run.page, {"stop": stop, "next-stage": go_on}) as server:
            run.url = server.url
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    yield run
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


type Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, live: LiveRun) -> Iterator[Open]:
    """Opens the page at a width; checks at the end that nothing was complained of, and nothing foreign asked for."""
    contexts, complaints, requests = [], [], []

    def open_(width: int = WIDE, scheme: str = "light") -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(live.url)
        page.wait_for_selector("figure[data-chart=lag] canvas")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
    home = live.url.split("?")[0]
    assert requests and all(url.startswith(home) for url in requests)


def test_shows_how_the_run_stands(opened: Open) -> None:
    page = opened()
    assert page.locator("#verdict").inner_text() == "Running, 3:00 left"
    assert "token" not in page.url
    (p95, most) = page.locator("#threshold-table tbody tr").all_inner_texts()
    assert p95.split("\t") == ["present_proof p95 < 2 s", "met", "897 ms", "< 2 s", "run"]
    assert most.split("\t")[:3] == ["max < 500 ms", "crossed", "900 ms"]
    connect, proof = page.locator("#step-table tbody tr").all_inner_texts()
    assert connect.split("\t") == ["connect", "396", "0", "3.30", "197 ms", "895 ms", "895 ms", "895 ms"]
    assert proof.split("\t")[:4] == ["present_proof", "396", "18", "3.30"]
    assert page.locator("#host-table tbody tr").first.inner_text().split("\t")[:4] == [
        *("load-1", "running", "50 of 50", "240")
    ]
    assert page.locator("#error-table tbody tr").all_inner_texts() == ["timeout\t18"]
    events = page.locator("#event-table tbody tr").all_inner_texts()
    assert any("crossed" in event for event in events) and any("running" in event for event in events)


def test_follows_the_run_and_says_how_it_ended(opened: Open, live: LiveRun) -> None:
    page = opened()
    chart = page.locator("figure[data-chart=throughput] canvas")
    before = chart.evaluate("canvas => { canvas.kept = true; return canvas.toDataURL(); }")
    live.go_on(30)
    expect(page.locator("#verdict")).to_have_text("Running, 2:30 left")
    assert chart.evaluate("canvas => canvas.kept")  # drawn on, not replaced: the pointer's place is kept
    assert chart.evaluate("canvas => canvas.toDataURL()") != before
    live.go_on(1, phase="draining")
    expect(page.locator("#verdict")).to_contain_text("Ending")
    assert page.locator("#stop").is_visible()
    live.go_on(1, phase="stopped")
    expect(page.locator("#verdict")).to_contain_text("Stopped")
    assert page.locator("#verdict").inner_text() == "Stopped: 1 of 2 thresholds crossed"
    assert page.locator("#verdict-box").get_attribute("class") == "verdict thresholds"
    assert page.locator("#stop").is_hidden()
    assert page.title() == "Stopped: 1 of 2 thresholds crossed · Run 2026-11-28T05-00-00Z"


def test_stops_the_run_once_it_is_confirmed(opened: Open, live: LiveRun) -> None:
    page = opened()
    page.locator("#stop").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "stop-no"
    page.keyboard.press("Escape")
    assert live.asked == [] and page.evaluate("document.activeElement.id") == "stop"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("All load hosts")
    assert live.asked == ["stop"]
    live.go_on(1)
    expect(page.locator("#verdict")).to_have_text("Running, 2:59 left")
    assert page.locator("#stop").is_disabled()


def test_goes_on_to_the_next_stage_where_there_is_one(opened: Open, live: LiveRun) -> None:
    page = opened()
    assert page.locator("#next").is_hidden()
    stage = {"number": 1, "count": 3, "ends_at": NOW + 200}
    live.go_on(1, stage=stage)
    expect(page.locator("#verdict")).to_have_text("Running, stage 1 of 3, 2:59 left")
    assert page.locator("#next").inner_text() == "Go on to stage 2 now …"
    page.locator("#next").click()
    page.locator("#next-yes").click()
    expect(page.locator("#said")).to_have_text("Stage 2 begins at 05:00:00 UTC.")
    assert live.asked == ["next stage"]
    live.page.next_at = NOW + live.second + 3
    live.go_on(1, stage=stage)
    expect(page.locator("#next")).to_be_hidden()
    live.go_on(6, stage=stage | {"number": 2})
    expect(page.locator("#next")).to_have_text("Go on to stage 3 now …")


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_and_draws_all_charts(opened: Open, width: int, scheme: str) -> None:
    page = opened(width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for chart in ("throughput", "latency", "failures", "holders", "processors", "lag"):
        assert page.locator(f"figure[data-chart={chart}] canvas").evaluate(COLOURED) > 100, chart


def test_shows_a_host_alone_and_steps_by_choice(opened: Open) -> None:
    page = opened()
    assert page.locator("#host option").all_inner_texts() == ["all hosts", "load-1", "load-2"]
    page.select_option("#host", "load-1")
    expect(page.locator("figure[data-chart=lag] figcaption p")).to_contain_text("Host load-1.")
    assert "agent-1" in page.locator("figure[data-chart=processors] .key").inner_text()
    page.locator(".chip", has_text="connect").click()
    expect(page.locator("figure[data-chart=latency] .key")).to_contain_text("p99")  # the bands of the only step


def test_texts_of_hosts_are_texts(opened: Open) -> None:
    page = opened()
    finding = page.locator("#findings dd", has_text="load-2")
    assert finding.inner_text() == "load-2: <img src=x onerror=alert(1)>."
    assert page.locator("img").count() == 0


def test_says_when_nobody_answers_any_more(browser: Any) -> None:
    run = LiveRun([host("load-1", NOW)], LivePage("r1", []))
    run.page = LivePage("r1", run.views)
    run.page.note([], NOW)
    serving = served(run)
    next(serving)
    page = browser.new_page()
    page.goto(run.url)
    expect(page.locator("#verdict")).to_contain_text("Running")
    assert page.locator("#away").is_hidden()
    assert next(serving, None) is None
    page.locator("#away").wait_for(timeout=20_000)
    assert page.locator("#away").inner_text().startswith("No longer updated since ")
    page.close()
