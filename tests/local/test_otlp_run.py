"""A run with real agents is in a collector as it is in the report; and one whose collector is away is fine."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from local_playbook import Playbook
from otlp_receiver import Trouble, attributes, receiving

SHORT = {"holders": 2, "iterations": 1, "wait_min": 0.1, "wait_max": 0.3, "presentations_max": 2}
TOKEN = "hush-hush-token"


def said(playbook: Playbook) -> Any:
    return json.loads((playbook.results / "local/push-otlp.json").read_text())


def holds(folder: Path, text: str) -> list[Path]:
    """The files in which a text is."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [
        file
        for file in files
        if text.encode() in (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes())
    ]


def test_a_run_in_the_collector_equals_the_report(playbook: Playbook) -> None:
    with receiving() as receiver:
        code, output = playbook.run(
            **SHORT,
            otlp_url=receiver.url,
            otlp_headers={"Authorization": "Bearer ${secret:otlp_token}"},
            secrets={"otlp_token": TOKEN},
        )
    assert code == 0, output
    assert said(playbook)["complete"], said(playbook)
    assert "does not have" not in output
    steps = playbook.summary()["steps"]
    assert receiver.counts("stampede.step.name", "stampede.step.outcome") == {
        (name, outcome): step[outcome]
        for name, step in steps.items()
        for outcome in ("ok", "failed", "interrupted")
        if step[outcome]
    }
    for kind in ("service_time", "response_time"):
        points = receiver.metrics()[f"stampede.step.{kind}"].histogram.data_points
        named: dict[str, list[Any]] = {}
        for point in points:
            named.setdefault(attributes(point)["stampede.step.name"], []).append(point)
        assert named.keys() == steps.keys()
        for name, step in steps.items():
            of_step = named[name]
            count, total = sum(point.count for point in of_step), sum(point.sum for point in of_step)
            assert count == step["ok"] and total / count == pytest.approx(step[kind]["mean"], rel=1e-6)
            assert max(point.max for point in of_step) == pytest.approx(step[kind]["max"], rel=1e-6)
    sent = {name for number in range(len(receiver.requests)) for name in receiver.metrics(number)}
    assert sent >= {
        "stampede.holder.active",
        "system.cpu.utilization",
        "process.memory.usage",
        "stampede.schedule.lag",
    }
    (resource,) = receiver.requests[-1].resource_metrics
    assert attributes(resource.resource)["stampede.run.id"] == playbook.run_id
    assert {headers["authorization"] for headers in receiver.headers} == {f"Bearer {TOKEN}"}
    assert TOKEN not in output
    assert holds(playbook.results, TOKEN) == holds(playbook.run_dir, TOKEN) == []
    assert playbook.left_running() == []


def test_a_run_without_its_collector_is_fine_and_says_so(playbook: Playbook) -> None:
    with receiving() as receiver:
        receiver.stop()
        code, output = playbook.run(**SHORT, otlp_url=receiver.url, influxdb_flush="0.5s")
        receiver.start()
    assert code == 0, output
    assert "[WARNING]" in output and "cannot be reached: Connection refused" in output
    assert "Passed: no step failed" in output
    assert "The OpenTelemetry collector does not have all metrics of local" in output
    assert not said(playbook)["complete"] and said(playbook)["points"] == 0
    assert playbook.left_running() == []


def test_a_run_is_refused_when_its_collector_lets_nobody_in(playbook: Playbook) -> None:
    with receiving() as receiver:
        receiver.troubles = [Trouble(401)]
        code, output = playbook.run(**SHORT, otlp_url=receiver.url)
    assert code != 0
    assert "stampede_otlp_url cannot be used: the OpenTelemetry collector at" in output and "answered 401" in output
    assert not playbook.run_dir.exists()
