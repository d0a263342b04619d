"""What is known of a load host: silence, absence, death and return; and polling all hosts."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fleet_views import NOW, STATE, host, snapshot

from stampede.fleet import host_view as fleet_view
from stampede.fleet.host_poller import HostPoller
from stampede.fleet.host_view import HostView, clock
from stampede.fleet.snapshot import Refused, Snapshot, Unreachable, snapshot_of_process, snapshot_of_unit
from stampede.schema.json_form import to_json


class TestAbsence:
    def test_a_short_one_is_nobody_s_business(self) -> None:
        view = host()
        view.poll_failed("No route to host")
        assert view.check_absence(NOW + 9) == [] and view.condition == "running" and view.note(NOW + 9) == ""

    def test_is_told_when_it_begins_and_when_it_ends(self) -> None:
        view = host()
        view.poll_failed("No route to host")
        (fault,) = view.check_absence(NOW + 11)
        assert (fault.kind, fault.since, fault.until) == ("unreachable", NOW, None)
        assert fault.text == f"h1 has been unreachable since {clock(NOW)} (No route to host)."
        assert view.condition == "not reached" and view.note(NOW + 11) == fault.text
        assert view.check_absence(NOW + 12) == []

        (ended,) = view.update(snapshot(NOW + 22), NOW + 22)
        assert (ended.kind, ended.since, ended.until) == ("unreachable", NOW, NOW + 22)
        assert ended.text == f"h1 could not be reached from {clock(NOW)} to {clock(NOW + 22)} (22 s)."
        assert view.condition == "running" and view.faults == [ended] and not view.over

    def test_of_a_minute_is_a_loss(self) -> None:
        view = host()
        view.check_absence(NOW + 11)
        (fault,) = view.check_absence(NOW + 61)
        assert (fault.kind, fault.since, fault.until) == ("lost", NOW, None)
        assert view.failure == fault.text == f"h1 was lost while running: unreachable since {clock(NOW)}."
        assert view.lost and view.over and view.condition == "lost"
        assert view.check_absence(NOW + 500) == [] and view.faults == [fault]

    def test_a_lost_host_that_comes_back_was_unreachable(self) -> None:
        view = host()
        view.check_absence(NOW + 11)
        view.check_absence(NOW + 61)
        (fault,) = view.update(snapshot(NOW + 95), NOW + 95)
        assert (fault.kind, fault.until) == ("unreachable", NOW + 95)
        assert not view.over and view.failure == "" and view.condition == "running"

    def test_a_host_that_was_never_reached_is_lost_while_starting(self) -> None:
        view = HostView("h1", "see its logs", NOW)
        view.check_absence(NOW + 11)
        view.check_absence(NOW + 61)
        assert view.failure.startswith("h1 was lost while starting: ")

    def test_is_no_matter_once_the_run_has_ended_there(self) -> None:
        assert host(phase="done", alive=False).check_absence(NOW + 100) == []


class TestDeath:
    def test_has_the_controller_s_last_words(self) -> None:
        view = host()
        (fault,) = view.update(Snapshot(False, STATE, NOW + 5, "MemoryError"), NOW + 5)
        assert (fault.kind, fault.since, fault.until) == ("died", NOW, None)
        assert (
            view.failure
            == fault.text
            == (
                f"The controller on h1 (pid 412) died while running, last heard of at {clock(NOW)}: MemoryError; "
                "see its logs"
            )
        )
        assert view.over and view.condition == "died"

    def test_of_one_that_failed_has_its_own_message(self) -> None:
        view = HostView("h1", "see its logs", NOW)
        (fault,) = view.update(snapshot(phase="failed", phase_since=NOW - 3, message="No agent came up"), NOW)
        assert fault.text == "The controller on h1 failed: No agent came up" and fault.since == NOW - 3
        assert view.condition == "failed"

    def test_is_told_once(self) -> None:
        view = host()
        view.update(snapshot(NOW + 5, alive=False), NOW + 5)
        assert view.update(snapshot(NOW + 6, alive=False), NOW + 6) == [] and len(view.faults) == 1

    def test_of_a_host_that_was_booted_anew(self) -> None:
        view = host()
        view.check_absence(NOW + 11)
        absence, death = view.update(Snapshot(False, STATE, NOW + 40), NOW + 40)
        assert (absence.kind, absence.until) == ("unreachable", NOW + 40)
        assert (death.kind, death.since) == ("died", NOW)

    def test_is_dated_by_this_machine_s_clock(self) -> None:
        view = host(ahead=5.0)
        (fault,) = view.update(Snapshot(False, replace(STATE, time=NOW + 5), NOW + 15), NOW + 10)
        assert fault.since == NOW

    def test_no_word_of_it_steers_the_terminal(self) -> None:
        view = host()
        view.update(snapshot(alive=False, last_output="\x1b[2J\nKilled"), NOW)
        assert view.failure.isprintable() and "[2J Killed" in view.failure

    def test_a_controller_that_is_done_has_not_died(self) -> None:
        view = host()
        assert view.update(snapshot(alive=False, phase="done"), NOW) == [] and view.failure == ""
        assert view.over and view.condition == "done"

    def test_one_that_may_not_have_started_has_not_died_either(self) -> None:
        view = HostView("h1", "see its logs", NOW, started=False)
        assert view.update(Snapshot(False), NOW) == [] and view.condition == "starting"
        view.update(Snapshot(False), NOW + 61)
        view.check_absence(NOW + 61)
        assert view.over and view.failure == "No controller has started on h1; see its logs"
        view.update(snapshot(NOW + 70), NOW + 70)
        assert not view.over and view.condition == "running"


class TestSilence:
    def test_is_of_a_controller_on_a_host_that_answers(self) -> None:
        view = host()
        view.update(Snapshot(True, STATE, NOW + 16), NOW + 16)
        assert view.silent(NOW + 16) and "h1 is silent" in view.note(NOW + 16)

    def test_is_not_found_in_another_clock(self) -> None:
        view = host(ahead=-60.0)
        assert not view.silent(NOW) and not view.silent(NOW + 5)
        assert view.ends_in(NOW) == 150.0


class TestSnapshot:
    def test_of_a_process(self, tmp_path: Path) -> None:
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs/controller.out").write_text("Traceback\nMemoryError\n\n")
        assert snapshot_of_process(tmp_path).state is None
        (tmp_path / "state.json").write_text(json.dumps({"pid": os.getpid(), "phase": "running"}))
        assert snapshot_of_process(tmp_path).alive and snapshot_of_process(tmp_path).last_output == ""
        assert snapshot_of_process(tmp_path, pid=2**22 + 1).last_output == "MemoryError"

    def test_of_a_unit(self) -> None:
        said = f"failed\n{NOW}\nKilled  [systemd: success]\n{json.dumps(to_json(STATE), indent=1)}\n"
        seen = snapshot_of_unit(lambda command: said, Path("/var/lib/stampede/runs/r1"), "stampede-run@r1.service")
        assert (seen.alive, seen.clock, seen.last_output, seen.state) == (False, NOW, "Killed", STATE)
        assert snapshot_of_unit(lambda command: f"active\n{NOW}\n\n", Path("/r1"), "u").state is None

    def test_of_one_that_answers_with_something_else(self) -> None:
        with pytest.raises(Unreachable, match="it answered 'Please change your password'"):
            snapshot_of_unit(lambda command: "Please change your password", Path("/r1"), "u")

    def test_a_poll_that_hangs_delays_no_other(self) -> None:
        hang = threading.Event()

        def hanging() -> Snapshot:
            hang.wait()
            return snapshot()

        views = {name: HostView(name, "", time.time()) for name in ("h1", "h2", "h3", "h4")}

        def refused() -> Snapshot:
            raise Refused("its key is wrong")

        def faulty() -> Snapshot:
            raise KeyError("phase")

        probes = {"h1": hanging, "h2": snapshot, "h3": refused, "h4": faulty}
        poller = HostPoller(probes, views, 0.01)
        while not (views["h2"].has_answered and views["h3"].refused):
            poller.wait(0.05)
        assert not views["h1"].has_answered and not views["h4"].has_answered
        assert views["h3"].note(NOW) == "h3 is refused: its key is wrong" and views["h3"].condition == "refused"
        assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("poll "))
        (fault,) = views["h4"].check_absence(time.time() + fleet_view.UNREACHED_AFTER + 1)
        assert "KeyError" in fault.text
        hang.set()
