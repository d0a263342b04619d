"""``stampede_scripts``: several scripts in one run, each with its share of the holders and settings of its own."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import PurePath
from typing import Any

from stampede.load_models.shares import turns
from stampede.schema.settings.request_reader import check_keys
from stampede.schema.settings.variable_reader import VariableReader, shown

VARIABLE = "stampede_scripts"
OWN = (
    *("wait_min", "wait_max", "think_times", "observed_think_times", "think_time_scale"),
    *("presentations_min", "presentations_max", "step_timeout", "on_failure", "self_attested"),
)
"""The variables of which a script may have its own."""
MOST = 50
"""Scripts in a run."""
LONGEST_STRETCH = 10_000
"""Holders after which the deal begins again."""
LONGEST_NAME = 64
DEFAULT_SCRIPT = "issue_present_revoke"


@dataclass(frozen=True, slots=True)
class ScriptShare:
    """One of the scripts."""

    name: str
    script: str
    """As ``stampede_script``."""
    weight: float = 1.0
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Its own ``stampede_*`` variables, in place of the run's."""


def read_scripts(reader: VariableReader) -> tuple[ScriptShare, ...]:
    """The scripts; empty when ``stampede_script`` is the only one. What is wrong is left with the reader."""
    entries = reader.read("scripts")
    if not entries:
        return ()
    if reader.read("script") != DEFAULT_SCRIPT:
        reader.complain(
            f"stampede_script is {shown(reader.read('script'))}, but {VARIABLE} names scripts as well; leave one of "
            "the two out"
        )
    if len(entries) > MOST:
        reader.complain(f"{VARIABLE} has {len(entries)} scripts; it must have at most {MOST}")
        return ()
    told = len(reader.problems)
    shares = [_read(reader, f"{VARIABLE}[{place}]", entry) for place, entry in enumerate(entries)]
    if len(reader.problems) > told:
        return ()
    for place, share in enumerate(shares):
        if share.name in [other.name for other in shares[:place]]:
            reader.complain(
                f"{VARIABLE}[{place}].name is {shown(share.name)}, which is another script's, too; give it one of "
                "its own"
            )
    if sum(_in_whole_numbers([share.weight for share in shares])) > LONGEST_STRETCH:
        reader.complain(
            f"{VARIABLE} has the weights {', '.join(f'{share.weight:g}' for share in shares)}; they must be in "
            f"proportion to whole numbers whose sum is at most {LONGEST_STRETCH:,}"
        )
    return tuple(shares) if len(reader.problems) == told else ()


def _read(reader: VariableReader, where: str, entry: Mapping[str, Any]) -> ScriptShare:
    check_keys(reader, where, entry, {"script", "name", "weight", "settings"})
    script = entry.get("script")
    if not isinstance(script, str) or not script:
        reader.complain(
            f"{where}.script is {shown(script)}; it must be the name of a template in templates/scenarios, or the "
            "path of a .py.j2 or .py file"
        )
        script = DEFAULT_SCRIPT
    name = entry.get("name", bare_name(script))
    if not isinstance(name, str) or not re.fullmatch(rf"[A-Za-z0-9._-]{{1,{LONGEST_NAME}}}", name):
        reader.complain(f"{where}.name is {shown(name)}; it must be 1 to {LONGEST_NAME} of A-Z a-z 0-9 . _ -")
        name = "script"
    weight = entry.get("weight", 1)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        reader.complain(f"{where}.weight is {shown(weight)}; it must be a number above 0")
        weight = 1
    settings = entry.get("settings") or {}
    if not isinstance(settings, Mapping):
        reader.complain(
            f"{where}.settings is {shown(settings)}; it must be a mapping, such as {{stampede_wait_max: 5s}}"
        )
        settings = {}
    may_be = [f"stampede_{each}" for each in OWN]
    for variable in settings:
        if variable not in may_be:
            reader.complain(
                f"{where}.settings has {shown(variable)}; a script may have its own {', '.join(may_be[:-1])} and "
                f"{may_be[-1]}"
            )
    return ScriptShare(name, script, float(weight), dict(settings))


def bare_name(script: str) -> str:
    """A script's file name without its ending, of signs that a tag may have."""
    name = PurePath(script).name
    for ending in (".py.j2", ".j2", ".py"):
        name = name.removesuffix(ending)
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:LONGEST_NAME] or "scenario"


def script_of(holder: int, weights: Sequence[float]) -> int:
    """Which script a holder takes, by its number. Any stretch of holders has its share of each, within one, so that
    the sums over a fleet are exact; the number of hosts does not matter.

    >>> [script_of(holder, (3, 1)) for holder in range(8)]
    [0, 0, 1, 0, 0, 0, 1, 0]
    """
    stretch = _stretch(tuple(weights))
    return stretch[holder % len(stretch)]


@functools.cache
def _stretch(weights: tuple[float, ...]) -> tuple[int, ...]:
    whole = _in_whole_numbers(weights)
    return tuple(itertools.islice(turns(whole), sum(whole)))


def _in_whole_numbers(weights: Sequence[float]) -> list[int]:
    """The same proportions, in the smallest whole numbers."""
    parts = [Fraction(str(weight)) for weight in weights]
    common = math.lcm(*(part.denominator for part in parts))
    whole = [int(part * common) for part in parts]
    divisor = math.gcd(*whole)
    return [number // divisor for number in whole]
