"""A run whose playbook is killed goes on to its end by itself, leaves nothing that runs, and can be collected."""

from __future__ import annotations

import json
from pathlib import Path

from .fleet import Fleet
from .playbooks import Playing, play
from .test_secrets import until

RUN = "alone-1"


def test_a_run_whose_playbook_was_killed_ends_by_itself(fleet: Fleet, tmp_path: Path) -> None:
    host, results = fleet["load-1"], tmp_path / "results"
    state = host.root / "var/lib/stampede/runs" / RUN / "state.json"

    def phase() -> str:
        return json.loads(state.read_text())["phase"] if state.exists() else ""

    settings = {"run_id": RUN, "results_dir": str(results), "holders": 2, "duration": "20s"}
    with Playing(fleet, "run-test", "--limit", "load-1", **settings) as playbook:
        until(lambda: playbook.ended or phase() == "running", 600)
        assert not playbook.ended, playbook.end().output
    until(lambda: phase() == "done", 120)
    until(lambda: fleet.ssh(host, f"systemctl is-active stampede-run@{RUN}").stdout.strip() == "inactive", 30)
    assert not fleet.ssh(host, "pgrep -u stampede -a").stdout
    assert not fleet.ssh(host, "ls -A /dev/shm").stdout
    collected = play(fleet, "collect", "--limit", "load-1", run_id=RUN, results_dir=str(results))
    assert collected.code == 0 and (results / RUN / "report.html").exists(), collected.output
