"""Two scripts by weight on three hosts with real agents, with rows, setup, groups, checks and measures.

Every row is used once, sums over the fleet are exact, and thresholds are merged, live and at the end.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from stampede.analysis.collected_run import read_run
from stampede.schema.settings.script_settings import script_of

from .fleet import Fleet
from .playbooks import Playing
from .watching import looks, watch

GUESTS = """
async def script(holder):
    holder.measure("row", int(holder.data["row"]))
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    async for _ in holder.until_end_of_run():
        with holder.group("door"):
            await holder.present_proof("verifier")
"""
MEMBERS = """
async def setup(run):
    return {"token": "tok-" + "0123456789", "holders": run.holders}


async def script(holder):
    row = int(holder.data["row"])
    holder.measure("row", row)
    holder.check("shared", holder.shared["token"].startswith("tok-") and holder.shared["holders"] == 16)
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    async for turn in holder.until_end_of_run():
        with holder.group("desk"):
            await holder.present_proof("verifier")
        holder.check("odd", turn % 2)
        holder.measure("amount", row * 1000 + turn)
        await holder.wait(1, 2)


async def teardown(run):
    assert run.shared["holders"] == 16
"""
WEIGHTS = {"members": 3, "guests": 1}
HOLDERS = 16
ROUNDS = 6
LIVE = "measure amount mean < 3000"
THRESHOLDS = {
    "check shared passed >= 100 %": True,
    "check odd passed > 49 %": True,
    LIVE: False,
    "measure row max <= 15": True,
    "errors of members = 0": True,
    "errors in desk = 0": True,
    "present_proof max of guests in door < 60 s": True,
}


def live_value(seen: dict[str, Any]) -> float | None:
    """That of the threshold; None as long as there is none."""
    return next((state["value"] for state in seen["thresholds"] if state["text"] == LIVE), None)


def test_each_script_and_each_row_has_its_share(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "row,password\n" + "".join(f"{row},pass-word-{row}\n" for row in range(HOLDERS))
    )
    entries = []
    for name, script in (("members", MEMBERS), ("guests", GUESTS)):
        (tmp_path / f"{name}.py").write_text(script)
        own = {"stampede_on_failure": "stop"} if name == "guests" else {}
        entries.append({"script": str(tmp_path / f"{name}.py"), "weight": WEIGHTS[name], "settings": own})
    settings = {
        "scripts": entries,
        "results_dir": str(tmp_path),
        "data": {"file": str(tmp_path / "rows.csv"), "use": "once", "secret": ["password"]},
        "holders": HOLDERS,
        "iterations": ROUNDS,
        "ramp_up": "5s",
        "thresholds": list(THRESHOLDS),
    }
    with Playing(fleet, "run-test", run_id="rows", **services, **settings) as playing:
        while watch(fleet.inventory, "--run", "rows", "--json", "--once").returncode:
            assert not playing.ended, playing.output
            time.sleep(2)
        seen = looks(fleet, "--run", "rows", until=live_value)
        done = playing.end()
    assert 0 < (live_value(seen) or 0) < 16_000
    assert done.code == 2 and f"{LIVE.removesuffix(' < 3000')} was " in done.output
    assert f"{LIVE.removesuffix(' < 3000')} is " in done.output, "it was told while the run went on"

    run = read_run(tmp_path / "rows")
    summary, steps, journal = run.summary, run.journal.steps, run.journal
    assert len(summary.hosts) == 3 and not summary.losses and not summary.teardown
    assert [verdict.passed for verdict in summary.thresholds] == list(THRESHOLDS.values())

    of_scripts = {
        name: [holder for holder in range(HOLDERS) if script_of(holder, tuple(WEIGHTS.values())) == number]
        for number, name in enumerate(WEIGHTS)
    }
    members, guests = of_scripts["members"], of_scripts["guests"]
    assert (len(members), len(guests)) == (12, 4)
    assert {name: script.holders for name, script in summary.scripts.items()} == {"members": 12, "guests": 4}
    taken = dict(zip(steps.holder, steps.script, strict=True))
    assert {holder: journal.scripts.list[script] for holder, script in taken.items()} == {
        holder: name for name, holders in of_scripts.items() for holder in holders
    }
    counts = {name: group["present_proof"].ok for name, group in summary.groups.items()}
    assert counts == {"desk": 12 * ROUNDS, "door": 4 * ROUNDS}
    of_hosts = [len(set(np.asarray(steps.holder)[np.asarray(steps.host) == host])) for host in range(3)]
    assert sum(of_hosts) == HOLDERS, "no holder is on two hosts"

    names = journal.measure_names
    rows = np.asarray(journal.measures.value)[np.asarray(journal.measures.name) == names.number("row")]
    assert Counter(rows.tolist()) == dict.fromkeys(range(HOLDERS), 1)
    checks, amount = summary.checks, summary.measures["amount"]
    assert (checks["shared"].passed, checks["shared"].failed) == (12, 0)
    assert (checks["odd"].passed, checks["odd"].failed) == (12 * ROUNDS // 2, 12 * ROUNDS // 2)
    right = [row * 1000 + turn for row in members for turn in range(1, ROUNDS + 1)]
    assert (amount.count, amount.sum, amount.min, amount.max) == (len(right), sum(right), min(right), max(right))
    assert amount.p95 == np.percentile(right, 95)

    for file in (tmp_path / "rows").rglob("*.py"):
        assert "pass-word-" not in file.read_text() and "tok-0123" not in file.read_text()
    for name in ("load-1", "load-2", "load-3"):
        left = fleet.ssh(fleet[name], "sudo grep -rlE 'pass-word-|tok-0123' /var/lib/stampede /tmp || true")
        assert not left.stdout.strip(), left.stdout
