#!/usr/bin/env python3
"""What does a holder of Stampede take beside one that is a Credo-TS agent of its own, CPU and memory, as a ratio?

Both kinds make the same journey against the same reference services, one kind after the other: a holder is made
ready, and in each round connects to the issuer, receives a revocable AnonCreds credential, and presents a proof that
it is not revoked. The holders of Credo are its agents in one Node.js process (--per-process 1: one process each);
those of Stampede are the wallets of one ACA-Py agent. Both have raw wallet keys, wallets on tmpfs (Credo: SQLite;
Stampede: its default), did:peer:4, an open HTTP port and no mediator.

CPU is that of all processes of a kind: Node.js, or agent and controller. That of a step is what a stage in which all
holders take it uses, for each of them. What it takes to receive a credential is the difference of two stages, with
and without. What it takes to make a holder ready, and its memory, are differences between many and few holders, so
that what a kind takes once does not count (of Node.js, the start of one process). Memory is the proportional set size
(PSS); wallet files are memory, too, and told apart. Node.js is made to collect its garbage after each stage, and the
CPU of that does not count: left alone it takes about three times as much memory. A step that fails ends the
benchmark with exit code 1.

Needs Node.js with its headers, npm and a C++ compiler: Credo is installed at the first time, in about a minute, where
the tests of interoperability have it, too (~/.cache/stampede/interop).
"""

from __future__ import annotations

import argparse
import json
import ssl
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_run import MeasurementFailed, check_linux, exit_code, reference_services
from sides import ENDS, Journey, Side, cpu, credo, install_credo, stampede

FEW = 2
"""Holders of the smaller run, with which the larger one is compared."""
STEADY = 0.5e6
"""Bytes by which memory may change in a second and count as stable."""
QUICK = {"holders": 4, "rounds": 1, "wallets": 100, "settle": 0.0}

type Made = Callable[[int], AbstractContextManager[Side]]
"""Makes so many holders of a kind ready."""


@dataclass(frozen=True)
class Played:
    """What a run of one kind of holders took, all together."""

    ready: float
    """Seconds of CPU until all holders were ready."""
    stages: dict[str, list[float]]
    """Seconds of CPU, by stage, for each round."""
    memory: int
    files: int


@dataclass(frozen=True)
class Figures:
    """What one kind of holders takes, each holder."""

    ready: float
    steps: dict[str, list[float]]
    """Seconds of CPU, by step, for each round."""
    memory: float
    files: float
    whole: int
    """Bytes of all holders of the larger run, with everything."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holders", type=int, default=20, help="of each kind (default: 20)")
    parser.add_argument("--rounds", type=int, default=3, help="of each holder (default: 3)")
    parser.add_argument("--at-once", type=int, default=4, help="holders that take a step concurrently (default: 4)")
    parser.add_argument("--per-process", type=int, default=0, help="Credo agents in a process (default: all of them)")
    parser.add_argument(
        "--wallets",
        type=int,
        default=1000,
        help="holders of Stampede that are only made ready: with few it is too little to be seen (default: 1000)",
    )
    parser.add_argument(
        "--settle", type=float, default=1, help="seconds that belong to a stage after its last step (default: 1)"
    )
    parser.add_argument("--quick", action="store_true", help="few holders, one round: shows that it works, no more")
    parser.add_argument("--port", type=int, default=9843, help="port of the reference services (default: 9843)")
    arguments = parser.parse_args(argv)
    if arguments.quick:
        vars(arguments).update(QUICK)
    least = {"holders": FEW + 1, "wallets": FEW + 1, "rounds": 1, "at_once": 1, "per_process": 0, "settle": 0}
    for name, value in least.items():
        if (given := getattr(arguments, name)) < value:
            parser.error(f"--{name.replace('_', '-')} is {given}; it must be {value} or more")
    return arguments


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run and print the figures."""
    check_linux()
    install_credo()
    holders = arguments.holders
    per_process = arguments.per_process or holders
    with reference_services(folder / "reference", arguments.port) as services:
        urls = services["urls"]
        invitations = {
            "connect": urls["issuer_invitation"] + "?offers=0",
            "receive": urls["issuer_invitation"],
            "present": urls["verifier_invitation"],
        }
        journey = Journey(arguments.rounds, arguments.at_once, invitations)

        def ours(count: int) -> AbstractContextManager[Side]:
            return stampede(folder / f"stampede-{count}", services, journey, count)

        def theirs(count: int) -> AbstractContextManager[Side]:
            return credo(folder / f"credo-{count}", services, journey, count, per_process)

        own = figures("Stampede", ours, arguments, services, arguments.wallets)
        peer = figures("Credo", theirs, arguments, services)
    print_figures(own, peer, holders, per_process)


def figures(
    kind: str, made: Made, arguments: argparse.Namespace, services: Mapping[str, Any], wallets: int = 0
) -> Figures:
    """What a holder takes, by a run of few and one of all, and one that only makes ``wallets`` ready, if given."""
    holders, more = arguments.holders, arguments.holders - FEW
    few, many = (play(kind, made, count, arguments, services) for count in (FEW, holders))
    ready = (many.ready - few.ready) / more
    if wallets:
        with made(wallets) as side:
            ready = (side.made_ready - few.ready) / (wallets - FEW)
    steps = {stage: [used / holders for used in rounds] for stage, rounds in many.stages.items()}
    steps["receive"] = [both - alone for both, alone in zip(steps["receive"], steps["connect"], strict=True)]
    return Figures(
        ready=ready,
        steps=steps,
        memory=(many.memory - few.memory) / more,
        files=(many.files - few.files) / more,
        whole=many.memory + many.files,
    )


def play(kind: str, made: Made, holders: int, arguments: argparse.Namespace, services: Mapping[str, Any]) -> Played:
    """Take so many holders through all rounds."""
    before, begun = counts(services), time.monotonic()
    with made(holders) as side:
        stages: dict[str, list[float]] = {stage: [] for stage in ENDS}
        for number in range(arguments.rounds):
            for stage in ENDS:
                before_it = cpu(side)
                side.go_through(stage, number)
                time.sleep(arguments.settle)
                stages[stage].append(cpu(side) - before_it)
                side.collect_garbage()
        memory, files = stable_memory(side), side.files()
    done = {name: count - before[name] for name, count in counts(services).items()}
    wanted = holders * arguments.rounds
    if done != {"accepted": wanted, "verified": wanted, "failed": 0}:
        raise MeasurementFailed(
            f"{kind}: the services report {done}; accepted and verified must be {wanted} and failed 0"
        )
    print(f"{kind}, {holders} holders: {time.monotonic() - begun:.0f} s", flush=True)
    return Played(side.made_ready, stages, memory, files)


def counts(services: Mapping[str, Any]) -> dict[str, int]:
    """What the services say of credentials and proofs so far."""
    context = ssl.create_default_context(cafile=services["ca_file"])

    def told(name: str) -> dict[str, int]:
        with urllib.request.urlopen(services["urls"][name], context=context, timeout=30) as answer:
            return dict(json.load(answer))

    issued, presented = told("issuer_status"), told("verifier_presentations")
    failed = issued["failed"] + presented["failed"] + presented["pending"]
    return {"accepted": issued["accepted"], "verified": presented["verified"], "failed": failed}


def stable_memory(side: Side) -> int:
    """PSS in bytes of all processes, once it is stable."""
    before, now = 0, pss(side)
    for _ in range(20):
        if abs(now - before) < STEADY:
            break
        time.sleep(1)
        before, now = now, pss(side)
    return now


def pss(side: Side) -> int:
    """The proportional set size in bytes of all processes: what several share counts once."""
    return sum(process.memory_full_info().pss for process in side.processes)


def print_figures(own: Figures, peer: Figures, holders: int, per_process: int) -> None:
    """Both kinds and their ratios."""
    processes = -(-holders // per_process)
    print(f"{holders} holders; Credo in {processes} process{'es' if processes > 1 else ''}; 0 steps failed")
    print(f"\n{'CPU of a holder':<34}{'Stampede':>12}{'Credo':>12}{'ratio':>8}")
    print_row("made ready", own.ready * 1e3, peer.ready * 1e3, "ms")
    for step, rounds in own.steps.items():
        print_row(f"{step}, first round", rounds[0] * 1e3, peer.steps[step][0] * 1e3, "ms")
    if len(own.steps["connect"]) > 1:
        for step, rounds in own.steps.items():
            later = statistics.median(rounds[1:]), statistics.median(peer.steps[step][1:])
            print_row(f"{step}, median of later rounds", later[0] * 1e3, later[1] * 1e3, "ms")
    journeys = [side.ready + sum(rounds[-1] for rounds in side.steps.values()) for side in (own, peer)]
    print_row("made ready, and the last round", journeys[0] * 1e3, journeys[1] * 1e3, "ms")
    print(f"\n{'memory':<34}{'Stampede':>12}{'Credo':>12}{'ratio':>8}")
    print_row("an additional holder, PSS", own.memory / 1e6, peer.memory / 1e6, "MB")
    print_row("its wallet files", own.files / 1e6, peer.files / 1e6, "MB")
    print_row(f"all {holders}, with everything", own.whole / 1e6, peer.whole / 1e6, "MB")


def print_row(what: str, own: float, peer: float, unit: str) -> None:
    """One figure of both kinds; the ratio is how many times Stampede's Credo's is."""
    digits = 1 if unit == "ms" else 2
    ratio = f"{peer / own:8.1f}" if own > 0 and peer > 0 else f"{'-':>8}"
    print(f"  {what:<32}{own:>9.{digits}f} {unit}{peer:>9.{digits}f} {unit}{ratio}", flush=True)


def main() -> int:
    """The command."""
    return exit_code(measure, parse())


if __name__ == "__main__":
    sys.exit(main())
