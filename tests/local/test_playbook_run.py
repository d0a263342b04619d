"""Runs through the playbooks: with services of their own, interrupted, broken off, stopped, and failing."""

import gzip
import hashlib
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

from ansible_playbook import REPOSITORY
from local_playbook import wait_for
from page_client import WatchedPage

from controller.agents.pool import TMPFS
from stampede.machine.ports import free_ports

SECRET = "s3cret-w0rd"
LONG = {"holders": 3, "duration": "5m", "wait_min": 0.2, "wait_max": 0.6}


def errors(output: str) -> list[str]:
    return re.findall(r"^\[ERROR\] local: (.*)$", output, re.MULTILINE)


def content(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def test_a_run_with_its_own_reference_services_comes_home_whole(playbook: Any) -> None:
    port = free_ports()
    url, secret = f"https://localhost:{port}", {"Authorization": "Bearer ${secret:token}"}
    ids = {"rev_reg_id": "${rev_reg_id}", "cred_rev_id": "${cred_rev_id}"}
    code, output = playbook.run(
        holders=3,
        agents=2,
        iterations=1,
        reference_services=True,
        reference_port=port,
        # As inventory/local has them, and with a secret that the services do not ask for.
        ca_file="{{ reference_services_ca_file | default('') }}",
        mediator_did=f"did:web:localhost%3A{port}:mediator",
        services={
            "issuer": {
                "invitation": {"url": f"{url}/issuer/invitation", "headers": secret},
                "revocation": {"url": f"{url}/issuer/revocation", "body": ids},
            },
            "verifier": {"invitation": {"url": f"{url}/verifier/invitation", "headers": secret}},
        },
        secrets={"token": SECRET},
    )
    assert code == 0, output
    assert playbook.left_running() == []
    assert "Passed: no step failed" in output and errors(output) == []
    assert f"Report: {playbook.results}/report.html" in output

    host = playbook.results / "local"
    for file in ("state.json", "host.json", "controller_script.py", "logs/controller.log.gz", "logs/agent-0.log.gz"):
        assert (host / file).is_file(), file
    for name in ("issuer", "verifier", "mediator", "gateway"):
        assert (playbook.results / "services/logs" / f"{name}.log.gz").is_file(), name
    for line in (host / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((host / name).read_bytes()).hexdigest() == digest
    record = json.loads((playbook.results / "run.json").read_text())
    assert record["settings"]["stampede_holders"] == 3 and record["started"] < record["ended"]
    steps = playbook.summary()["steps"]
    assert steps["connect_to_mediator"]["ok"] == 3 and steps["receive_credential"]["ok"] == 6

    assert SECRET not in output and not (playbook.run_dir / "secrets.json").exists()
    for folder in (playbook.results, playbook.run_dir):
        for file in folder.rglob("*"):
            assert not file.is_file() or SECRET.encode() not in content(file), file

    (playbook.results / "summary.json").unlink()
    code, output = playbook.play("report", "-e", f"stampede_run_dir={playbook.results}")
    assert code == 0, output
    assert playbook.summary()["steps"] == steps


def test_a_run_whose_playbook_was_killed_ends_and_can_be_collected(playbook: Any) -> None:
    playbook.start(**LONG)
    playbook.wait_for_steps(5)
    os.killpg(playbook.process.pid, signal.SIGKILL)
    playbook.process.communicate(timeout=30)
    assert playbook.left_running() == []

    code, output = playbook.play("collect")
    assert code == 0, output
    assert f"Report: {playbook.results}/report.html" in output
    assert len(playbook.journal()) > 5


def test_what_is_left_when_all_of_a_run_is_killed_is_removed_when_it_is_collected(playbook: Any) -> None:
    services = REPOSITORY / ".stampede/services" / f"left-by-{playbook.run_id}"
    services.mkdir(parents=True)
    os.utime(services, (time.time() - 60, time.time() - 60))
    playbook.start(**LONG)
    playbook.wait_for_steps(5)
    pid = playbook.state()["pid"]
    wallets = f"stampede-{pid}-*"
    assert list(TMPFS.glob(wallets))  # from when it is killed, another test's run may remove them, too
    os.killpg(playbook.process.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    playbook.process.communicate(timeout=30)
    assert playbook.left_running() == []

    code, output = playbook.play("collect")
    assert code == 0, output
    assert len(playbook.journal()) > 5 and not list(TMPFS.glob(wallets)) and not services.exists()


def test_a_folder_that_is_another_s_when_it_shall_be_made_ends_the_run_and_stays_as_it_is(playbook: Any) -> None:
    """As when two playbooks are started at once: a link to nothing is no run yet to the checks."""
    playbook.run_dir.parent.mkdir()
    playbook.run_dir.symlink_to("nowhere")
    code, output = playbook.run(holders=1, iterations=1)
    assert code == 2
    (error,) = errors(output)
    assert error.startswith(f"stampede_run_id is {playbook.run_id!r}, but local has {playbook.run_dir} already;")
    assert list(playbook.run_dir.parent.iterdir()) == [playbook.run_dir] and not playbook.results.exists()
    assert playbook.left_running() == []


def test_a_controller_that_dies_is_named_once_and_nothing_measured_is_lost(playbook: Any) -> None:
    playbook.start(**LONG)
    playbook.wait_for_steps(30)
    pid = playbook.state()["pid"]
    os.kill(pid, signal.SIGKILL)
    written = (playbook.run_dir / "journal.lp").read_bytes().splitlines()
    code, output = playbook.end()
    assert code == 2
    (error,) = errors(output)
    assert f"The controller on local (pid {pid}) died while running" in error
    assert (playbook.results / "report.html").is_file()
    steps = playbook.summary()["steps"].values()
    recorded = sum(step["ok"] + step["failed"] + step["interrupted"] for step in steps)
    assert recorded == sum(line.startswith(b"step,") for line in written) > 30
    assert playbook.left_running() == []


def test_a_run_can_be_stopped_and_still_reports(playbook: Any) -> None:
    playbook.start(**LONG)
    playbook.wait_for_steps(5)
    code, output = playbook.play("collect")
    assert code and "is still active on local" in errors(output)[0]
    code, output = playbook.play("stop")
    assert code == 0, output
    code, output = playbook.end()
    assert code == 0, output
    assert "stopped before the end of the run" in output
    assert json.loads((playbook.results / "local/state.json").read_text())["phase"] == "stopped"
    assert playbook.left_running() == []


def follow_and_stop(playbook: Any, page: WatchedPage) -> None:
    def rates() -> list[float]:
        return [rate for step in page.data()["charts"]["steps"] for rate in step["ok"] if rate]

    wait_for(rates, 60)
    data = page.data()
    assert re.fullmatch(r"Running, stage 1 of 2, [1-4]:\d\d left", data["headline"])
    assert [row[0] for row in data["steps"]] == [step["name"] for step in data["charts"]["steps"]]
    assert data["hosts"][0][0] == "local" and data["thresholds"][0][1] == "met"
    command = Path(f"/proc/{page.command.pid}/cmdline").read_text()
    assert page.url.split("=")[1] not in command

    assert data["next_stage"] == 2
    assert re.fullmatch(r"Stage 2 begins at ..:..:.. UTC\.", page.ask("next-stage"))
    assert page.ask("next-stage") == "There is no next stage that could begin now."
    wait_for(lambda: page.data()["headline"].startswith("Running, stage 2 of 2, 0:"), 20)
    assert page.data()["next_stage"] is None
    assert page.ask("next-stage") == "There is no next stage that could begin now."
    wait_for(lambda: playbook.state()["holders"]["active"] == 4, 20)

    assert page.ask("stop") == "All load hosts were asked to end the run."
    code, output = playbook.end()
    assert code == 0, output
    assert "stopped before the end of the run" in output
    began, stopped = [
        event for event in playbook.journal("event") if event["kind"] in ("next_stage", "stop_requested")
    ]
    assert stopped["text"] == "the run was asked to stop: stopped from the page"
    assert began["text"] == "stage 2 of 2 began before its time"
    assert [event["kind"] for event in playbook.summary()["events"]].count("next_stage") == 1
    wait_for(lambda: page.data()["over"], 20)
    data, steps = page.data(), playbook.summary()["steps"]
    assert data["headline"] == "Stopped before its time"
    # What the page counted is what the records say, to the last step.
    shown = {row[0]: (row[1], row[2][0]) for row in data["steps"]}
    assert shown == {name: (f"{step['ok']:,}", f"{step['failed']:,}") for name, step in steps.items()}
    assert "Stopped before its time. The page stays for an hour, or until Ctrl-C." in page.end()


def test_a_run_is_followed_and_stopped_by_its_page(playbook: Any, tmp_path: Path) -> None:
    here = tmp_path / "here.yml"
    here.write_text(f"load_hosts: {{hosts: {{local: {{stampede_work_dir: {playbook.run_dir.parent}}}}}}}\n")
    stages = [{"holders": 2, "for": "4m"}, {"holders": 4, "for": "50s"}]
    playbook.start(**LONG, thresholds=["errors < 1000"], stages=stages)
    playbook.wait_for_steps(5)
    with WatchedPage(["-i", "inventory/local", "-i", str(here), "--run", playbook.run_id], REPOSITORY) as page:
        follow_and_stop(playbook, page)
    assert playbook.left_running() == []


def test_a_run_without_hope_is_ended_when_that_is_asked_for(playbook: Any) -> None:
    thresholds = ["errors < 50 %", "connect_to_mediator max < 1 ms"]
    code, output = playbook.run(**LONG, thresholds=thresholds, abort_on_thresholds=True)
    assert code == 2
    is_, asked = "connect_to_mediator max response_time is ", ", the threshold is < 1 ms"
    assert re.search(rf"^{is_}.*{asked}; crossed since ..:..:.. UTC\.$", output, re.MULTILINE), output
    assert re.search(rf"^The run is stopped because {is_}.*{asked}, and it cannot recover\.$", output, re.MULTILINE)
    (error,) = errors(output)
    assert error.startswith("connect_to_mediator max response_time was ") and f"{asked}; crossed since " in error
    assert json.loads((playbook.results / "local/state.json").read_text())["phase"] == "stopped"
    assert (playbook.results / "report.html").is_file()

    summary = playbook.summary()
    kept, crossed = summary["thresholds"]
    longest = summary["steps"]["connect_to_mediator"]["response_time"]["max"]
    assert kept["passed"] is True and (crossed["passed"], crossed["value"]) == (False, longest)
    assert summary["run"]["outcome"] == "thresholds" and summary["run"]["duration"] < 300
    (event,) = [event for event in playbook.journal("event") if event["kind"] == "stop_requested"]
    assert event["text"].startswith(f"the run was asked to stop: {is_}")
    assert playbook.left_running() == []


def test_failed_steps_and_crossed_thresholds_fail_the_playbook(playbook: Any, tmp_path: Path) -> None:
    script = tmp_path / "failing.py"
    script.write_text(
        "async def script(holder):\n"
        "    await holder.connect('issuer')\n"
        "    await holder.present_proof('verifier')\n"  # without a credential
    )
    thresholds = ["connect p95 < 1 ms", "connect errors = 0", "present_proof p95 < 2 s"]
    code, output = playbook.run(
        script=str(script), iterations=1, holders=1, step_timeout=15, mediator_did="", thresholds=thresholds
    )
    assert code == 2
    crossed, not_judged, failed = errors(output)
    assert re.match(r"connect p95 response_time was .*; crossed since ..:..:.. UTC, .* after the start\.$", crossed)
    assert not_judged.startswith("present_proof p95 response_time could not be judged because ")
    assert re.match(r"\d+ of \d+ steps failed \(.*present_proof", failed), failed
    assert "✓ connect errors were 0, the threshold is = 0." in output
    assert (playbook.results / "report.html").is_file()


def test_agents_that_do_not_start_end_the_run_before_it_began(playbook: Any) -> None:
    code, output = playbook.run(agent_args=["--no-such-argument"])
    assert code == 2
    (error,) = errors(output)
    assert error.startswith("The controller on local failed: ") and "--no-such-argument" in error
    assert (playbook.results / "local/logs/controller.log.gz").is_file()
    assert playbook.left_running() == []
