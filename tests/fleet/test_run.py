"""``run-test.yml`` on real hosts: every host its share, one start for all, one report."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

from .fleet import Fleet
from .playbooks import left_running, play

LOAD_HOSTS = ("load-1", "load-2", "load-3")
HOLDERS = 8


def test_three_hosts_make_one_run_and_one_report(fleet: Fleet, tmp_path: Path) -> None:
    played = play(fleet, "run-test", run_id="r1", results_dir=str(tmp_path), holders=HOLDERS)
    assert played.code == 0, played.output
    results = tmp_path / "r1"
    summary = json.loads((results / "summary.json").read_text())
    assert sorted(summary["hosts"]) == sorted(LOAD_HOSTS)
    assert sum(step["ok"] for step in summary["steps"].values()) > HOLDERS * 8
    assert not any(step["failed"] or step["interrupted"] for step in summary["steps"].values()), played.output

    journals = {host: unpacked(results / host / "journal.lp.gz").decode() for host in LOAD_HOSTS}
    holders = {host: set(map(int, re.findall(r" holder=(\d+)i", text))) for host, text in journals.items()}
    assert sorted(number for numbers in holders.values() for number in numbers) == list(range(HOLDERS))
    assert sorted(map(len, holders.values())) == [2, 3, 3]

    started = [re.search(r'text="running".* (\d+)$', text, re.MULTILINE) for text in journals.values()]
    moments = [int(match[1]) for match in started if match]
    skew = (max(moments) - min(moments)) / 1e9
    print(f"a run on three hosts: {played.seconds:.0f} s, start skew {skew * 1000:.1f} ms")
    assert len(moments) == 3 and skew < 0.2

    assert (results / "services").is_dir() and (results / "load-1/logs/journald.log.gz").exists()
    assert left_running(fleet) == []


def unpacked(file: Path) -> bytes:
    """What a file of the results holds."""
    content = file.read_bytes()
    return gzip.decompress(content) if file.suffix == ".gz" else content
