"""What gave way first: told of a queue, of what is busy, late or full, and of nothing that merely varies."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples

from controller.metrics.machine import Machine
from stampede.analysis.verdict.load_sentences import limit_sentence

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
    base: dict[str, float] | None = None,
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
    file.write_text("\n".join(lines) + "\n")
    return samples.report(folder)


def line(measurement: str, second: float, fields: dict[str, float], **tags: str) -> str:
    words = ",".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{samples.tags(measurement, HOST, **tags)} {words} {int((samples.START + second + 0.5) * 1e9)}"


def steady(at: float, chance: random.Random) -> float:
    return 0.3 + 0.05 * chance.random()


def queue(at: float, chance: random.Random) -> float:
    """From 20 s on those who come wait for each other, longer and longer."""
    return steady(at, chance) + max(0.0, at - 20) * 0.1


def test_nothing_gave_way(tmp_path: Path) -> None:
    found = journal(tmp_path, steady)
    assert found["limits"] == []
    sentences = [finding["text"] for finding in found["run"]["findings"] if finding["about"] == "limits"]
    assert sentences == ["Nothing gave way: neither a load host, nor an agent, nor the network, nor a service."]


def test_a_queue_at_a_service(tmp_path: Path) -> None:
    found = journal(tmp_path, queue)
    (limit,) = found["limits"]
    assert (limit["kind"], limit["name"]) == ("service", "verifier")
    assert 20 <= limit["since"] <= 35
    assert limit_sentence(samples.typed(found)).startswith(
        f"Verifier could not keep up: those who asked it waited for each other, from {limit['since']:.0f} s after"
    )
    assert found["generator"]["bottleneck"] is False
    assert "Gave way first" in (tmp_path / "report.html").read_text()


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
    assert journal(tmp_path, queue, per_second=0.4)["limits"] == []


def test_timeouts(tmp_path: Path) -> None:
    found = journal(tmp_path, steady, outcome=lambda at: "timeout" if at > 30 and int(at * 10) % 4 == 0 else "")
    assert [(limit["name"], limit["since"]) for limit in found["limits"]] == [("verifier", 30.0)]


GENERATOR: dict[str, tuple[str, dict[str, float], str]] = {
    "all cores of host load-1 were busy": ("load", {"host_cpu": 3.9}, "host"),
    "the hypervisor of host load-1 gave its cores to others": ("load", {"steal": 0.9}, "host"),
    "the memory of host load-1 was full": ("load", {"host_memory_used": 0.95}, "host"),
    "the controller of host load-1 was late": ("load", {"lag_p99": 0.4}, "controller"),
    "the network of host load-1 lost segments": ("load", {"resent": 0.05}, "network"),
    "agent-0 of host load-1 could not keep up": ("agent", {"loop_lag": 0.8}, "agent"),
    "agent-0 of host load-1 could not keep up (busy)": ("agent", {"cpu": 0.97}, "agent"),
}


@pytest.mark.parametrize("text", GENERATOR)
def test_the_generator_before_the_services(tmp_path: Path, text: str) -> None:
    records, beyond, kind = GENERATOR[text]
    found = journal(tmp_path, queue, **{records: lambda at: beyond if at >= 10 else {}})
    (limit,) = found["limits"]
    assert (limit["kind"], limit["since"]) == (kind, 10), "of services nothing is said then"
    assert limit["text"] == text.removesuffix(" (busy)")


def test_late_agents_make_the_generator_the_bottleneck(tmp_path: Path) -> None:
    found = journal(tmp_path, steady, agent=lambda at: {"loop_lag": 0.8})
    assert found["generator"]["bottleneck"] is True
    assert found["generator"]["reasons"] == [
        "Agent-0 on host load-1 took more than 500 ms to answer an empty request for 100 % of the time."
    ]


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
