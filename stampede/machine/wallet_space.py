"""Where the files of wallets are stored, and whether there is space for them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from stampede.schema import plain_numbers

TMPFS = Path("/dev/shm")  # noqa: S108  private folders are created in it


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes that a kind of wallet storage comes to take (benchmarks/memory_per_holder.py)."""

    agent: int
    """What the two stores of an agent take before they hold a wallet."""
    holder: int
    """What a wallet with two connections and a credential takes."""
    logs_per_holder: int = 0
    most_logs: int = 0
    """What SQLite's write-ahead logs take in addition: per holder, and at most per agent, which has two."""

    def needed(self, agents: int, holders: int) -> int:
        """What so many holders in so many agents take."""
        logs = min(holders * self.logs_per_holder, agents * self.most_logs)
        return agents * self.agent + holders * self.holder + logs


SPACE = {
    "memory": Space(agent=100_000, holder=100_000),
    "sqlite": Space(agent=300_000, holder=50_000, logs_per_holder=2_000_000, most_logs=8_000_000),
}
"""By ``stampede_wallet_storage``. Of wallets in PostgreSQL there are no files."""


def lacking_space(storage: str, folder: Path, agents: int, holders: int) -> str:
    """A sentence when ``folder`` has less space than the wallets of so many holders come to take; else ''."""
    if storage not in SPACE:
        return ""
    needed, free = SPACE[storage].needed(agents, holders), shutil.disk_usage(folder).free
    if free >= needed:
        return ""
    advice = (
        f"enlarge it (mount -o remount,size={2 * needed // 10**6 + 1}M {folder}; docker run --shm-size), "
        if folder == TMPFS
        else ""
    )
    return (
        f"{folder} has {free / 1e6:.1f} MB left, but the wallets of {plain_numbers.number(holders, 'holder')} in "
        f"{plain_numbers.number(agents, 'agent')} take about {needed / 1e6:.1f} MB; {advice}"
        "use fewer holders or more load hosts, or set stampede_wallet_storage to postgresql"
    )
