"""Data, setup, checks, measures and teardown in one run with real agents, and a portal that knows who asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from local_playbook import Playbook, wait_for
from reference_services import ReferenceServices

PACE = {"wait_min": 0, "wait_max": 0.5}


class Portal(ThreadingHTTPServer):
    """What it was asked, in order: path, Authorization header, body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.asked: list[tuple[str, str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.teardown_fails = False

    def paths(self, path: str) -> list[tuple[str, str, Any]]:
        return [each for each in self.asked if each[0].startswith(path)]


class Asked(BaseHTTPRequestHandler):
    server: Portal

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.path, self.headers.get("Authorization", ""), json.loads(body or b"null")))
        status, answer = 200, {"token": "tok-0123456789", "items": self.path.count("u")}
        if self.path == "/login/u1":  # repeats what it was sent
            status, answer = 403, {"refused": body.decode()}
        if self.path == "/close" and self.server.teardown_fails:
            status = 500
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def portal() -> Iterator[Portal]:
    with Portal() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(portal: Portal, reference: ReferenceServices, tmp_path: Path) -> dict[str, Any]:
    """A run whose services are the reference services and the portal, with a file of rows."""
    (tmp_path / "users.csv").write_text("user,password\n" + "".join(f"u{n},pass-word-{n}\n" for n in range(4)))
    asked = {
        "open": {"url": f"{portal.url}/open", "body": {"holders": "${given:holders}"}, "method": "POST"},
        "login": {
            "url": f"{portal.url}/login/${{data:user}}",
            "headers": {"Authorization": "Bearer ${given:token}"},
            "body": {"password": "${data:password}"},
            "example": {"items": 1},
        },
        "close": {"url": f"{portal.url}/close", "body": {"token": "${given:token}"}},
    }
    return PACE | {
        "services": reference.variables()["services"] | {"portal": {"requests": asked}},
        "data": {"file": str(tmp_path / "users.csv"), "secret": ["password"]},
        "holders": 3,
        "iterations": 2,
        "on_failure": "continue",
    }


SCRIPT = """
async def setup(run):
    opened = await run.request("portal.open", holders=run.holders)
    return {"token": opened["token"]}


async def script(holder):
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    async for _ in holder.until_end_of_run():
        answer = await holder.request("portal.login", token=holder.shared["token"])
        holder.check("logged in", answer)
        if answer:
            holder.measure("items", answer["items"])
        await holder.present_proof("verifier")
        await holder.wait(0.1, 0.5)


async def teardown(run):
    await run.request("portal.close", token=run.shared["token"])
"""


def written(folder: Path) -> bytes:
    """All that a run has left in a folder, unpacked."""
    import gzip

    found = b""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += gzip.decompress(content) if path.suffix == ".gz" else content
    return found


def test_all_of_it_in_one_run(playbook: Playbook, portal: Portal, settings: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "portal.py"
    script.write_text(SCRIPT)
    thresholds = [
        'check "logged in" passed > 60 %',
        "measure items p95 <= 1",
        "measure items min >= 1",
        "errors < 50 %",
    ]
    code, output = playbook.run(script=str(script), thresholds=thresholds, **settings)
    assert code == 0, output
    summary = playbook.summary()
    assert summary["checks"] == {"logged in": {"passed": 4, "failed": 2}}
    items = summary["measures"]["items"]
    assert (items["count"], items["sum"], items["min"], items["max"]) == (4, 4, 1, 1)
    assert [verdict["passed"] for verdict in summary["thresholds"]] == [True] * 4
    assert summary["run"]["outcome"] == "passed" and summary["teardown"] == ""
    first, *logins, last = portal.asked
    assert first == ("/open", "", {"holders": "3"})
    assert sorted(logins) == sorted(
        (f"/login/u{n}", "Bearer tok-0123456789", {"password": f"pass-word-{n}"}) for n in range(3) for _ in range(2)
    )
    assert last == ("/close", "", {"token": "tok-0123456789"})
    for kept in (written(playbook.results), written(playbook.run_dir), output.encode()):
        assert b"pass-word-" not in kept and b"tok-0123" not in kept
    assert b"refused" in written(playbook.results) and b"***" in written(playbook.results)
    assert not (playbook.run_dir / "holders.json").exists() and playbook.left_running() == []


def test_a_teardown_that_fails_fails_the_run_and_keeps_what_was_measured(
    playbook: Playbook, portal: Portal, settings: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "portal.py"
    script.write_text(SCRIPT)
    portal.teardown_fails = True
    code, output = playbook.run(script=str(script), **settings | {"holders": 1})
    assert code == 2
    assert f"teardown failed: {script} line 21: ServiceRefused: portal answered 500" in output
    summary = playbook.summary()
    assert summary["run"]["outcome"] == "teardown" and summary["load"]["ok"] > 4
    assert summary["run"]["headline"] == "Failed: the script's teardown failed; no step failed"
    assert "tok-0123" not in output and playbook.left_running() == []


def test_a_setup_that_raises_starts_nothing(
    playbook: Playbook, portal: Portal, settings: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "portal.py"
    script.write_text(SCRIPT.replace("return {", "assert run.simulated, 'no room'; return {"))
    code, output = playbook.run(script=str(script), **settings)
    assert code == 2
    assert f"setup failed: {script} line 4: AssertionError: no room" in " ".join(output.split())
    assert [path for path, _, _ in portal.asked] == ["/open"]
    assert not playbook.run_dir.exists() and not playbook.results.exists()


def test_the_check_and_a_dry_run_call_nothing(
    playbook: Playbook, portal: Portal, settings: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "portal.py"
    script.write_text(SCRIPT)
    for options, dry in (((), True), (("--check",), False)):
        code, output = playbook.run(*options, script=str(script), dry_run=dry, **settings)
        assert code == 0, output
        assert "present_proof" in output
    assert not portal.asked and not playbook.results.exists()


def test_teardown_is_called_after_an_interruption(
    playbook: Playbook, portal: Portal, settings: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "portal.py"
    script.write_text(SCRIPT)
    playbook.start(script=str(script), **settings | {"iterations": 1000, "drain": "1s"})
    playbook.wait_for_steps(3)
    assert playbook.process
    playbook.process.send_signal(2)
    playbook.end()
    wait_for(lambda: portal.paths("/close"), 60)
    wait_for(lambda: json.loads((playbook.results / "teardown.json").read_text()) == {"failure": ""}, 30)
    assert playbook.left_running(60) == []


def test_the_shipped_scenario(playbook: Playbook, tmp_path: Path) -> None:
    (tmp_path / "members.jsonl").write_text('{"name": "Ada"}\n{"name": "Bob"}\n')
    data = {"file": str(tmp_path / "members.jsonl"), "use": "circle"}
    code, output = playbook.run(script="with_data", holders=3, iterations=1, data=data, **PACE)
    assert code == 0, output
    summary = playbook.summary()
    assert summary["checks"] == {
        "answered by name": {"passed": 3, "failed": 0},
        "revocable": {"passed": 3, "failed": 0},
    }
    assert summary["measures"]["characters answered"]["count"] == 3
