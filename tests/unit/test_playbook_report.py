"""playbooks/report.yml makes the report of a run again, and compares it with an earlier one when asked to."""

import subprocess
from pathlib import Path

import pytest
import report_samples as samples
from ansible_playbook import ansible_playbook

pytestmark = pytest.mark.slow


def play(*options: str) -> subprocess.CompletedProcess[str]:
    return ansible_playbook("playbooks/report.yml", *options)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    sample = {"holders": 10, "duration": 40, "ramp": 5, "failures": False, "think": (0.5, 1)}
    return [
        samples.write_results(tmp_path / name, samples.Sample(**sample | more))
        for name, more in (("before", {}), ("after", {"seed": 100, "slow": {"load-1": 4, "load-2": 4}}))
    ]


def test_a_report_is_made_and_compared(runs: list[Path]) -> None:
    before, after = runs
    played = play("-e", f"stampede_run_dir={after}", "-e", f"stampede_compare_with={before}")
    assert played.returncode == 0, played.stdout + played.stderr
    for name in ("report.html", "summary.json", "steps.csv.gz", "junit.xml", "compare.html"):
        assert (after / name).is_file(), name
    assert "Passed: no step failed" in played.stdout
    assert "present_proof: slower" in played.stdout
    assert not (before / "report.html").exists()


def test_without_a_run_to_compare_with_there_is_no_comparison(runs: list[Path]) -> None:
    played = play("-e", f"stampede_run_dir={runs[0]}")
    assert played.returncode == 0, played.stdout + played.stderr
    assert (runs[0] / "report.html").is_file()
    assert not (runs[0] / "compare.html").exists()
