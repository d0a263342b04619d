"""Garbage collections of a run: short, and none of what was there before."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from controller.load.gc_tuning import keep_pauses_short


@pytest.fixture(autouse=True)
def garbage_collection_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


class Knot:
    """An object that only a garbage collection frees."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_there_before_is_not_visited_again() -> None:
    before = Knot()
    keep_pauses_short()
    assert not any(thing is before for generation in range(3) for thing in gc.get_objects(generation))


def test_cycles_made_during_the_run_are_still_freed() -> None:
    keep_pauses_short()
    freed: list[bool] = []
    weakref.finalize(Knot(), freed.append, True)
    kept = [[] for _ in range(100_000)]
    assert freed, f"not freed while {len(kept)} objects were made"
