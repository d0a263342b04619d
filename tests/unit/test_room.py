"""A load that needs more holders than it may have is refused at the check of its script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from stampede.machine.home import HOME
from stampede.prepare.trial import forecast, try_script
from stampede.schema.errors import BadInput

SHORT = "async def script(holder):\n    await holder.connect('issuer')\n"
LONG = SHORT + "    await holder.wait(60)\n"
ROUND = SHORT + "    async for turn in holder.until_end_of_run():\n        await holder.ping('issuer')\n"
LONG_ROUND = ROUND + "        await holder.wait(60)\n"
THREE_ROUNDS = ROUND + "        if turn == 3:\n            break\n"
SLOW_TO_COME = "async def script(holder):\n    await holder.wait(30)\n" + ROUND.removeprefix(
    "async def script(holder):\n"
)
OPEN = {"load_model": "open", "rate": "2/s", "ramp_up": 0, "duration": "10m"}
ROUNDS = {"load_model": "rounds", "rate": "2/s", "ramp_up": "10s", "duration": "5m"}
STAGES = [{"rate": "2/s", "for": "5m"}, {"rate": "2/s", "for": "3m", "scripts": {"b": 1}}]


def run_of(variables: dict[str, Any], folder: Path, scripts: dict[str, tuple[str, float]], **changes: Any) -> Any:
    """The variables of a run of these scripts, each with its weight."""
    entries = []
    for name, (text, weight) in scripts.items():
        (folder / f"{name}.py").write_text(text)
        entries.append({"script": str(folder / f"{name}.py"), "weight": weight})
    own = {f"stampede_{name}": value for name, value in changes.items()}
    return variables | {"stampede_scripts": entries, "stampede_thresholds": []} | own


def sentence_about(of_run: dict[str, Any], folder: Path) -> str:
    """Why a run is refused."""
    with pytest.raises(BadInput) as refused:
        try_script(of_run, HOME / "templates", folder)
    (sentence,) = refused.value.sentences
    return sentence.replace(str(folder), "FOLDER")


@pytest.mark.parametrize(
    ("scripts", "changes", "needed"),
    [
        ({"a": (SHORT, 1), "b": (LONG, 1)}, {"rate": "", "duration": 0, "stages": STAGES}, 124),
        ({"a": (SHORT, 99), "b": (LONG + "    await holder.wait(240)\n", 1)}, {"rate": "5/s"}, 22),
    ],
    ids=["weights of a stage", "rare and long"],
)
def test_all_scripts_count_by_their_weights_and_what_is_asked_for_suffices(
    variables: dict[str, Any], tmp_path: Path, scripts: dict[str, tuple[str, float]], changes: Any, needed: int
) -> None:
    of_run = run_of(variables, tmp_path, scripts, **OPEN | changes, holders=15)
    assert f"; it must be at least {needed}, or arrivals are dropped" in sentence_about(of_run, tmp_path)
    enough = of_run | {"stampede_holders": needed}
    try_script(enough, HOME / "templates", tmp_path)
    assert "dropped" not in forecast(enough, tmp_path)


def test_rounds_of_a_long_and_a_short_script_need_no_more_than_they_take(
    variables: dict[str, Any], tmp_path: Path
) -> None:
    """Who is through sooner begins more rounds, so that the mean over holders is not that over rounds."""
    of_run = run_of(variables, tmp_path, {"a": (ROUND, 1), "b": (LONG_ROUND, 1)}, **ROUNDS, holders=2)
    asked = re.search(r"it must be at least (\d+), or rounds are dropped", sentence_about(of_run, tmp_path))
    assert asked and int(asked[1]) < 20
    try_script(of_run | {"stampede_holders": 20}, HOME / "templates", tmp_path)
    assert "dropped" not in forecast(of_run | {"stampede_holders": 20}, tmp_path)


@pytest.mark.parametrize(
    ("scripts", "changes", "why"),
    [
        (
            {"a": (THREE_ROUNDS, 1)},
            {},
            "stampede_load_model is rounds, but holders of FOLDER/a.py are through with the script before the run is "
            "over, so that a dry run of this load drops 490 of its rounds; its loop of until_end_of_run() must go on "
            "until that ends",
        ),
        (
            {"a": (ROUND, 1), "b": (SHORT, 1)},
            {},
            "stampede_load_model is rounds, but no holder of FOLDER/b.py begins a round; it must have 'async for _ "
            "in holder.until_end_of_run()' and come to it, for a round is what that loop does",
        ),
        (
            {"a": (SLOW_TO_COME, 1)},
            {},
            "stampede_holders is 30 and stampede_ramp_up is 10 s, but a dry run of this load drops 41 of its rounds, "
            "for which no holder is free; one of the two must be more",
        ),
    ],
    ids=["a loop that ends", "one of two has no loop", "a ramp-up that is too short"],
)
def test_rounds_that_find_nobody_are_told_with_their_cause(
    variables: dict[str, Any], tmp_path: Path, scripts: dict[str, tuple[str, float]], changes: Any, why: str
) -> None:
    of_run = run_of(variables, tmp_path, scripts, **ROUNDS | changes, holders=30)
    assert sentence_about(of_run, tmp_path) == why


def test_arrivals_that_find_no_room_are_counted(variables: dict[str, Any], tmp_path: Path) -> None:
    """Where the sample of visits shows nothing of it: only a later holder stays for long."""
    late = SHORT + "    if holder.number > 60:\n        await holder.wait(200)\n"
    of_run = run_of(variables, tmp_path, {"a": (late, 1)}, **OPEN, holders=20)
    assert sentence_about(of_run, tmp_path) == (
        "stampede_holders is 20, but a dry run of this load drops 1,079 of its arrivals, for which as many holders "
        "are there already; it must be more"
    )
