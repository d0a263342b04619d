"""What the page of a run in progress remembers and says: rates, percentiles, bounds, and how the run stands."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from fleet_views import NOW, host, snapshot
from hypothesis import given
from hypothesis import strategies as st

from controller.metrics.live_figures import MOST_STEPS, LiveFigures
from stampede.fleet.host_view import HostView
from stampede.fleet.snapshot import Snapshot, parsed_state
from stampede.live.history import MOST_INTERVALS, WORST, History
from stampede.live.live_charts import build_live_charts
from stampede.live.page import LivePage
from stampede.schema import step_times
from stampede.schema.json_form import to_json
from stampede.schema.records import Outcome, StepRecord
from stampede.schema.state import HostState


def record(step: str = "connect", outcome: Outcome = Outcome.OK, seconds: float = 0.2) -> StepRecord:
    error = "timeout" if outcome == Outcome.FAILED else None
    return StepRecord(step, outcome, 1, 1, 1, "issuer", seconds / 2, seconds, error)


def written(at: float, *, start: float = NOW, **changes: Any) -> dict[str, Any]:
    """What a host writes of connect, at 2/s since the start, all in 0.2 s."""
    done = int(2 * (at - start))
    times = step_times.to_text({step_times.bucket_of(0.2): done} if done else {})
    return {
        "start_at": start,
        "by_step": {"connect": {"ok": done, "failed": done // 10, "times": times}},
        "errors": {"timeout": done // 10},
        "holders": {"active": 5, "total": 5, "ready": 5},
    } | changes


def watched(history: History, views: list[HostView], since: int, until: int, look: float = 1.0) -> None:
    """The hosts from a second to another, looked at every ``look`` seconds."""
    at = NOW + since
    while at <= NOW + until:
        for view in views:
            view.update(snapshot(at, **written(at)), at)
        history.note(views, at)
        at += look


def charts(history: History, name: str = WORST) -> Any:
    return build_live_charts(history, [], name)


class TestTimes:
    @pytest.mark.parametrize("seconds", [0.00011, 0.0123, 0.2, 1.0, 17.0, 9_900.0])
    def test_are_known_to_within_2_5_percent(self, seconds: float) -> None:
        (found,) = step_times.quantiles({step_times.bucket_of(seconds): 1}, [0.5]) or []
        assert found == pytest.approx(seconds, rel=0.0251)

    def test_that_are_too_short_or_too_long_have_a_place(self) -> None:
        assert step_times.bucket_of(0.0) == step_times.bucket_of(-1.0) == 0
        assert step_times.bucket_of(1e9) == step_times.BUCKETS - 1

    @given(st.dictionaries(st.integers(0, step_times.BUCKETS - 1), st.integers(1, step_times.MOST)))
    def test_are_written_and_read(self, counts: dict[int, int]) -> None:
        assert step_times.from_text(step_times.to_text(counts)) == counts

    @given(st.text(max_size=30) | st.from_regex(r"[0-9]{1,4}:[0-9,-]{0,20}"))
    def test_that_are_none_are_refused(self, text: str) -> None:
        try:
            counts = step_times.from_text(text)
        except ValueError:
            return
        assert all(0 <= bucket < step_times.BUCKETS and count > 0 for bucket, count in counts.items())

    def test_have_percentiles_by_nearest_rank(self) -> None:
        counts = {step_times.bucket_of(0.1): 95.0, step_times.bucket_of(1.0): 5.0}
        p50, p95, p96 = step_times.quantiles(counts, [0.5, 0.95, 0.96]) or []
        assert (p50, p95) == (pytest.approx(0.1, rel=0.025),) * 2 and p96 == pytest.approx(1.0, rel=0.025)
        assert step_times.quantiles({}, [0.5]) is None


def test_a_host_counts_each_step_and_its_state_says_so() -> None:
    figures = LiveFigures()
    for outcome in (Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.INTERRUPTED):
        figures.step_ended(record(outcome=outcome), 0.0)
    for number in range(MOST_STEPS + 5):
        figures.step_ended(record(f"step {number}"), 0.0)
    state = HostState(by_step=figures.by_step())
    found, problem = parsed_state(json.dumps(to_json(state)))
    assert found == state and problem == ""
    assert len(state.by_step) == MOST_STEPS
    connect = state.by_step["connect"]
    assert (connect.ok, connect.failed) == (2, 1)
    assert step_times.from_text(connect.times) == {step_times.bucket_of(0.2): 2}


class TestHistory:
    @pytest.mark.parametrize("look", [0.7, 1.0, 1.4])
    def test_has_rates_and_percentiles_however_often_hosts_are_asked(self, look: float) -> None:
        history, views = History(2), [host("h1", NOW), host("h2", NOW)]
        watched(history, views, 0, 60, look)
        found = charts(history)
        (connect,) = found.steps
        assert found.width == 1.0 and len(found.x) == len(connect.ok) >= 55
        # 2/s of each of two hosts; whole counts are written, so a second may have one more or less.
        assert sum(connect.ok[10:50]) / 40 == pytest.approx(4.0, rel=0.03)
        assert {round(p95, 3) for p95 in connect.response["p95"][10:50]} == {
            round(step_times.middle_of(step_times.bucket_of(0.2)), 3)
        }
        assert set(found.holders["active"][10:50]) == {10}
        assert sum(found.failures["timeout"][""][10:50]) / 40 == pytest.approx(0.4, rel=0.15)

    def test_begins_with_the_page_and_says_so(self) -> None:
        history, views = History(1), [host("h1", NOW + 300)]
        watched(history, views, 300, 330)
        assert history.begin == 300 and charts(history).x[0] == 300.5
        assert all(rate is None or rate < 5 for rate in charts(history).steps[0].ok)  # not all of before at once

    def test_begins_with_the_load_where_the_page_was_there_before(self) -> None:
        history, views = History(1), [host("h1", NOW - 5, phase="armed")]
        history.note(views, NOW - 5)
        watched(history, views, 2, 30)
        assert history.begin == 0

    def test_takes_no_time_of_a_single_host_for_that_of_the_run(self) -> None:
        history, views = History(3), [host(f"h{number}", NOW - 5, phase="armed") for number in range(3)]
        history.note(views, NOW - 5)
        for second in range(60):
            at = NOW + second
            for view in views[:2]:
                view.update(snapshot(at, **written(at)), at)
            odd = snapshot(at, **written(at), phase="done").state
            assert odd
            views[2].update(Snapshot(True, replace(odd, start_at=1.0, time=3.9e9), at), at)
            history.note(views, at)
        assert history.start == NOW and len(charts(history).x) < 70
        for view in views:
            view.update(snapshot(NOW + 60, **written(NOW + 60), phase="done"), NOW + 60)
        history.note(views, NOW + 60)
        assert len(charts(history).x) <= 60

    def test_knows_nothing_of_the_time_in_which_a_host_was_not_reached(self) -> None:
        history, views = History(1), [host("h1", NOW)]
        watched(history, views, 0, 20)
        for second in range(21, 60):
            history.note(views, NOW + second)
        watched(history, views, 60, 80)
        rates = charts(history).steps[0].ok
        assert set(rates[25:50]) == {None}
        assert sum(rates[62:75]) / 13 == pytest.approx(2.0, rel=0.1)  # no heap of what was missed

    def test_never_has_many_intervals_and_loses_no_count(self) -> None:
        history, views = History(1), [host("h1", NOW)]
        watched(history, views, 0, 3 * MOST_INTERVALS)
        found = charts(history)
        assert found.width == 4.0 and MOST_INTERVALS / 2 < len(found.x) <= MOST_INTERVALS
        total = sum(
            rate * interval.seconds for rate, interval in zip(found.steps[0].ok, history.intervals, strict=True)
        )
        assert total == pytest.approx(2 * (found.seconds - 0), abs=4 * found.width)
        assert [later - earlier for earlier, later in zip(found.x, found.x[1:], strict=False)] == [4.0] * (
            len(found.x) - 1
        )

    def test_has_the_worst_of_several_hosts_or_one_of_them(self) -> None:
        history, views = History(2), [host("h1", NOW), host("h2", NOW)]
        for second in range(20):
            at = NOW + second
            for number, view in enumerate(views):
                load = {
                    "host_cpu": 0.5 + number,
                    "lag_p99": 0.01 * (number + 1),
                    "agents": [{"name": "a", "cpu": 0.3}],
                }
                view.update(snapshot(at, **written(at), **load), at)
            history.note(views, at)
        worst, first = charts(history).hosts[WORST], charts(history, "h1").hosts["h1"]
        assert set(worst.host[3:10]) == {0.75} and set(worst.lag[3:10]) == {0.02}
        assert (
            set(first.host[3:10]) == {0.25} and set(first.agents) == {"a"} and set(worst.agents) == {"busiest agent"}
        )


HOSTILE = {
    "by_step": {f"{'x' * 500}{number}": {"ok": 1, "failed": 1, "times": "0:1"} for number in range(3000)}
    | {"\u202eodd\x1b[2J": {"ok": 3, "failed": 0, "times": "99999:7"}, "none": {"times": "1:" + "9" * 9000}},
    "errors": {f"e{number}": number for number in range(3000)},
    "agents": [{"name": f"a{number}", "cpu": 1.0} for number in range(3000)],
}


def test_a_hostile_host_cannot_make_the_page_large() -> None:
    views = [host("h1", NOW)]
    page = LivePage("r1", views)
    for second in range(30):
        at = NOW + second
        views[0].update(snapshot(at, **(written(at) | HOSTILE)), at)
        page.note([], at)
    assert len(page.data("")) < 500_000
    assert "\x1b" not in page.data("") and "\u202e" not in page.data("") and "<" not in page.data("")


def said(*views: HostView, now: float = NOW) -> dict[str, Any]:
    page = LivePage("r1", views)
    page.note([], now)
    return json.loads(page.data(""))  # type: ignore[no-any-return]


KEPT = {"text": "connect max < 2 s", "ok": 40, "failed": 0, "total": 9.0, "most": 1.5, "buckets": []}
NONE_FAILED = {"ok": 1000, "failed": 0, "interrupted": 0, "per_s": 4.2}


class TestHeadline:
    @pytest.mark.parametrize(
        ("changes", "headline", "tone"),
        [
            ({"phase": "arming"}, "Not started: 10 of 10 holders ready", "live"),
            ({}, "Running, 1:30 left", "live"),
            ({"ends_at": None}, "Running", "live"),
            ({"phase": "draining"}, "Ending: steps in flight get their time", "live"),
            ({"phase": "pushing"}, "Ended, still pushing", "live"),
            ({"phase": "done", "steps": NONE_FAILED}, "Ended; the run had no thresholds", "live"),
            ({"phase": "done"}, "Ended: 1 step failed", "live"),
            ({"phase": "stopped"}, "Stopped before its time", "stopped"),
            ({"phase": "done", "thresholds": [KEPT], "steps": NONE_FAILED}, "Ended: the threshold is met", "passed"),
            ({"phase": "done", "thresholds": [KEPT]}, "Ended: 1 step failed", "live"),
            (
                {"phase": "done", "thresholds": [KEPT | {"text": "errors < 50 %"}]},
                "Ended: the threshold is met",
                "passed",
            ),
            (
                {"phase": "done", "thresholds": [KEPT | {"most": 3.0}]},
                "Ended: the threshold is crossed",
                "thresholds",
            ),
            (
                {"phase": "done", "thresholds": [KEPT, KEPT | {"text": "connect p95 < 2 s", "ok": 3}]},
                "Ended: 1 of 2 thresholds not judged",
                "incomplete",
            ),
            (
                {"phase": "stopped", "thresholds": [KEPT | {"most": 3.0}, KEPT | {"text": "errors < 3"}]},
                "Stopped: 1 of 2 thresholds crossed",
                "thresholds",
            ),
        ],
    )
    def test_says_how_the_run_stands(self, changes: dict[str, Any], headline: str, tone: str) -> None:
        found = said(host(**changes))
        assert (found["headline"], found["tone"]) == (headline, tone)

    def test_is_no_pass_where_a_host_is_missing(self) -> None:
        gone = host("h2", thresholds=[KEPT])
        gone.update(snapshot(alive=False, thresholds=[KEPT]), NOW)
        found = said(host("h1", phase="done", thresholds=[KEPT]), gone)
        assert (found["headline"], found["tone"]) == ("Ended: 1 load host of 2 did not end well", "failed")
        assert found["over"] is True

    def test_masks_logins_in_what_hosts_say(self) -> None:
        text = json.dumps(said(host(message="cannot reach https://me:s3cret@service.example/")))
        assert "s3cret" not in text and "https://me:***@service.example/" in text
