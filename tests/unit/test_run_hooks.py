"""``setup`` and ``teardown``: called once a run on the control node, simulated in the trial, told when they fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples

from controller.holder.holder import Holder
from controller.run.run import Run
from stampede.analysis.collected_run import read_run
from stampede.analysis.verdict.failure_reasons import failure_reasons
from stampede.machine.processes import is_alive
from stampede.prepare.hooks import SetUp, set_up, tear_down, tell_stopped
from stampede.prepare.trial import try_script
from stampede.report import junit
from stampede.schema.errors import BadInput, ServiceRefused
from stampede.schema.masking import Mask
from stampede.schema.shared_values import LARGEST, Shared, check_shared

REPOSITORY = Path(__file__).parents[2]
SCRIPT = """
async def script(holder):
    async for _ in holder.until_end_of_run():
        await holder.wait(1)
"""


class Scenario:
    """A run's settings with a scenario of one's own, and what a playbook does with it."""

    def __init__(self, folder: Path, variables: dict[str, Any]) -> None:
        self.file = folder / "scenario.py"
        self.results = folder / "results"
        self.mark = folder / "mark"
        self.variables = variables | {
            "stampede_script": str(self.file),
            "stampede_setup_timeout": "20s",
            "stampede_drain": 0,
            "stampede_local": True,
            "stampede_start_delay": "2s",
            "stampede_secrets": {"key": "s3cret-key"},
        }
        self.pids: list[int] = []

    def write(self, text: str) -> None:
        head = f"from pathlib import Path\nMARK = Path({str(self.mark)!r})\n"
        self.file.write_text(head + text + SCRIPT)

    def set_up(self, playbook: int = 0, **changes: Any) -> SetUp:
        variables = self.variables | {f"stampede_{name}": value for name, value in changes.items()}
        found = set_up(variables, {"key": "s3cret-key"}, REPOSITORY, self.results, playbook or os.getpid())
        self.pids.append(found.pid)
        return found

    def tear_down(self, pid: int, timeout: float = 20) -> str:
        return tear_down(pid, self.results, timeout)

    def await_end(self, pid: int) -> None:
        """Of the process that calls teardown."""
        deadline = time.monotonic() + 40
        while is_alive(pid):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.results / "teardown.json").read_text())
        return found


@pytest.fixture
def scenario(tmp_path: Path, variables: dict[str, Any]) -> Iterator[Scenario]:
    its = Scenario(tmp_path, variables)
    yield its
    for pid in its.pids:
        if pid and is_alive(pid):
            os.killpg(pid, 9)


# ------------------------------------------------------------------ real calls


def test_teardown_gets_what_setup_returned(scenario: Scenario) -> None:
    scenario.write(
        "async def setup(run):\n    return {'token': 'abc', 'run': run.id, 'holders': run.holders,\n"
        "            'wait': run.settings['stampede_wait_min'], 'secret': 'stampede_secrets' in run.settings,\n"
        "            'simulated': run.simulated, 'shared': len(run.shared)}\n"
        "async def teardown(run):\n    MARK.write_text(run.shared['token'])\n"
    )
    found = scenario.set_up()
    assert found.shared == {
        "token": "abc",
        "run": "test-run",
        "holders": 4,
        "wait": 10,
        "secret": False,
        "simulated": False,
        "shared": 0,
    }
    assert scenario.record() == {"failure": "teardown has not been run"} and not scenario.mark.exists()
    assert "abc" not in " ".join(Path(f"/proc/{found.pid}/cmdline").read_text().split("\0"))
    assert scenario.tear_down(found.pid) == ""
    assert scenario.mark.read_text() == "abc"
    assert scenario.record() == {"failure": ""} and not is_alive(found.pid)


def test_a_scenario_without_them_leaves_nothing(scenario: Scenario) -> None:
    scenario.write("")
    assert scenario.set_up() == SetUp({}, 0)
    assert not scenario.results.exists()


def test_setup_alone_needs_no_process_afterwards(scenario: Scenario) -> None:
    scenario.write("async def setup(run):\n    return {'a': [1, None, {'b': True}]}\n")
    assert scenario.set_up() == SetUp({"a": [1, None, {"b": True}]}, 0)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise RuntimeError('the key is s3cret-key')", "setup failed: FILE line 4: RuntimeError: the key is ***"),
        ("return [1]", "FILE: setup returned a list; it must return a dict that JSON can express, or nothing"),
        ("return {1: 2}", "FILE: what setup returned has the key 1; it must be a text, in quotes"),
        ("return {'a': run}", "FILE: what setup returned['a'] is"),
        ("return {'a': float('nan')}", "FILE: what setup returned['a'] is nan"),
        (
            f"return {{'a': 'x' * {LARGEST}}}",
            "FILE: what setup returned has 262,153 bytes as JSON; it must have at most",
        ),
        ("raise SystemExit(3)", "setup failed: FILE line 4: SystemExit: 3; a script must not end the process"),
        ("import os; os._exit(3)", "setup failed: its process ended with the exit code 3"),
        ("await run.request('portal')", "setup failed: FILE line 4: the script sends the request 'portal'"),
        ("while True: pass", "FILE line 4: setup was still here after 2 s; it must come to an end"),
        ("import asyncio; await asyncio.sleep(60)", "FILE line 4: setup was still here after 2 s"),
    ],
)
def test_a_setup_that_fails_is_told_in_one_sentence(scenario: Scenario, body: str, why: str) -> None:
    scenario.write(f"async def setup(run):\n    {body}\nasync def teardown(run):\n    MARK.touch()\n")
    with pytest.raises(BadInput) as refusal:
        scenario.set_up(setup_timeout="2s")
    (sentence,) = refusal.value.sentences
    assert sentence.startswith(why.replace("FILE", str(scenario.file)))
    assert "s3cret" not in sentence and not scenario.mark.exists()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise RuntimeError(run.shared['token'])", "teardown failed: FILE line 6: RuntimeError: ***"),
        (
            "run.shared['tokn']",
            "teardown failed: FILE line 6: the script uses run.shared['tokn'], but setup returned",
        ),
        ("import time; time.sleep(60)", "teardown failed: FILE line 6: teardown was still here after 2 s"),
        ("import os; os._exit(1)", "teardown failed: its process ended before it was over"),
    ],
)
def test_a_teardown_that_fails_is_recorded(scenario: Scenario, body: str, why: str) -> None:
    scenario.write(
        f"async def setup(run):\n    return {{'token': 'tok-123456'}}\nasync def teardown(run):\n    {body}\n"
    )
    found = scenario.set_up(setup_timeout="2s")
    failure = scenario.tear_down(found.pid, 2)
    assert failure.startswith(why.replace("FILE", str(scenario.file))), failure
    assert scenario.record() == {"failure": failure} and "tok-" not in failure
    assert not is_alive(found.pid)


def test_teardown_is_called_when_the_playbook_is_gone(scenario: Scenario) -> None:
    scenario.write("async def teardown(run):\n    MARK.touch()\n")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as playbook:
        found = scenario.set_up(playbook.pid)
        playbook.kill()
    scenario.await_end(found.pid)
    assert scenario.mark.exists() and scenario.record() == {"failure": ""}


@pytest.mark.parametrize("is_recorded", [True, False])
def test_teardown_waits_for_the_load_that_goes_on_without_its_playbook(scenario: Scenario, is_recorded: bool) -> None:
    scenario.write("import time\nasync def teardown(run):\n    MARK.write_text(str(time.time()))\n")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as playbook:
        found = scenario.set_up(playbook.pid, local=False, duration="8s", drain="3s")
        now = time.time()
        if is_recorded:
            (scenario.results / "run.json").write_text(json.dumps({"started": now + 1}))
        playbook.kill()
    scenario.await_end(found.pid)
    assert scenario.record() == {"failure": ""}
    began = now + (1 if is_recorded else 2)
    assert 11 <= float(scenario.mark.read_text()) - began < 25


def test_teardown_is_not_run_under_a_load_of_which_nobody_knows_the_end(scenario: Scenario) -> None:
    scenario.write("async def teardown(run):\n    MARK.touch()\n")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as playbook:
        found = scenario.set_up(playbook.pid, local=False)
        playbook.kill()
    scenario.await_end(found.pid)
    assert not scenario.mark.exists()
    assert scenario.record()["failure"].startswith(
        "teardown has not been run: the playbook was ended without the load"
    )


def test_teardown_of_a_run_whose_playbook_is_gone_is_called_at_once_when_that_is_asked_for(
    scenario: Scenario,
) -> None:
    scenario.write("async def teardown(run):\n    MARK.touch()\n")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as playbook:
        found = scenario.set_up(playbook.pid, local=False, duration="1h")
        playbook.kill()
    os.kill(found.pid, signal.SIGTERM)
    scenario.await_end(found.pid)
    assert scenario.mark.exists() and scenario.record() == {"failure": ""}


@pytest.mark.parametrize("first", ["stop", "kill"])
def test_teardown_is_called_when_the_hosts_were_stopped_with_the_playbook(scenario: Scenario, first: str) -> None:
    scenario.write("async def teardown(run):\n    MARK.touch()\n")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as playbook:
        found = scenario.set_up(playbook.pid, local=False, duration="1h", drain="1s")
        if first == "kill":
            playbook.kill()
            playbook.wait()
            time.sleep(6)  # it has noticed
            assert not scenario.mark.exists()
        tell_stopped(found.pid)
        playbook.kill()
    scenario.await_end(found.pid)
    assert scenario.mark.exists() and scenario.record() == {"failure": ""}
    tell_stopped(0)
    tell_stopped(found.pid)  # it is gone


# -------------------------------------------------------------- several scripts


@pytest.mark.parametrize(
    ("second", "own", "why", "torn_down"),
    [
        ("raise RuntimeError(run.shared['token'])", "", ["setup failed: FILE line 4: RuntimeError: ***"], ["tok-1"]),
        ("return {'token': 'tok-second'}", "", ["FILE: setup returned 'token', as that"], ["tok-1", "tok-second"]),
        ("return 3", "", ["FILE: setup returned a number"], ["tok-1"]),
        ("while True: pass", "", ["FILE line 4: setup was still here after 2 s"], ["tok-1"]),
        (
            "raise RuntimeError('no')",
            "raise OSError(run.shared['token'])",
            ["setup failed: FILE line 4: RuntimeError: no", "teardown failed: FIRST line 7: OSError: ***"],
            ["tok-1"],
        ),
        (
            "raise RuntimeError('no')",
            "while True: pass",
            ["setup failed: FILE line 4: RuntimeError: no", "teardown failed: FIRST line 7: teardown was still here"],
            ["tok-1"],
        ),
    ],
)
def test_a_setup_that_fails_leaves_nothing_of_those_before_it(
    scenario: Scenario, second: str, own: str, why: list[str], torn_down: list[str]
) -> None:
    note = "    MARK.open('a').write(run.shared['token'] + ' ')\n"
    scenario.write(
        f"async def setup(run):\n    return {{'token': 'tok-1-secret'}}\nasync def teardown(run):\n{note}    {own}\n"
    )
    first = scenario.file.rename(scenario.file.with_name("first.py"))
    scenario.write(f"async def setup(run):\n    {second}\nasync def teardown(run):\n{note}")
    with pytest.raises(BadInput) as refusal:
        scenario.set_up(
            script="",
            scripts=[{"script": str(first), "weight": 1}, {"script": str(scenario.file), "weight": 1}],
            setup_timeout="2s",
        )
    told = refusal.value.sentences
    assert len(told) == len(why)
    for sentence, expected in zip(told, why, strict=True):
        assert sentence.startswith(expected.replace("FILE", str(scenario.file)).replace("FIRST", str(first)))
    assert scenario.mark.read_text().replace("-secret", "").split() == torn_down
    assert not (scenario.results / "teardown.json").exists()  # there was no run


def test_after_a_setup_that_takes_too_long_there_is_none(scenario: Scenario) -> None:
    """Also when it comes to its end while those before it are torn down."""
    scripts = []
    for name, setup, teardown in (
        ("a", "pass", "await asyncio.sleep(1.5)"),
        ("b", "await asyncio.sleep(2.5)", "pass"),
        ("c", "MARK.touch()", "pass"),
    ):
        scenario.write(
            f"import asyncio\nasync def setup(run):\n    {setup}\nasync def teardown(run):\n    {teardown}\n"
        )
        scripts.append({"script": str(scenario.file.rename(scenario.file.with_name(f"{name}.py"))), "weight": 1})
    with pytest.raises(BadInput, match=r"b\.py.*: setup was still here after 2 s"):
        scenario.set_up(script="", scripts=scripts, setup_timeout="2s")
    assert not scenario.mark.exists()


# ------------------------------------------------------------------- the trial


def test_the_trial_sends_nothing_and_has_what_setup_returns(scenario: Scenario) -> None:
    services = scenario.variables["stampede_services"] | {
        "portal": {"requests": {"reset": {"url": "https://portal.example.org/reset", "example": {"id": 7}}}}
    }
    variables = scenario.variables | {"stampede_services": services}
    scenario.write(
        "async def setup(run):\n    assert run.simulated\n"
        "    return {'id': (await run.request('portal.reset'))['id']}\n"
        "async def teardown(run):\n    assert run.shared['id'] == 7\n"
        "async def used(holder):\n    assert holder.shared['id'] == 7\n    holder.check('id', holder.shared['id'])\n"
    )
    scenario.file.write_text(
        scenario.file.read_text().replace("holder.wait(1)", "holder.wait(1); await used(holder)")
    )
    try_script(variables | {"stampede_thresholds": ["check id passed >= 99 %"]}, REPOSITORY / "templates")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def setup(run):\n    pass\n", "has a setup that is no coroutine; it must be 'async def setup(run)'"),
        ("async def setup():\n    pass\n", "TypeError: setup() takes 0 positional arguments"),
        ("async def setup(run):\n    return 3\n", "setup returned a number; it must return a dict"),
        ("async def setup(run):\n    await run.request('portl')\n", "line 4: the script sends the request 'portl'"),
        ("async def teardown(run):\n    run.shared['x']\n", "line 4: the script uses run.shared['x'], but setup"),
        (
            "async def setup(run):\n    await run.request('portal')\n",
            "line 4: run.request('portal') uses ${holder}, which only a holder has",
        ),
    ],
)
def test_what_the_trial_refuses(scenario: Scenario, text: str, why: str) -> None:
    portal = {"request": {"url": "https://portal.example.org/${holder}"}}
    services = scenario.variables["stampede_services"] | {"portal": portal}
    scenario.write(text)
    with pytest.raises(BadInput) as refusal:
        try_script(scenario.variables | {"stampede_services": services}, REPOSITORY / "templates")
    assert why in refusal.value.sentences[0] and str(scenario.file) in refusal.value.sentences[0]


def test_a_script_that_uses_what_setup_did_not_return(scenario: Scenario) -> None:
    scenario.write("async def setup(run):\n    return {'token': 'x'}\n")
    scenario.file.write_text(scenario.file.read_text().replace("holder.wait(1)", "holder.wait(holder.shared['tok'])"))
    with pytest.raises(BadInput, match=r"but setup returned nothing of that name; it must be one of token; did you"):
        try_script(scenario.variables, REPOSITORY / "templates")


# ------------------------------------------------------------------ holders


def test_all_holders_have_it_and_failures_do_not_tell_it(play: Callable[..., Run], tmp_path: Path) -> None:
    shared = Shared(check_shared({"token": "tok-123456", "short": "abc", "ids": ["id-1234567", 5]}))

    async def script(holder: Holder) -> None:
        assert holder.shared["ids"][1] == 5 and repr(holder.shared) == "Shared(token, short, ids)"
        async with holder.step("portal"):
            raise ServiceRefused(f"no {holder.shared['token']} {holder.shared['short']} {holder.shared['ids'][0]}")

    play(script, holders=2, on_failure="stop", shared=shared, mask=Mask(shared.hidden()))
    journal = (tmp_path / "journal.lp").read_text()
    assert journal.count('detail="no *** abc ***"') == 2 and "tok-" not in journal


# ------------------------------------------------------------------- the report


@pytest.mark.parametrize("text", [json.dumps({"failure": "teardown failed: x.py line 3: no"}), "{", "[1]"])
def test_a_failed_teardown_changes_the_verdict_and_keeps_the_figures(tmp_path: Path, text: str) -> None:
    results = samples.write_results(tmp_path / "run", samples.Sample(holders=5, duration=30, ramp=5, failures=False))
    (results / "teardown.json").write_text(text)
    found = samples.report(results)
    assert found["run"]["outcome"] == "teardown" and found["run"]["passed"] is False and found["load"]["ok"]
    assert found["run"]["headline"].startswith("Failed: the script's teardown failed; no step failed")
    (finding,) = [each for each in found["run"]["findings"] if each["about"] == "teardown"]
    assert finding["warning"] and "eardown" in finding["text"]
    summary = read_run(results).summary
    assert failure_reasons(summary, results / "report.html", fail_on_errors=True) == [summary.teardown]
    assert "teardown succeeded" in junit.build_document(summary)
    assert "<dt>Teardown</dt>" in (results / "report.html").read_text()


def test_one_that_succeeded_changes_nothing(tmp_path: Path) -> None:
    results = samples.write_results(tmp_path / "run", samples.Sample(holders=5, duration=30, ramp=5, failures=False))
    (results / "teardown.json").write_text('{"failure": ""}')
    assert samples.report(results)["run"]["outcome"] == "passed"
