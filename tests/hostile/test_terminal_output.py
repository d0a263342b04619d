"""Whatever hosts, services and servers say: no control character of it reaches the terminal."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples
from fleet_views import NOW, STATE, snapshot
from hypothesis import given
from hypothesis import strategies as st
from plugin_files import REPOSITORY, load_plugin
from rich.console import Console

from stampede import cli, wording
from stampede.fleet import live_table, watch
from stampede.fleet.host_view import HostView
from stampede.fleet.snapshot import Snapshot, parsed_state
from stampede.results import replay
from stampede.schema.json_form import to_json

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2066\u2028\rgone\x00\x08\u200b"
NOT_SHOWN = set(EVIL) - set(wording.printable(EVIL))
TOLD = ("[2J", "owned", "gnp.exe", "gone")


def is_harmless(text: str) -> bool:
    """Whether it has what is told, and nothing that steers."""
    return not NOT_SHOWN & set(text) and all(line.isprintable() for line in text.split("\n"))


def evil_host() -> HostView:
    """A host whose state, last output and thresholds say the worst."""
    hostile = {
        "message": EVIL,
        "p95": {f"step {EVIL}": 1.0},
        "errors": {EVIL: 1},
        "thresholds": [{"text": f'"a{EVIL}" max < 1 s', "ok": 99, "failed": 0, "total": 99.0, "most": 2.0}],
    }
    found, problem = parsed_state(json.dumps(to_json(STATE) | hostile))
    view = HostView("h1", "see its logs", NOW)
    view.update(Snapshot(True, found, NOW, EVIL, problem), NOW)
    return view


@given(st.text())
def test_printable_text_is_left_as_it_is_and_none_other_remains(text: str) -> None:
    shown = wording.printable(text)
    assert len(shown) == len(text) and shown.isprintable()
    assert all(a == b for a, b in zip(text, shown, strict=True) if a.isprintable())
    assert wording.printable_lines(text).count("\n") == text.count("\n")


def test_a_host_s_words_in_the_live_table() -> None:
    hosts = [evil_host(), HostView("h2", EVIL, NOW)]
    hosts[1].poll_failed(EVIL)
    hosts[1].check_absence(NOW + 11)
    hosts[0].update(snapshot(phase="failed", message=EVIL), NOW)
    text = live_table.text(hosts, NOW)
    assert is_harmless(text) and is_harmless(live_table.line(hosts, NOW))
    assert "owned" in text


def test_a_host_s_words_in_a_terminal_in_which_the_table_is_drawn(tmp_path: Path) -> None:
    with (tmp_path / "screen").open("w") as screen:
        console = Console(file=screen, force_terminal=True, color_system=None, width=100)
        console.print(live_table.table([evil_host()], NOW))
    text = (tmp_path / "screen").read_text()
    assert "owned" in text and is_harmless(text)


def test_a_host_s_words_in_stampede_watch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "r1"
    (run / "logs").mkdir(parents=True)
    (run / "controller_script.py").touch()
    (run / "logs" / "controller.out").write_text(EVIL)
    hostile = {"pid": 2**22 - 1, "time": time.time(), "message": EVIL, "p95": {EVIL: 1.0}}
    (run / "state.json").write_text(json.dumps(to_json(STATE) | hostile))
    (tmp_path / "hosts.yml").write_text(
        f"load_hosts: {{hosts: {{local: {{stampede_local: true, stampede_work_dir: {tmp_path}/runs}}}}}}"
    )
    inventory = [str(tmp_path / "hosts.yml")]
    for as_json in (False, True):
        show = partial(watch.show, interval=0.1, as_json=as_json, once=True)
        assert watch.watch(inventory, "", show) == 0
        shown = capsys.readouterr()
        assert "gone" in shown.out and is_harmless(shown.out) and is_harmless(shown.err)
    assert watch.watch(inventory, EVIL, partial(watch.show, interval=None, as_json=False, once=True)) == 2
    assert is_harmless(capsys.readouterr().err)


@pytest.fixture(scope="module")
def evil_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results whose every word is hostile."""
    sample = samples.Sample(hosts=("load-1",), holders=2, duration=10, ramp=1, failures=False)
    folder = samples.write_results(tmp_path_factory.mktemp("run"), sample, packed=False)
    text = EVIL.replace("\r", "").replace("\x08", "")
    failed = samples.step_line("load-1", "ping", samples.START + 3, 1.0, outcome="failed", error="e", detail=text)
    failed = failed.replace("step=ping", f"step=p{text.replace(' ', '')}").replace('error="e"', f'error="{text}"')
    with (folder / "load-1" / "journal.lp").open("a", encoding="utf-8") as journal:
        journal.write(failed + "\n")
    state = json.loads((folder / "load-1" / "state.json").read_text())
    (folder / "load-1" / "state.json").write_text(json.dumps(state | {"message": EVIL, "pid": EVIL}))
    run = json.loads((folder / "run.json").read_text())
    fault = samples.fault("load-1", "unreachable", 5, EVIL, 6)
    (folder / "run.json").write_text(json.dumps(run | {"faults": [fault], "scenario": EVIL, "run_id": EVIL}))
    return folder


def test_words_of_results_in_report_and_compare(evil_results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["report", str(evil_results)], ["compare", str(evil_results), str(evil_results)]):
        assert cli.main(words) == 0
        shown = capsys.readouterr().out
        assert "owned" in shown and is_harmless(shown)


def test_words_of_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(tmp_path / EVIL.replace("\x00", ""))
    for words in (["report", nowhere], ["compare", nowhere, nowhere], ["replay", nowhere]):
        assert cli.main(words) == 2
        shown = capsys.readouterr().err
        assert "owned" in shown and is_harmless(shown)


def test_words_of_an_influxdb_in_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, secret: str, tell: replay.Tell) -> str:
        tell(f"server: {EVIL}")
        raise replay.NotPushed(f"it said {EVIL}")

    monkeypatch.setattr(replay.Replay, "push", refuse)
    samples.write_results(tmp_path, samples.Sample(hosts=("load-1",), holders=1, duration=5, ramp=1))
    options = {"url": "http://localhost:1", "database": "d", "user": "", "org": "", "bucket": "", "ca_file": ""}
    assert replay.main(argparse.Namespace(results=tmp_path, dry_run=False, **options)) == 1
    shown = capsys.readouterr()
    assert "owned" in shown.out and "owned" in shown.err and is_harmless(shown.out + shown.err)


@pytest.mark.parametrize("plugin", ["stampede_watch", "stampede_replay"])
def test_what_a_plugin_tells(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, told = load_plugin(f"action/{plugin}"), list[str]()

    class Display:
        def display(self, text: str, **_: Any) -> None:
            told.append(text)

    monkeypatch.setattr(module, "Display", Display)
    module.tell(f"one {EVIL}\ntwo", *([""] if plugin == "stampede_watch" else []))
    assert told[0].count("\n") == 1 and "owned" in told[0] and is_harmless(told[0])


def test_what_the_playbooks_show(tmp_path: Path) -> None:
    """Of a task that fails, one that is told of, and a loop: what commands on hosts have said."""
    (tmp_path / "said").write_text(EVIL.replace("\x00", ""))
    playbook = [
        {
            "name": "A play",
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "tasks": [
                {"ansible.builtin.command": f"cat {tmp_path}/said", "register": "said", "name": "Listen"},
                {"ansible.builtin.debug": {"msg": "{{ said.stdout }}"}, "name": "Tell"},
                {"warn": {"text": "{{ said.stdout }}"}, "name": "Warn"},
                {
                    "ansible.builtin.shell": f"cat {tmp_path}/said >&2; false",
                    "name": "Fail for some",
                    "loop": [1],
                    "ignore_errors": True,
                },
                {"ansible.builtin.shell": f"cat {tmp_path}/said >&2; false", "name": "Fail"},
            ],
        }
    ]
    (tmp_path / "play.yml").write_text(json.dumps(playbook))
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "warn.py").write_text(
        "from ansible.module_utils.basic import AnsibleModule\n"
        "module = AnsibleModule({'text': {'type': 'str'}})\n"
        "module.exit_json(warnings=[module.params['text']])\n"
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), tmp_path / "play.yml"],
        env=os.environ
        | {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == 2 and text.count("owned") == 3, text  # the same words are told once
    assert is_harmless(text)
