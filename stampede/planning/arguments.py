"""The arguments of ``stampede plan``."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

from stampede.planning.plan import UTILISATION, Asked
from stampede.schema.settings.durations import seconds

LARGEST = 1_000_000
"""Of what can be asked for."""
UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
DESCRIPTION = (
    "Plans a run by what a finished one cost, the calibration: load hosts, CPU, memory, sockets, what each service "
    "will see, how long it must last. The script is simulated with the calibration's settings and -e, such "
    "as realistic think times; the service times and CPU of steps are measured. A calibration is a run of "
    "the same script of a few minutes in which the load generator was not the bottleneck, such as stampede run -e "
    "stampede_holders=10 -e stampede_ramp_up=30s -e stampede_duration=3m. Exit codes: 0 if a plan was made, 2 on "
    "invalid input and for a calibration that holds too little."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    command.add_argument("results", type=Path, metavar="RESULTS_DIR", help="the calibration, such as results/RUN_ID")
    asked = command.add_mutually_exclusive_group(required=True)
    for option, of, metavar, help_ in (
        ("holders", _whole, "N", "so many holders, each at its own pace (closed)"),
        ("rate", _rate, "R", "so many rounds begun: 10/s, 600/min, or per second"),
        ("arrivals", _rate, "R", "so many new holders: 2/s, 120/min, or per second"),
    ):
        asked.add_argument(f"--{option}", dest="asked", type=_asked(option, of), metavar=metavar, help=help_)
    asked.add_argument(
        "--target",
        dest="asked",
        type=_target,
        metavar="NAME=R",
        help="so many HTTPS requests at a service, such as verifier=20/s, or so many of a step, such as "
        "present_proof=5/s",
    )
    command.add_argument(
        *("-e", "--extra-vars"),
        action="append",
        default=[],
        metavar="VARS",
        help="settings of the planned run that differ, as for ansible-playbook: name=value, JSON, or @FILE",
    )
    command.add_argument("--duration", type=_duration, metavar="TIME", help="of the run, such as 30m")
    command.add_argument(
        "--percentile",
        type=_percentile,
        default=99.0,
        metavar="P",
        help="that is to be worth something (default: 99)",
    )
    command.add_argument("--cores-per-host", type=_whole, metavar="N", help="default: as the calibration's hosts")
    command.add_argument(
        "--memory-per-host", type=_size, metavar="SIZE", help="such as 8G; default: as the calibration's hosts"
    )
    command.add_argument(
        "--utilisation",
        type=_share,
        default=UTILISATION,
        metavar="SHARE",
        help=f"share of its cores that a host may use (default: {UTILISATION})",
    )
    command.add_argument(
        "--price-per-host-hour",
        type=_positive,
        metavar="PRICE",
        help="in any currency; default: the calibration's stampede_price, which hosts in a cloud have",
    )
    command.add_argument(
        "--in-spite-of-bottleneck",
        action="store_true",
        help="plan even if the load generator was the calibration's bottleneck, with service times that are too long",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--output", type=Path, metavar="FILE", help="also write JSON, for stampede compare FILE RUN")


def _asked(what: str, read: Callable[[str], float]) -> Callable[[str], Asked]:
    return lambda text: Asked(what, read(text))


def _target(text: str) -> Asked:
    of, sign, rate = text.partition("=")
    if not of or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} must be a service or a step, and a rate: verifier=20/s")
    return Asked("target", _rate(rate), of)


def _number(text: str, right: str, is_right: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and is_right(value)):
        raise argparse.ArgumentTypeError(f"{text!r} must be {right}")
    return value


def _whole(text: str) -> int:
    return int(
        _number(
            text, f"a whole number from 1 to {LARGEST:,}", lambda value: value == int(value) and 1 <= value <= LARGEST
        )
    )


def _positive(text: str) -> float:
    return _number(text, "a number above 0", lambda value: value > 0)


def _share(text: str) -> float:
    return _number(text, "a share from 0.05 to 0.95, such as 0.6", lambda value: 0.05 <= value <= 0.95)


def _percentile(text: str) -> float:
    return _number(text.removeprefix("p"), "a percentile from 1 to 99.99", lambda value: 1 <= value <= 99.99)


def _rate(text: str) -> float:
    number, _, unit = text.partition("/")
    per = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}.get(unit, math.nan)
    right = f"a rate such as 2/s, 300/min or 1000/h, at most {LARGEST:,} a second"
    return _number(number, right, lambda value: 0 < value / per <= LARGEST) / per


def _duration(text: str) -> float:
    try:
        value = seconds(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be a duration above 0, such as 90s, 30m or 2h")
    return value


def _size(text: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)i?B?", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} must be a size such as 8G or 512M")
    return float(found[1]) * UNITS[found[2]]
