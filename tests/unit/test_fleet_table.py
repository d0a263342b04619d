"""The fleet in a line, in a table of 100 columns, and as figures."""

from __future__ import annotations

import json

from fleet_views import NOW, STATE, host, snapshot

from stampede.fleet import live_table as table
from stampede.fleet.host_view import HostView
from stampede.fleet.snapshot import Snapshot


def rows(text: str) -> dict[str, list[str]]:
    return {words[0]: words for line in text.splitlines() if (words := line.split())}


class TestLine:
    def test_tells_one_host(self) -> None:
        assert table.line([host()], NOW) == (
            "running | 8 of 10 holders active, 2 finished | 4.2 steps/s: 1000 ok, 1 failed"
            " | p95 present_proof 0.81 s, connect 0.50 s | lag 2 ms | CPU 50% | 1:30 left"
        )

    def test_adds_up_hosts_and_shows_the_worst(self) -> None:
        line = table.line([host(), host("h2", host_cpu=1.9, p95={"connect": 3.0})], NOW)
        assert "16 of 20 holders" in line and "2000 ok" in line
        assert "p95 connect 3.00 s, present_proof 0.81 s" in line and "CPU 95%" in line

    def test_has_no_time_left_when_iterations_decide(self) -> None:
        assert "left" not in table.line([host(ends_at=None)], NOW)

    def test_names_a_host_that_is_silent_and_has_those_that_died(self) -> None:
        dead, silent = host("h2"), host()
        dead.update(snapshot(alive=False), NOW)
        silent.update(Snapshot(True, STATE, NOW + 20), NOW + 20)
        line = table.line([silent, dead], NOW + 20)
        assert line.startswith("died, running") and "| h1 is silent: " in line

    def test_before_the_start_tells_how_many_are_ready(self) -> None:
        assert table.line([host(phase="arming")], NOW) == "arming | 10 of 10 holders ready"
        assert table.line([HostView("h1", "", NOW)], NOW) == "starting"


class TestTable:
    def test_has_a_row_for_each_host_and_for_the_fleet(self) -> None:
        text = table.text([host("load-1"), host("load-2", host_cpu=1.8, lag_p99=0.04, p95={"connect": 3.0})], NOW)
        assert "2 load hosts: 2 running | 2000 steps ok | 1:30 left" in text
        its = rows(text)
        assert " ".join(its["load-1"]) == "load-1 running 8/10 4.2 1 0.81 present_proof 2 50% 61%"
        assert " ".join(its["load-2"]) == "load-2 running 8/10 4.2 1 3.00 connect 40 90% 61%"
        assert " ".join(its["fleet"]) == "fleet 16/20 8.4 2 3.00 connect 40 90% 61%"

    def test_shows_nothing_old_of_a_host_that_is_not_reached(self) -> None:
        away = host("load-2")
        away.poll_failed("No route to host")
        away.check_absence(NOW + 12)
        other = host("load-1")
        other.update(snapshot(NOW + 12), NOW + 12)
        text = table.text([other, away], NOW + 12)
        assert " ".join(rows(text)["load-2"]) == "load-2 not reached - - 1 0.81 present_proof - - -"
        assert rows(text)["fleet"][1:3] == ["8/20", "4.2"]
        assert "! load-2 has been unreachable since " in text and "(No route to host)" in text

    def test_counts_ready_holders_before_the_start(self) -> None:
        arming = {"phase": "arming", "steps": {}, "p95": {}, "holders": {"total": 10, "ready": 3, "active": 0}}
        assert rows(table.text([host(**arming), host("h2", **arming)], NOW))["fleet"][1] == "6/20"

    def test_fits_into_100_columns(self) -> None:
        names = [f"load-{number}.frankfurt.cloud.example.org" for number in range(1, 8)]
        hosts = [
            host(
                name,
                message="No space left on device: " + "the journal cannot be written, " * 9,
                holders={"total": 12345, "active": 12345, "ready": 12345},
                steps={"ok": 10**9, "failed": 10**6, "per_s": 12345.6},
                p95={"receive_revocation_notification": 123.45},
                lag_p99=12.345,
            )
            for name in names
        ]
        hosts[0].check_absence(NOW + 11)
        text = table.text(hosts, NOW + 11)
        assert max(map(len, text.splitlines())) <= table.WIDTH
        assert "12345/12345" in text and "1000000" in text and "12345" in text and "\x1b" not in text

    def test_of_many_hosts_shows_those_that_stand_out(self) -> None:
        hosts = [host(f"h{number}", steps={"ok": 5, "failed": 0}, lag_p99=number / 50) for number in range(1, 51)]
        hosts[2].check_absence(NOW + 11)
        hosts[4].update(snapshot(alive=False), NOW)
        hosts[6].update(snapshot(message="No space left"), NOW)
        hosts[8].update(snapshot(steps={"ok": 5, "failed": 2}), NOW)
        its = rows(table.text(hosts, NOW))
        assert {"h3", "h5", "h7", "h9", "h50", "h49"} < its.keys() and "h1" not in its
        assert its["and"] == ["and", "30", "others"]
        assert len([name for name in its if name.startswith("h") and name != "host"]) == 20
        assert its["fleet"][1] == "384/500"  # but the two that are not heard of

    def test_a_message_that_looks_like_markup_is_shown_as_it_is(self) -> None:
        assert "! h1: [bold]disk[/bold] full" in table.text([host(message="[bold]disk[/bold] full")], NOW)


def test_figures_are_json_and_hold_nothing_else_of_the_state() -> None:
    view = host(secrets={"token": "hush-42"})
    its = json.loads(json.dumps(table.host_figures(view, NOW)))
    assert its["condition"] == "running" and its["steps"]["per_s"] == 4.2 and its["cpu"] == 0.5
    assert its["errors"] == {"timeout": 1} and its["seconds_left"] == 90 and its["not_reached_since"] is None
    assert "hush-42" not in json.dumps([its, table.fleet_figures([view], NOW)]) + table.text([view, view], NOW)
