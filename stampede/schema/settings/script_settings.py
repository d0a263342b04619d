"""``stampede_scripts``: several scripts in one run, each with its share of the holders and settings of its own."""

from __future__ import annotations

import functools
import itertools
import math
import random
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
SHUFFLED = 8
"""Most holders among whom the scripts come in no order."""
LONGEST_NAME = 64
DEFAULT_SCRIPT = "issue_present_revoke"
RIGHT = "the name of a template in templates/scenarios, or the path of a .py.j2 or .py file"


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
        if reader.is_right("script") and not reader.read("script"):
            reader.complain(f"stampede_script is '', and {VARIABLE} names none; it must be {RIGHT}")
        return ()
    if reader.read("script") not in (DEFAULT_SCRIPT, ""):
        reader.complain(
            f"stampede_script is {shown(reader.read('script'))}, but {VARIABLE} names scripts as well; leave one of "
            "the two out, or give it as empty on the command line: -e stampede_script= or "
            "-e '{\"stampede_scripts\": []}'"
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
    _check_stretch(reader, VARIABLE, [share.weight for share in shares])
    return tuple(shares) if len(reader.problems) == told else ()


def read_stage_weights(reader: VariableReader, shares: Sequence[ScriptShare]) -> tuple[tuple[float, ...] | None, ...]:
    """For each of ``stampede_stages`` the weights of the scripts that holders take who come in it; None where these
    are the scripts' own. What is wrong is left with the reader."""
    found: list[tuple[float, ...] | None] = []
    for place, stage in enumerate(reader.read("stages")):
        weights = stage.get("scripts")
        where = f"stampede_stages[{place}].scripts"
        if weights is None:
            found.append(None)
            continue
        if reader.read("load_model") == "rounds":
            reader.complain(f"{where} is set, but holders of the load model rounds come before the stages; remove it")
            return ()
        names = [share.name for share in shares]
        if not (
            isinstance(weights, Mapping)
            and weights.keys() <= set(names)
            and all(_is_weight(weight) for weight in weights.values())
            and any(weights.values())
        ):
            known = (
                f"the names of {VARIABLE}, {', '.join(names)}," if names else f"names of {VARIABLE}, which has none,"
            )
            reader.complain(
                f"{where} is {shown(weights)}; it must map {known} to numbers of 0 or more, one of them above 0"
            )
            return ()
        of_stage = tuple(float(weights.get(name, 0)) for name in names)
        if not _check_stretch(reader, where, of_stage):
            return ()
        found.append(of_stage)
    return tuple(found)


def _check_stretch(reader: VariableReader, where: str, weights: Sequence[float]) -> bool:
    """Whether the deal by these weights begins again soon enough; if not, the reader is told."""
    if sum(_in_whole_numbers(weights)) <= LONGEST_STRETCH:
        return True
    reader.complain(
        f"{where} has the weights {', '.join(f'{weight:.10g}' for weight in weights)}; they must be in proportion to "
        f"whole numbers whose sum is at most {LONGEST_STRETCH:,}"
    )
    return False


def _is_weight(weight: object) -> bool:
    return isinstance(weight, int | float) and not isinstance(weight, bool) and 0 <= weight <= LONGEST_STRETCH


def _read(reader: VariableReader, where: str, entry: Mapping[str, Any]) -> ScriptShare:
    check_keys(reader, where, entry, {"script", "name", "weight", "settings"})
    script = entry.get("script")
    if not isinstance(script, str) or not script:
        reader.complain(f"{where}.script is {shown(script)}; it must be {RIGHT}")
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
    """Which script a holder takes, by its number; the number of hosts does not matter. The first so many holders have
    their share of each script within a few, and exactly after each whole deal, which is as long as the sum of the
    weights in the smallest whole numbers: after each four by weights of 2, 1 and 1.

    Among SHUFFLED holders the scripts come in no order, and each deal begins elsewhere, since load hosts are dealt
    holders in turns, too: of two hosts and two scripts by turns, each host would do one script.
    """
    stretch = _stretch(tuple(weights))
    length = len(stretch)
    deal, place = divmod(holder, length)
    turn, number = divmod(deal, length)
    start = place - place % SHUFFLED
    within = _order(f"scripts:{turn}:{start}", min(SHUFFLED, length - start))[place - start]
    begin = _order(f"scripts:{turn}", length)[number]
    return stretch[(begin + start + within) % length]


@functools.lru_cache(maxsize=64)
def _order(seed: str, number: int) -> list[int]:
    return random.Random(seed).sample(range(number), number)


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
