"""What gave way first: told of a queue, of what is busy, late or full, and of nothing that merely varies."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples

from controller.metrics.machine import CpuWait, Machine

SECONDS = 60.0
HOST = "load-1"


def journal(
    folder: Path,
    took: Callable[[float, random.Random], float],
    *,
    load: Callable[[float], dict[str, float]] = lambda at: {},
    agent: Callable[[float], dict[str, float]] = lambda at: {},
    per_second: float = 10,
    outcome: Callable[[float], str] = lambda at: "",
    more: Iterable[str] = (),
) -> dict[str, Any]:
    """The report of a minute's presentations, of which one that begins at a moment takes ``took`` seconds."""
    sample = samples.Sample(hosts=(HOST,), holders=20, duration=SECONDS, ramp=5, failures=False)
    samples.write_results(folder, sample, packed=False)
    file, chance = folder / HOST / "journal.lp", random.Random(3)
    lines = [line for line in file.read_text().splitlines() if line.startswith("event,")]
    for place in range(int(SECONDS * per_second)):
        at = place / per_second
        for step, seconds in (("present_proof", took(at, chance)), ("receive_credential", 0.3)):
            error = outcome(at) if step == "present_proof" else ""
            lines.append(
                samples.step_line(
                    HOST,
                    step,
                    samples.START + at + seconds,
                    seconds,
                    outcome="failed" if error else "ok",
                    error=error,
                )
            )
    usual = {"cpu": 0.1, "host_cpu": 1.0, "host_cores": 4, "host_memory_used": 0.3, "lag_p99": 0.001}
    usual |= dict.fromkeys(("active", "ready", "in_flight", "arrivals", "finished", "rss", "loop_lag_max"), 0)
    for second in range(int(SECONDS)):
        lines.append(line("load", second, usual | load(second)))
        if second % 5 == 4:
            its = {"cpu": 0.5, "rss": 1e8, "restarts": 0, "loop_lag": 0.02, "queue": 3} | agent(second)
            lines.append(line("agent", second, its, agent="agent-0"))
    file.write_text("\n".join([*lines, *more]) + "\n")
    return samples.report(folder)


def line(measurement: str, second: float, fields: dict[str, float], **tags: str) -> str:
    words = ",".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{samples.tags(measurement, HOST, **tags)} {words} {int((samples.START + second + 0.5) * 1e9)}"


def sentence(found: dict[str, Any]) -> str:
    (text,) = [finding["text"] for finding in found["run"]["findings"] if finding["about"] == "limits"]
    return str(text)


def steady(at: float, chance: random.Random) -> float:
    return 0.3 + 0.05 * chance.random()


def queue(at: float, chance: random.Random) -> float:
    """From 20 s on those who come wait for each other, longer and longer."""
    return steady(at, chance) + max(0.0, at - 20) * 0.1


def test_nothing_gave_way(tmp_path: Path) -> None:
    found = journal(tmp_path, steady)
    assert found["limits"] == []
    assert sentence(found) == (
        "Nothing was seen to give way: neither a load host, nor an agent, nor the network, nor a service."
    )
    assert found["limits_unknown"] == []


def test_a_queue_at_a_service(tmp_path: Path) -> None:
    found = journal(tmp_path, queue)
    (limit,) = found["limits"]
    assert (limit["kind"], limit["name"]) == ("service", "verifier")
    assert 20 <= limit["since"] <= 35
    words = re.fullmatch(
        r"Verifier could not keep up: with (\d+) in flight even the fastest present_proof took ([\d.]+) s, "
        r"otherwise (\d+) ms, from (\d+) s after the start on \((.{8}) UTC\); give verifier more cores or .*",
        sentence(found),
    )
    assert words
    in_flight, seconds, alone, since, at = words.groups()
    assert float(in_flight) == pytest.approx(10 * float(seconds), rel=0.1), "Little's law, at 10 a second"
    assert 300 <= int(alone) <= 310
    assert int(since) == limit["since"]
    assert limit["at"] == f"{datetime.fromtimestamp(samples.START + int(since), UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert limit["at"][11:19] == at
    assert found["generator"]["bottleneck"] is False
    assert "Gave way first" in (tmp_path / "report.html").read_text()


def test_a_service_that_answers_no_more_after_a_queue(tmp_path: Path) -> None:
    cut_off = samples.step_line(HOST, "present_proof", samples.START + 2 * SECONDS, 60.0, outcome="interrupted")
    (limit,) = journal(tmp_path, queue, more=[cut_off])["limits"]
    assert limit["name"] == "verifier"
    assert 20 <= limit["since"] <= 35


def test_times_that_vary_are_no_queue(tmp_path: Path) -> None:
    def vary(at: float, chance: random.Random) -> float:
        return chance.lognormvariate(-1, 1.2)

    assert journal(tmp_path, vary)["limits"] == []


def test_a_service_that_is_always_slow_is_no_queue(tmp_path: Path) -> None:
    assert journal(tmp_path, lambda at, chance: 5 + chance.random())["limits"] == []


def test_a_service_that_becomes_slow_for_a_moment_recovers(tmp_path: Path) -> None:
    def stall(at: float, chance: random.Random) -> float:
        return steady(at, chance) + (3 if 20 < at < 30 else 0)

    assert journal(tmp_path, stall)["limits"] == []


def test_too_few_steps_say_nothing(tmp_path: Path) -> None:
    found = journal(tmp_path, queue, per_second=0.4)
    assert found["limits"] == []
    assert found["limits_unknown"] == ["issuer", "verifier"]
    assert sentence(found) == (
        "Neither a load host, nor an agent, nor the network was seen to give way. "
        "Whether issuer and verifier did is not known: there were too few steps."
    )


def test_a_load_that_is_too_short_says_nothing(tmp_path: Path) -> None:
    samples.write_results(tmp_path, samples.Sample(holders=5, duration=8, ramp=2, failures=False))
    found = samples.report(tmp_path)
    assert found["limits"] is None
    assert sentence(found).startswith("What gave way first is not known: ")


def test_timeouts(tmp_path: Path) -> None:
    found = journal(tmp_path, steady, outcome=lambda at: "timeout" if at > 30 and int(at * 10) % 4 == 0 else "")
    assert [(limit["name"], limit["since"]) for limit in found["limits"]] == [("verifier", 30.0)]
    assert re.search(r"could not keep up: (2[3-7]) % of the steps about it timed out, ", sentence(found))


GENERATOR: dict[str, tuple[str, dict[str, float], str]] = {
    "all cores of host load-1 were busy (98 %)": ("load", {"host_cpu": 3.9}, "host"),
    "the hypervisor of host load-1 gave 22 % of its cores to others": ("load", {"steal": 0.9}, "host"),
    "the memory of host load-1 was full (95 %)": ("load", {"host_memory_used": 0.95}, "host"),
    "the controller of host load-1 was late: it used 10 % of a core, and 1 % of the waits ended 400 ms late": (
        "load",
        {"lag_p99": 0.4},
        "controller",
    ),
    "the network of host load-1 lost segments (5.0 % were sent again)": ("load", {"resent": 0.05}, "network"),
    "agent-0 of host load-1 could not keep up: it used 50 % of a core and took 800 ms to answer an empty request": (
        "agent",
        {"loop_lag": 0.8},
        "agent",
    ),
    "agent-0 of host load-1 could not keep up: it used 97 % of a core and took 20 ms to answer an empty request": (
        "agent",
        {"cpu": 0.97},
        "agent",
    ),
    "agent-0 of host load-1 could not keep up: it used 50 % of a core, had 2.5 threads waiting for one and "
    "took 20 ms to answer an empty request": ("agent", {"cpu_wait": 2.5}, "agent"),
}


@pytest.mark.parametrize("text", GENERATOR)
def test_the_generator_before_the_services(tmp_path: Path, text: str) -> None:
    records, beyond, kind = GENERATOR[text]
    found = journal(tmp_path, queue, **{records: lambda at: beyond if at >= 10 else {}})
    (limit,) = found["limits"]
    assert (limit["kind"], limit["since"]) == (kind, 10), "of services nothing is said then"
    assert limit["text"] == text
    assert found["limits_unknown"] == ["issuer", "verifier"]


def test_late_agents_make_the_generator_the_bottleneck(tmp_path: Path) -> None:
    found = journal(tmp_path, steady, agent=lambda at: {"loop_lag": 0.8})
    assert found["generator"]["bottleneck"] is True
    assert found["generator"]["reasons"] == [
        "Agent-0 on host load-1 took more than 200 ms to answer an empty request for 100 % of the time."
    ]


@pytest.mark.parametrize(("wait", "bottleneck"), [(0.6, True), (0.4, False)])
def test_agents_that_wait_for_a_core_more_than_they_run_are_the_bottleneck(
    tmp_path: Path, wait: float, bottleneck: bool
) -> None:
    found = journal(tmp_path, steady, agent=lambda at: {"cpu_wait": wait, "cpu": 0.1})
    assert found["generator"]["bottleneck"] is bottleneck
    expected = "Agent-0 on host load-1 spent more time waiting for a core than running for 100 % of the time."
    assert found["generator"]["reasons"] == ([expected] if bottleneck else [])


def test_a_host_whose_cores_are_stolen_is_the_bottleneck(tmp_path: Path) -> None:
    found = journal(tmp_path, steady, load=lambda at: {"steal": 0.9} if at >= 30 else {"steal": 0.1})
    assert found["generator"]["bottleneck"] is True
    assert found["generator"]["reasons"] == [
        "The hypervisor of host load-1 gave more than 10 % of the host's cores to other machines for 50 % of the "
        "time."
    ]


def test_agents_that_run_more_than_they_wait_are_not(tmp_path: Path) -> None:
    found = journal(tmp_path, steady, agent=lambda at: {"cpu_wait": 0.6, "cpu": 0.7})
    assert found["generator"]["bottleneck"] is False and found["limits"] == []


def test_a_service_that_gave_way_before_the_generator_is_told_first(tmp_path: Path) -> None:
    found = journal(tmp_path, queue, load=lambda at: {"host_cpu": 3.9} if at >= 45 else {})
    assert [limit["kind"] for limit in found["limits"]] == ["host"], "too short a time to say so of the service"


def test_journals_of_before_are_read(tmp_path: Path) -> None:
    samples.write_results(tmp_path, samples.Sample(holders=20, duration=60, ramp=5, failures=False))
    found = samples.report(tmp_path)
    usage = next(iter(found["generator"]["hosts"].values()))
    assert next(iter(usage["agents"].values()))["late_share"] is None


def test_what_the_kernel_says(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()

    def write(steal: int, sent: int, resent: int) -> None:
        (tmp_path / "stat").write_text(f"cpu 100 0 100 {800 - steal} 0 0 0 {steal} 0 0\nprocs_running 7\n")
        (tmp_path / "net/snmp").write_text(f"Tcp: OutSegs RetransSegs\nTcp: {sent} {resent}\nUdp: A\nUdp: 1\n")
        (tmp_path / "net/sockstat").write_text("sockets: used 5\nTCP: inuse 12 orphan 0\n")
        (tmp_path / "net/sockstat6").write_text("TCP6: inuse 3\n")

    write(0, 1000, 10)
    machine = Machine(tmp_path)
    write(200, 2000, 60)
    sample = machine.sample()
    assert (sample.running, sample.sockets) == (7, 15)
    assert sample.resent == pytest.approx(0.05)
    assert sample.steal is None, "no time has passed"


def test_a_kernel_that_says_nothing(tmp_path: Path) -> None:
    sample = Machine(tmp_path).sample()
    assert (sample.steal, sample.running, sample.sockets, sample.resent) == (None, None, None, None)


def test_how_long_a_process_waits_for_a_core(tmp_path: Path) -> None:
    def write(**waited: float) -> None:
        for thread, seconds in waited.items():
            (tmp_path / "7" / "task" / thread).mkdir(parents=True, exist_ok=True)
            (tmp_path / "7" / "task" / thread / "schedstat").write_text(f"9000000000 {int(seconds * 1e9)} 12\n")

    write(main=1, worker=2)
    began = time.monotonic()
    wait = CpuWait(7, tmp_path)
    assert wait.sample() is None
    time.sleep(0.1)
    write(main=3, worker=2, new=1)
    found = wait.sample()
    assert found is not None and 3 / (time.monotonic() - began) <= found <= 3 / 0.1
    time.sleep(0.01)
    assert wait.sample() == 0


def test_a_kernel_that_does_not_count_how_long_a_process_waits(tmp_path: Path) -> None:
    gone, uncounted = CpuWait(8, tmp_path), CpuWait(7, tmp_path)
    (tmp_path / "7" / "task" / "main").mkdir(parents=True)
    (tmp_path / "7" / "task" / "main" / "schedstat").write_text("0 0 0\n")
    assert [gone.sample(), gone.sample(), uncounted.sample(), uncounted.sample()] == [None] * 4
