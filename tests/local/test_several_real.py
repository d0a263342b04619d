"""Three shipped scripts at once, in proportion, with settings of their own, on real agents."""

from __future__ import annotations

import csv
import gzip
from collections import Counter

from local_playbook import Playbook


def test_three_scripts_in_one_run(playbook: Playbook) -> None:
    code, output = playbook.run(
        scripts=[
            {"script": "issue_present_revoke", "name": "members"},
            {"script": "mediator_soak", "settings": {"stampede_wait_min": 1, "stampede_wait_max": 2}},
            {"script": "mediator_rush"},
        ],
        holders=6,
        iterations=1,
        wait_min=0,
        wait_max=1,
        presentations_max=1,
        mediator_pickup="websocket",
        thresholds=["errors of members = 0", "ping p95 of mediator_soak < 30 s", "errors = 0"],
    )
    assert code == 0, output
    summary = playbook.summary()
    scripts = summary["scripts"]
    assert {name: script["holders"] for name, script in scripts.items()} == {
        "members": 2,
        "mediator_soak": 2,
        "mediator_rush": 2,
    }
    assert scripts["members"]["steps"]["present_proof"]["ok"] == 2
    assert "present_proof" not in scripts["mediator_soak"]["steps"]
    assert scripts["mediator_soak"]["steps"]["ping"]["ok"] >= 1
    rush = {name: step["ok"] for name, step in scripts["mediator_rush"]["steps"].items()}
    assert rush == {"connect_to_mediator": 2, "disconnect": 2, "reconnect": 2}
    assert all(verdict["passed"] for verdict in summary["thresholds"])
    assert "Script members, 2 holders:" in output
    with gzip.open(playbook.results / "steps.csv.gz", "rt") as file:
        rows = Counter(row["script"] for row in csv.DictReader(file))
    assert rows["members"] and rows["mediator_soak"] and rows["mediator_rush"] and len(rows) == 3
