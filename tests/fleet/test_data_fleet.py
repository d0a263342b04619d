"""Rows, setup, checks and measures on three hosts with real agents: every row once, sums exact, thresholds merged."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from stampede.analysis.collected_run import read_run

from .fleet import Fleet
from .playbooks import Playing
from .watching import watch

SCRIPT = """
async def setup(run):
    return {"token": "tok-" + "0123456789", "holders": run.holders}


async def script(holder):
    row = int(holder.data["row"])
    holder.measure("row", row)
    holder.check("shared", holder.shared["token"].startswith("tok-") and holder.shared["holders"] == 9)
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    async for turn in holder.until_end_of_run():
        await holder.present_proof("verifier")
        holder.check("odd", turn % 2)
        holder.measure("amount", row * 1000 + turn)
        await holder.wait(1, 2)


async def teardown(run):
    assert run.shared["holders"] == 9
"""
ROUNDS = 8


def test_every_row_is_used_once_and_sums_are_exact(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("row,password\n" + "".join(f"{row},pass-word-{row}\n" for row in range(9)))
    script = tmp_path / "rows.py"
    script.write_text(SCRIPT)
    live = "measure amount mean < 3000"
    settings = {
        "script": str(script),
        "results_dir": str(tmp_path),
        "data": {"file": str(tmp_path / "rows.csv"), "use": "once", "secret": ["password"]},
        "holders": 9,
        "iterations": ROUNDS,
        "ramp_up": 0,
        "thresholds": ["check shared passed >= 100 %", "check odd passed > 49 %", live, "measure row max <= 8"],
    }
    values = []
    with Playing(fleet, "run-test", run_id="rows", **services, **settings) as playing:
        while not playing.ended:
            seen = watch(fleet.inventory, "--run", "rows", "--json", "--once")
            if seen.returncode == 0:
                states = json.loads(seen.stdout)["thresholds"]
                values += [each["value"] for each in states if each["text"] == live and each["value"]]
            time.sleep(2)
        done = playing.end()
    assert done.code == 2 and f"{live.removesuffix(' < 3000')} was 4,00" in done.output
    assert f"{live.removesuffix(' < 3000')} is " in done.output, "it was told while the run went on"
    assert values and all(0 < value < 9000 for value in values)

    run = read_run(tmp_path / "rows")
    assert len(run.summary.hosts) == 3 and not run.summary.losses and not run.summary.teardown
    names, journal = run.journal.measure_names, run.journal
    rows = np.asarray(journal.measures.value)[np.asarray(journal.measures.name) == names.number("row")]
    assert Counter(rows.tolist()) == dict.fromkeys(range(9), 1)
    checks, amount = run.summary.checks, run.summary.measures["amount"]
    assert (checks["shared"].passed, checks["shared"].failed) == (9, 0)
    assert (checks["odd"].passed, checks["odd"].failed) == (9 * ROUNDS // 2, 9 * ROUNDS // 2)
    right = [row * 1000 + turn for row in range(9) for turn in range(1, ROUNDS + 1)]
    assert (amount.count, amount.sum, amount.min, amount.max) == (len(right), sum(right), min(right), max(right))
    assert amount.p95 == np.percentile(right, 95)
    assert [verdict.passed for verdict in run.summary.thresholds] == [True, True, False, True]
    for file in (tmp_path / "rows").rglob("*.py"):
        assert "pass-word-" not in file.read_text() and "tok-0123" not in file.read_text()
    for name in ("load-1", "load-2", "load-3"):
        left = fleet.ssh(fleet[name], "sudo grep -rlE 'pass-word-|tok-0123' /var/lib/stampede /tmp || true")
        assert not left.stdout.strip(), left.stdout
