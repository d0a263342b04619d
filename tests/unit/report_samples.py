"""Makes results folders as a run leaves them: a ramp, issue-present-revoke, failures, a dead agent."""

import gzip
import heapq
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stampede.report import output
from stampede.schema.settings import thresholds
from stampede.schema.summary import Summary, ThresholdVerdict

RUN = "2026-11-22T18-03-12Z"
SCENARIO = "issue_present_revoke"
START = 1_795_370_592  # 2026-11-22T18:03:12Z
SECOND = 1_000_000_000
START_DELAY = 0.002  # seconds; of the first host, twice that of the second, and so on

SCRIPT = '''"""Rendered by Stampede for run {run}: holders that are issued, present and are revoked."""

from controller.cli import run

WAIT = (10, 60)  # seconds


async def script(holder):
    # </script> <b>text that must stay text</b>
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    async for _ in holder.until_end_of_run():
        async for _ in holder.repeat(1, 10):
            await holder.wait(*WAIT)
            await holder.present_proof("verifier")
        await holder.request_revocation("issuer")
        await holder.receive_revocation_notification(issuer)
        await holder.receive_credential(issuer)


if __name__ == "__main__":
    raise SystemExit(run(script))
'''

# Median seconds of a step, and its spread (sigma of the logarithm).
TIMES = {
    "connect_to_mediator": (0.35, 0.4),
    "request_invitation": (0.012, 0.6),
    "connect": (0.22, 0.35),
    "receive_credential": (0.9, 0.45),
    "present_proof": (0.55, 0.4),
    "request_revocation": (0.045, 0.8),
    "receive_revocation_notification": (1.8, 0.5),
    "delete_credential": (0.02, 0.5),
}
OPENING = ("connect_to_mediator", "request_invitation", "connect", "receive_credential")
CLOSING = (
    "request_revocation",
    "receive_revocation_notification",
    "delete_credential",
    "receive_credential",
)
SERVICES = {"connect_to_mediator": "mediator", "present_proof": "verifier"}


@dataclass
class Sample:
    """What kind of run to make; `rng` makes it the same each time."""

    hosts: tuple[str, ...] = ("load-1", "load-2")
    holders: int = 200  # per host
    ramp: float = 60.0
    duration: float = 300.0
    think: tuple[float, float] = (3.0, 9.0)
    failures: bool = True
    busy_agent: bool = False
    slow: dict[str, float] = field(default_factory=dict)  # by host: how many times slower its steps are
    lost: dict[str, float] = field(default_factory=dict)  # by host: seconds after which nothing more is written
    run: dict[str, Any] = field(default_factory=dict)  # of run.json, such as clocks and faults
    seed: int = 7
    settings: dict[str, Any] = field(default_factory=dict)


def write_results(folder: Path, sample: Sample | None = None, *, packed: bool = True) -> Path:
    """Writes run.json and, per host, journal, state.json, host.json and controller_script.py; returns `folder`."""
    sample = sample or Sample()
    folder.mkdir(parents=True, exist_ok=True)
    versions = {"stampede": "0.1.0", "acapy-agent": "1.7.0", "python": "3.13.5", "ansible-core": "2.21.5"}
    settings = {
        "stampede_script": SCENARIO,
        "stampede_holders": sample.holders * len(sample.hosts),
        "stampede_ramp_up": f"{sample.ramp:g}s",
        "stampede_duration": f"{sample.duration:g}s",
        "stampede_seed": 42,
        "stampede_services": {
            "issuer": {"invitation": {"url": "https://issuer.example/invitation", "method": "POST"}},
            "verifier": {"invitation": {"url": "https://verifier.example/invitation", "method": "POST"}},
        },
    } | sample.settings
    run = {
        "run_id": RUN,
        "scenario": SCENARIO,
        "started": START,
        "ended": START + sample.duration + 40,
        "settings": settings,
        "versions": versions,
        "hosts": list(sample.hosts),
    } | sample.run
    (folder / "run.json").write_text(json.dumps(run))
    for number, host in enumerate(sample.hosts):
        write_host(folder / host, host, sample, random.Random(sample.seed + number), packed=packed)
    return folder


def report(folder: Path) -> dict[str, Any]:
    """Makes the report of a results folder; returns what summary.json says."""
    output.report(folder)
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def typed(summary: dict[str, Any]) -> Summary:
    """What summary.json says, as the report has it."""
    return Summary.from_json(json.dumps(summary))


def threshold_verdict(text: str, *, passed: bool | None = False, **more: Any) -> ThresholdVerdict:
    """The verdict on a threshold, of which only what a test is about is told."""
    parsed = thresholds.parse(text)
    known = {name: getattr(parsed, name) for name in ("step", "metric", "time", "operator", "limit", "unit", "phase")}
    rest = {"value": None, "crossed_at": None, "crossed_after": None, "sentence": f"{text}: so it was."}
    return ThresholdVerdict(**{"text": text, "passed": passed} | known | rest | more)


def fault(host: str, kind: str, after: float | None, text: str, until: float | None = None) -> dict[str, Any]:
    """One of run.json's faults; `after` and `until` in seconds from the start."""
    return {
        "host": host,
        "kind": kind,
        "since": None if after is None else START + after,
        "until": None if until is None else START + until,
        "text": text,
    }


def write_fleet(folder: Path, hosts: int = 5, **more: Any) -> Path:
    """Writes the results of a fleet in which much happened: load-2 is slow, load-3 was out of reach for a while,
    load-4 was lost and its journal brought home later, the last host was left out before the start."""
    names = tuple(f"load-{number + 1}" for number in range(hosts))
    last = names[-1]
    faults = [
        fault(last, "left_out", -30, f"{last} took no part: its Python is 3.11.2, 3.13 is needed."),
        fault("load-3", "unreachable", 30, "load-3 could not be reached from 18:03:42 to 18:04:04 (22 s).", 52),
        fault("load-4", "lost", 41, "load-4 was lost: it could not be reached any more from 18:03:53 on."),
        fault("load-4", "not_collected", 150, "The journal of load-4 could not be brought home."),
    ]
    clocks = {
        name: {"offset": 0.002 * number - 0.005, "uncertainty": 0.009} for number, name in enumerate(names[:-1])
    }
    sample = {
        "holders": 30,
        "duration": 120,
        "ramp": 20,
        "failures": False,
        "slow": {"load-2": 2.4},
        "lost": {"load-4": 39},
    }
    settings = {"stampede_holders": more.get("holders", 30) * (hosts - 1)}
    run = {"hosts": list(names), "clocks": clocks, "faults": faults}
    return write_results(folder, Sample(**{"hosts": names[:-1], "settings": settings, "run": run} | sample | more))


def write_host(folder: Path, host: str, sample: Sample, rng: random.Random, *, packed: bool) -> None:
    """Writes one host's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = list(journal_lines(host, sample, rng, faulty=sample.failures and host == sample.hosts[0]))
    lost = START + sample.lost.get(host, 1e9)
    text = "".join(line + "\n" for at, line in sorted(lines, key=lambda entry: entry[0]) if at < lost)
    if packed:
        (folder / "journal.lp.gz").write_bytes(gzip.compress(text.encode(), 6))
    else:
        (folder / "journal.lp").write_text(text)
    state = {
        "run": RUN,
        "host": host,
        "pid": 4242,
        "phase": "done",
        "phase_since": START + sample.duration + 12,
        "time": START + sample.duration + 13,
        "start_at": START,
        "ends_at": START + sample.duration,
        "message": "",
        "holders": {
            "total": sample.holders,
            "active": 0,
            "ready": 0,
            "finished": sample.holders,
            "stopped": 0,
        },
    }
    if host in sample.lost:
        state |= {
            "phase": "running",
            "phase_since": START,
            "time": lost,
            "steps": {"ok": text.count("outcome=ok") + 3},
        }
    (folder / "state.json").write_text(json.dumps(state))
    versions = {"acapy-agent": "1.7.0", "python": "3.13.5", "controller": "0.1.0"}
    (folder / "host.json").write_text(json.dumps({"run_id": RUN, "host": host, "versions": versions}))
    (folder / "controller_script.py").write_text(SCRIPT.format(run=RUN))


def tags(measurement: str, host: str, **more: str) -> str:
    """The head of a line."""
    pairs = {"run": RUN, "host": host, "scenario": SCENARIO, **more}
    return ",".join([measurement, *(f"{name}={value}" for name, value in pairs.items())])


def step_line(
    host: str,
    step: str,
    end: float,
    service_time: float,
    *,
    response_time: float | None = None,
    holder: int = 1,
    attempt: int = 1,
    outcome: str = "ok",
    error: str = "",
    detail: str = "",
) -> str:
    """One `step` record as the controller writes it."""
    response_time = service_time if response_time is None else response_time
    service = SERVICES.get(step, "issuer")
    words = f',error="{error}"' if error else ""
    if detail:
        quoted = detail.replace("\\", "\\\\").replace('"', '\\"')
        words += f',detail="{quoted}"'
    return (
        f"{tags('step', host, step=step, outcome=outcome)} holder={holder}i,iteration=1i,attempt={attempt}i,"
        f'service="{service}",service_time={service_time!r},response_time={response_time!r}{words} '
        f"{int(end * 1e9)}"
    )


def journal_lines(host: str, sample: Sample, rng: random.Random, *, faulty: bool) -> Iterator[tuple[float, str]]:
    """The journal of one host, as (time, line), in no order."""
    died = START + sample.duration * 0.55
    phases = [
        ("starting", -22),
        ("arming", -20),
        ("armed", -4),
        ("running", START_DELAY * (1 + sample.hosts.index(host))),
        ("draining", sample.duration),
        ("done", sample.duration + 12),
    ]
    for phase, at in phases:
        yield event(host, START + at, "phase", phase)
    if faulty:
        yield event(host, died, "agent_died", "agent-1 ended with signal 9 (killed)")
        yield event(host, died + 7, "agent_restarted", "agent-1 is up again after 7 s")
    busy: list[float] = []
    for time, line, seconds in steps(host, sample, rng, died if faulty else None):
        busy.append(time - seconds)
        yield time, line
    starts = sorted(busy)
    for second in range(-15, int(sample.duration) + 8):
        yield load(host, sample, rng, second, starts)
        if second % 5 == 0:
            for number in range(2):
                yield agent(host, sample, rng, number, second, died if faulty else None)


def event(host: str, at: float, kind: str, text: str) -> tuple[float, str]:
    """One `event` record."""
    return at, f'{tags("event", host, kind=kind)} text="{text}",value=0 {int(at * 1e9)}'


def load(host: str, sample: Sample, rng: random.Random, second: int, starts: list[float]) -> tuple[float, str]:
    """One `load` record, a second's."""
    share = min(1.0, max(0.0, second / sample.ramp)) if second < sample.duration else 0.1
    active = int(sample.holders * share)
    lag = rng.lognormvariate(-6.5, 0.6) * (1 + share)
    cpu = 0.05 + 0.4 * share + rng.uniform(-0.03, 0.03)
    host_cpu = 0.2 + 3.0 * share + rng.uniform(-0.2, 0.2)
    fields = (
        f"active={active}i,ready={sample.holders}i,in_flight={int(active * 0.1)}i,arrivals=1i,finished=0i,"
        f"lag_p50={lag / 3:.6f},lag_p99={lag:.6f},lag_max={lag * 2:.6f},loop_lag_max={lag * 1.5:.6f},"
        f"cpu={cpu:.3f},rss={82_000_000 + second * 1000}i,host_cpu={host_cpu:.3f},host_cores=4i,"
        f"host_memory_used={0.31 + 0.05 * share:.4f}"
    )
    at = START + second + rng.uniform(0, 0.02)
    return at, f"{tags('load', host)} {fields} {int(at * 1e9)}"


def agent(
    host: str, sample: Sample, rng: random.Random, number: int, second: int, fault: float | None
) -> tuple[float, str]:
    """One `agent` record."""
    share = min(1.0, max(0.0, second / sample.ramp))
    down = fault is not None and number == 1 and fault <= START + second < fault + 7
    cpu = 0.0 if down else (0.96 if sample.busy_agent else 0.72) * share + rng.uniform(0, 0.04)
    restarts = int(fault is not None and number == 1 and START + second >= fault)
    at = START + second + 0.1
    line = (
        f"{tags('agent', host, agent=f'agent-{number}')} cpu={cpu:.3f},rss={0 if down else 190_000_000}i,"
        f"restarts={restarts}i,up={str(not down).lower()} {int(at * 1e9)}"
    )
    return at, line


def steps(host: str, sample: Sample, rng: random.Random, fault: float | None) -> Iterator[tuple[float, str, float]]:
    """The `step` records: each holder opens, then presents, is revoked and issued again, to the end."""
    end_of_run = START + sample.duration
    queue: list[tuple[float, int, list[str]]] = [
        (START + sample.ramp * holder / sample.holders, holder, list(OPENING)) for holder in range(sample.holders)
    ]
    last_end = 0.0
    while queue:
        at, holder, plan = heapq.heappop(queue)
        if at >= end_of_run:
            continue
        if not plan:
            plan = ["present_proof"] * rng.randint(1, 4) + list(CLOSING)
        step, *rest = plan
        median, spread = TIMES[step]
        crowding = 1 + 0.8 * min(1.0, max(0.0, (at - START) / sample.ramp))
        seconds = round(rng.lognormvariate(0, spread) * median * crowding * sample.slow.get(host, 1.0), 6)
        lag = round(rng.lognormvariate(-6.5, 0.7), 6)
        outcome, error, detail = "ok", "", ""
        if fault is not None and holder % 2 and fault <= at < fault + 7:
            outcome, error, detail, seconds = "failed", "agent_died", "agent-1 ended while the step ran", 0.4
        elif fault is not None and rng.random() < 0.001:
            outcome, error, seconds = "failed", "timeout", 60.0
            detail = 'waited for state "done", last saw presentation-sent'
        elif fault is not None and step == "request_revocation" and rng.random() < 0.01:
            outcome, error, detail = (
                "failed",
                "service_refused",
                "HTTP 503 from the issuer: <try again> & later",
            )
        end = at + lag + seconds
        if end > end_of_run + 5:
            outcome, error, detail, end = "interrupted", "", "", end_of_run + 5 + holder * 1e-4
            seconds = end - at - lag
        last_end = end
        line = step_line(
            host,
            step,
            last_end,
            seconds,
            response_time=round(seconds + lag, 6),
            holder=holder,
            outcome=outcome,
            error=error,
            detail=detail,
        )
        yield last_end, line, seconds
        pause = rng.uniform(*sample.think) if step in ("present_proof", "receive_credential") else 0.0
        heapq.heappush(queue, (end + pause, holder, rest))
