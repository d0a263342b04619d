"""Keeps Python's garbage collections short, so that no holder wakes late because of one."""

from __future__ import annotations

import gc


def keep_pauses_short() -> None:
    """To be called once everything is there that lives as long as the run.

    A full collection visits all objects of all holders: with 10,000 holders the event loop stood still for
    half a second. What is there now is never visited again; new objects are collected in small lots, and
    all of them only after 50 million more have come than gone.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000, 5, 10_000)
