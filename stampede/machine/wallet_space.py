"""Where SQLite wallets are stored, and whether there is space for them."""

from __future__ import annotations

import shutil
from pathlib import Path

TMPFS = Path("/dev/shm")  # noqa: S108  private folders are created in it
AGENT_BYTES = 300_000
"""What the two stores of an agent take before they hold a wallet."""
HOLDER_BYTES = 50_000
"""What a wallet with two connections and a credential takes (benchmarks/memory_per_holder.py)."""
LOG_BYTES_PER_HOLDER, MOST_LOG_BYTES = 2_000_000, 8_000_000
"""What SQLite's write-ahead logs come to take in addition: per holder, and at most per agent, which has two."""


def lacking_space(folder: Path, agents: int, holders: int) -> str:
    """A sentence when ``folder`` has less space than the wallets of so many holders come to take; else ''."""
    logs = min(holders * LOG_BYTES_PER_HOLDER, agents * MOST_LOG_BYTES)
    needed, free = agents * AGENT_BYTES + holders * HOLDER_BYTES + logs, shutil.disk_usage(folder).free
    if free >= needed:
        return ""
    advice = (
        f"enlarge it (mount -o remount,size={2 * needed // 10**6 + 1}M {folder}; docker run --shm-size), "
        if folder == TMPFS
        else ""
    )
    return (
        f"{folder} has {free / 1e6:.1f} MB left, but the wallets of {holders} holders in {agents} "
        f"agent{'s' if agents > 1 else ''} take about {needed / 1e6:.1f} MB; {advice}"
        "use fewer holders or more load hosts, or set stampede_wallet_storage to postgresql"
    )
