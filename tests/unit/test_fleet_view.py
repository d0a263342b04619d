"""What is known of a load host: silence, absence, death and return; and the looks of all hosts."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
from fleet_views import NOW, STATE, host, look
from plugin_files import load_plugin

from stampede.fleet import host_view as fleet_view
from stampede.fleet.host_poller import Lookers
from stampede.fleet.host_view import HostView, clock
from stampede.fleet.snapshot import Look, Refused, Unreachable, look_at_process, look_at_unit


class TestAbsence:
    def test_a_short_one_is_nobody_s_business(self) -> None:
        view = host()
        view.missed("No route to host")
        assert view.pass_time(NOW + 9) == [] and view.condition == "running" and view.note(NOW + 9) == ""

    def test_is_told_when_it_begins_and_when_it_ends(self) -> None:
        view = host()
        view.missed("No route to host")
        (fault,) = view.pass_time(NOW + 11)
        assert (fault.kind, fault.since, fault.until) == ("unreachable", NOW, None)
        assert fault.text == f"h1 is not reached since {clock(NOW)} (No route to host)."
        assert view.condition == "not reached" and view.note(NOW + 11) == fault.text
        assert view.pass_time(NOW + 12) == []

        (ended,) = view.saw(look(NOW + 22), NOW + 22)
        assert ended is fault and (fault.kind, fault.since, fault.until) == ("unreachable", NOW, NOW + 22)
        assert fault.text == f"h1 could not be reached from {clock(NOW)} to {clock(NOW + 22)} (22 s)."
        assert view.condition == "running" and view.faults == [fault] and not view.over

    def test_of_a_minute_is_a_loss(self) -> None:
        view = host()
        view.pass_time(NOW + 11)
        (fault,) = view.pass_time(NOW + 61)
        assert (fault.kind, fault.since, fault.until) == ("lost", NOW, None)
        assert view.obituary == fault.text == f"h1 was lost while running: not reached since {clock(NOW)}."
        assert view.lost and view.over and view.condition == "lost"
        assert view.pass_time(NOW + 500) == [] and view.faults == [fault]

    def test_a_lost_host_that_comes_back_was_unreachable(self) -> None:
        view = host()
        view.pass_time(NOW + 11)
        view.pass_time(NOW + 61)
        (fault,) = view.saw(look(NOW + 95), NOW + 95)
        assert (fault.kind, fault.until) == ("unreachable", NOW + 95)
        assert not view.over and view.obituary == "" and view.condition == "running"

    def test_a_host_that_was_never_reached_is_lost_while_starting(self) -> None:
        view = HostView("h1", "see its logs", NOW)
        view.pass_time(NOW + 11)
        view.pass_time(NOW + 61)
        assert view.obituary.startswith("h1 was lost while starting: ")

    def test_is_no_matter_once_the_run_has_ended_there(self) -> None:
        assert host(phase="done", alive=False).pass_time(NOW + 100) == []


class TestDeath:
    def test_has_the_controller_s_last_words(self) -> None:
        view = host()
        (fault,) = view.saw(Look(False, STATE, NOW + 5, "MemoryError"), NOW + 5)
        assert (fault.kind, fault.since, fault.until) == ("died", NOW, None)
        assert (
            view.obituary
            == fault.text
            == (
                f"The controller on h1 (pid 412) died while running, last heard of at {clock(NOW)}: MemoryError; "
                "see its logs"
            )
        )
        assert view.over and view.condition == "died"

    def test_of_one_that_failed_has_its_own_message(self) -> None:
        view = HostView("h1", "see its logs", NOW)
        (fault,) = view.saw(look(phase="failed", phase_since=NOW - 3, message="No agent came up"), NOW)
        assert fault.text == "The controller on h1 failed: No agent came up" and fault.since == NOW - 3
        assert view.condition == "failed"

    def test_is_told_once(self) -> None:
        view = host()
        view.saw(look(NOW + 5, alive=False), NOW + 5)
        assert view.saw(look(NOW + 6, alive=False), NOW + 6) == [] and len(view.faults) == 1

    def test_of_a_host_that_was_booted_anew(self) -> None:
        view = host()
        view.pass_time(NOW + 11)
        absence, death = view.saw(Look(False, STATE, NOW + 40), NOW + 40)
        assert (absence.kind, absence.until) == ("unreachable", NOW + 40)
        assert (death.kind, death.since) == ("died", NOW)

    def test_is_dated_by_this_machine_s_clock(self) -> None:
        view = host(ahead=5.0)
        (fault,) = view.saw(Look(False, STATE | {"time": NOW + 5}, NOW + 15), NOW + 10)
        assert fault.since == NOW

    def test_no_word_of_it_steers_the_terminal(self) -> None:
        view = host()
        view.saw(look(alive=False, words="\x1b[2J\nKilled"), NOW)
        assert view.obituary.isprintable() and "[2J Killed" in view.obituary

    def test_a_controller_that_is_done_has_not_died(self) -> None:
        view = host()
        assert view.saw(look(alive=False, phase="done"), NOW) == [] and view.obituary == ""
        assert view.over and view.condition == "done"

    def test_one_that_may_not_have_started_has_not_died_either(self) -> None:
        view = HostView("h1", "see its logs", NOW, started=False)
        assert view.saw(Look(False), NOW) == [] and view.condition == "starting"
        view.saw(Look(False), NOW + 61)
        view.pass_time(NOW + 61)
        assert view.over and view.obituary == "No controller has started on h1; see its logs"
        view.saw(look(NOW + 70), NOW + 70)
        assert not view.over and view.condition == "running"


class TestSilence:
    def test_is_of_a_controller_on_a_host_that_answers(self) -> None:
        view = host()
        view.saw(Look(True, STATE, NOW + 16), NOW + 16)
        assert view.silent(NOW + 16) and "h1 is silent" in view.note(NOW + 16)

    def test_is_not_found_in_another_clock(self) -> None:
        view = host(ahead=-60.0)
        assert not view.silent(NOW) and not view.silent(NOW + 5)
        assert view.ends_in(NOW) == 150.0


class TestLooking:
    def test_at_a_process(self, tmp_path: Path) -> None:
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs/controller.out").write_text("Traceback\nMemoryError\n\n")
        assert look_at_process(tmp_path).state == {}
        (tmp_path / "state.json").write_text(json.dumps({"pid": os.getpid(), "phase": "running"}))
        assert look_at_process(tmp_path).alive and look_at_process(tmp_path).words == ""
        assert look_at_process(tmp_path, pid=2**22 + 1).words == "MemoryError"

    def test_at_a_unit(self) -> None:
        said = f"failed\n{NOW}\nKilled  [systemd: success]\n{json.dumps(STATE, indent=1)}\n"
        seen = look_at_unit(lambda command: said, Path("/var/lib/stampede/runs/r1"), "stampede-run@r1.service")
        assert (seen.alive, seen.clock, seen.words, seen.state) == (False, NOW, "Killed", STATE)
        assert look_at_unit(lambda command: f"active\n{NOW}\n\n", Path("/r1"), "u").state == {}

    def test_at_one_that_answers_with_something_else(self) -> None:
        with pytest.raises(Unreachable, match="it answered 'Please change your password'"):
            look_at_unit(lambda command: "Please change your password", Path("/r1"), "u")

    def test_a_look_that_hangs_holds_up_no_other(self) -> None:
        hang = threading.Event()

        def hanging() -> Look:
            hang.wait()
            return look()

        views = {name: HostView(name, "", time.time()) for name in ("h1", "h2", "h3", "h4")}

        def refused() -> Look:
            raise Refused("its key is wrong")

        def faulty() -> Look:
            raise KeyError("phase")

        looks = {"h1": hanging, "h2": look, "h3": refused, "h4": faulty}
        lookers = Lookers(looks, views, 0.01)
        while not (views["h2"].heard and views["h3"].refused):
            lookers.wait(0.05)
        assert not views["h1"].heard and not views["h4"].heard
        assert views["h3"].note(NOW) == "h3 is refused: its key is wrong" and views["h3"].condition == "refused"
        assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("look at "))
        (fault,) = views["h4"].pass_time(time.time() + fleet_view.UNREACHED_AFTER + 1)
        assert "KeyError" in fault.text
        hang.set()


def test_a_host_that_does_not_arm_is_noted_and_the_others_are_awaited(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plugin = load_plugin("action/stampede_watch")
    arming = iter(["starting", "arming", "arming"])
    looks = {
        "ready": lambda: look(phase=next(arming, "armed")),
        "broken": lambda: look(phase="failed", phase_since=NOW, message="No agent came up"),
        "slow": lambda: look(phase="arming"),
    }
    views = {name: HostView(name, "see its logs", time.time()) for name in looks}
    hosts = list(views.values())
    plugin.watch(hosts, Lookers(looks, views, 0.01), plugin.Judge(hosts, None), "armed", 60, 1)
    assert views["ready"].phase == "armed" and views["ready"].obituary == ""
    assert views["broken"].obituary == "The controller on broken failed: No agent came up"
    assert views["slow"].obituary == "slow was still arming after 1 s; see its logs"
    told = capsys.readouterr().out
    assert views["broken"].obituary in told and views["slow"].obituary in told
    assert "3 load hosts: " in told
