"""Two scripts by weight on three hosts with real agents: the sums over the fleet are exact, live and at the end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from stampede.analysis.collected_run import read_run
from stampede.schema.settings.script_settings import script_of

from .fleet import Fleet
from .playbooks import play

SCRIPT = """
async def script(holder):
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    async for _ in holder.until_end_of_run():
        with holder.group("{group}"):
            await holder.present_proof("verifier")
"""
THRESHOLDS = ["errors of members = 0", "errors in desk = 0", "present_proof max of guests in door < 60 s"]


def test_each_script_has_its_share(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    entries = []
    for name, group, weight in (("members", "desk", 3), ("guests", "door", 1)):
        (tmp_path / f"{name}.py").write_text(SCRIPT.format(group=group))
        settings = {"stampede_on_failure": "stop"} if name == "guests" else {}
        entries.append({"script": str(tmp_path / f"{name}.py"), "weight": weight, "settings": settings})
    chosen = {"scripts": entries, "holders": 16, "iterations": 2, "ramp_up": "5s", "thresholds": THRESHOLDS}
    done = play(fleet, "run-test", run_id="scripts", results_dir=str(tmp_path), **services, **chosen)
    assert done.code == 0, done.output
    run = read_run(tmp_path / "scripts")
    summary, steps = run.summary, run.journal.steps
    assert len(summary.hosts) == 3 and not summary.losses and summary.run.passed
    expected = Counter(("members", "guests")[script_of(holder, (3, 1))] for holder in range(16))
    assert {name: script.holders for name, script in summary.scripts.items()} == expected
    assert expected == {"members": 12, "guests": 4}
    taken = dict(zip(steps.holder, steps.script, strict=True))
    names = run.journal.scripts.list
    assert [names[taken[holder]] for holder in range(16)] == [
        ("members", "guests")[script_of(holder, (3, 1))] for holder in range(16)
    ]
    counts = {name: groups["present_proof"].ok for name, groups in summary.groups.items()}
    assert counts == {"desk": 12 * 2, "door": 4 * 2}
    of_hosts = [len(set(np.asarray(steps.holder)[np.asarray(steps.host) == host])) for host in range(3)]
    assert sum(of_hosts) == 16, "no holder is on two hosts"
    assert all(verdict.passed for verdict in summary.thresholds)
