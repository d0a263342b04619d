"""A script that holders come to the end of, in a load that is about those who stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stampede.machine.home import HOME
from stampede.prepare.trial import try_script
from stampede.schema.errors import BadInput

ONCE = "async def script(holder):\n    await holder.connect('issuer')\n    await holder.wait(5)\n"
LOOP = ONCE + "    async for _ in holder.until_end_of_run():\n        await holder.ping('issuer')\n"
OWN_LOOP = ONCE + "    while True:\n        await holder.ping('issuer')\n"
LEAVES = LOOP + "        break\n"
LASTS = {"stampede_duration": "5m", "stampede_ramp_up": "4s", "stampede_holders": 4, "stampede_thresholds": []}
STAGES = {"stampede_duration": 0, "stampede_stages": [{"holders": 4, "for": "5m"}]}
FLAT_OUT = {"stampede_load_model": "flat_out"}


@pytest.fixture
def once(variables: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The variables of a run of five minutes, whose script has no loop."""
    (tmp_path / "own.py").write_text(ONCE)
    return variables | LASTS | {"stampede_script": str(tmp_path / "own.py")}


@pytest.mark.parametrize("text", [ONCE, LEAVES])
@pytest.mark.parametrize("changes", [{}, STAGES])
def test_flat_out_is_for_those_who_stay(
    once: dict[str, Any], tmp_path: Path, text: str, changes: dict[str, Any]
) -> None:
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(BadInput) as refused:
        try_script(once | FLAT_OUT | changes, HOME / "templates", tmp_path)
    (sentence,) = refused.value.sentences
    assert sentence.startswith(
        f"stampede_load_model is flat_out and is to last 300 s, but a holder is through with {tmp_path}/own.py after "
    )
    assert sentence.endswith("; it must go round in 'async for _ in holder.until_end_of_run()' until then")


def test_a_closed_load_that_ends_with_its_script_is_noticed(once: dict[str, Any], tmp_path: Path) -> None:
    (notice,) = try_script(once, HOME / "templates", tmp_path)
    assert notice.startswith(f"The run is to last 300 s, but a holder is through with {tmp_path}/own.py after about ")
    assert notice.endswith(
        " s and leaves; it would go round until then in 'async for _ in holder.until_end_of_run()'."
    )


@pytest.mark.parametrize("text", [LOOP, OWN_LOOP])
def test_a_script_that_goes_round_is_no_matter(once: dict[str, Any], tmp_path: Path, text: str) -> None:
    (tmp_path / "own.py").write_text(text)
    assert try_script(once, HOME / "templates", tmp_path) == []
    assert try_script(once | FLAT_OUT, HOME / "templates", tmp_path) == []


def test_without_a_duration_holders_may_go_through_once(once: dict[str, Any], tmp_path: Path) -> None:
    assert try_script(once | FLAT_OUT | {"stampede_duration": 0}, HOME / "templates", tmp_path) == []


def test_the_one_of_several_scripts_is_named(once: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(LOOP)
    scripts = [{"script": str(tmp_path / "loop.py")}, {"script": str(tmp_path / "own.py")}]
    two = once | FLAT_OUT | {"stampede_script": "issue_present_revoke", "stampede_scripts": scripts}
    with pytest.raises(BadInput, match=f"a holder is through with {tmp_path}/own.py after about"):
        try_script(two, HOME / "templates", tmp_path)
