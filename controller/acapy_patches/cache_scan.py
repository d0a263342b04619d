"""Limits the scans of ACA-Py's in-memory cache for expired entries to one a second."""

from __future__ import annotations

import time
from typing import Any

from controller.acapy_patches.patch import Patch

INTERVAL = 1.0
"""Seconds between two scans; an expired entry may be found for as long."""


def scan_once_a_second() -> None:
    """Wrap the scan, which the cache makes at each access."""
    from acapy_agent.cache.in_memory import InMemoryCache

    scan = InMemoryCache._remove_expired_cache_items
    last: dict[int, float] = {}

    def throttled(self: Any) -> None:
        now = time.monotonic()
        if now - last.get(id(self), 0.0) >= INTERVAL:
            last[id(self)] = now
            scan(self)

    InMemoryCache._remove_expired_cache_items = throttled


CACHE_SCAN = Patch(
    name="cache_scan",
    reason=(
        "The cache copies and scans all its entries at each get and set, so that each access costs more the more "
        "wallets an agent has."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={"acapy_agent.cache.in_memory:InMemoryCache": "5234b801399f9d48"},
    apply=scan_once_a_second,
)
