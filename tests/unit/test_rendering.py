"""Rendering the controller script, and refusing scripts that cannot run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stampede.prepare.rendering import render_script
from stampede.prepare.trial import try_script
from stampede.schema.errors import BadInput

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def test_the_rendered_script_runs(variables: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "controller_script.py"
    script.write_text(render_script(variables | {"stampede_secrets": {"key": "hush"}}, TEMPLATES))
    assert "hush" not in script.read_text()
    assert "holder.wait(10, 60)" in script.read_text()
    done = subprocess.run([sys.executable, script, "dry-run"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "present_proof" in done.stdout
    assert "A run of 4 holders would take about" in done.stdout


def refused(variables: dict[str, Any], name: str, folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        try_script(variables | {"stampede_script": name}, TEMPLATES, folder)
    (sentence,) = caught.value.sentences
    return sentence


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("async def script(holder):\n    await holder.wait(1,\n", "own.py line 2: '(' was never closed"),
        ("async def scirpt(holder):\n    pass\n", "own.py has no 'async def script(holder)'"),
        ("def script(holder):\n    pass\n", "own.py has no 'async def script(holder)'"),
        ("import nothing_there\n", "own.py line 1: ModuleNotFoundError: No module named 'nothing_there'"),
        (
            "async def script(holder):\n    await holder.wait(1)\n    await holder.connect('isuer')\n",
            "own.py line 3: the script asks for the service 'isuer', but stampede_services has issuer, verifier; "
            "did you mean 'issuer'?",
        ),
        ("async def script(holder):\n    await holder.presnt()\n", "own.py line 2: AttributeError"),
        (
            "async def script(holder):\n    await holder.connect('verifier')\n"
            "    await holder.request_revocation('verifier')\n",
            "own.py line 3: the script requests a revocation from 'verifier', but stampede_services.verifier has no "
            "revocation",
        ),
    ],
)
def test_refused_scripts(variables: dict[str, Any], tmp_path: Path, source: str, sentence: str) -> None:
    (tmp_path / "own.py").write_text(source)
    assert sentence in refused(variables, "own.py", tmp_path)


def test_refused_templates(variables: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "own.py.j2").write_text("async def script(holder):\n    await holder.wait({{ stampede_wiat_min }})\n")
    assert "'stampede_wiat_min' is undefined" in refused(variables, "own.py.j2", tmp_path)
    (tmp_path / "own.py.j2").write_text("x = 1\n{% if %}\n")
    assert "own.py.j2 line 2" in refused(variables, "own.py.j2", tmp_path)


def test_script_not_found(variables: dict[str, Any], tmp_path: Path) -> None:
    assert "did you mean issue_present_revoke?" in refused(variables, "issue_presnt_revoke", tmp_path)
    assert "there is no file" in refused(variables, "nowhere/own.py", tmp_path)


def test_a_script_of_ones_own(variables: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "async def script(holder):\n    shop = await holder.connect('issuer', 'shop')\n"
        "    await holder.receive_credential('shop')\n    async for _ in holder.repeat(3):\n"
        "        await holder.present_proof('verifier')\n    await holder.ping(shop)\n"
    )
    try_script(variables | {"stampede_script": "own.py"}, TEMPLATES, tmp_path)


def test_durations_are_rendered_as_seconds(variables: dict[str, Any]) -> None:
    changed = variables | {"stampede_wait_min": "5s", "stampede_wait_max": "1m30s", "stampede_step_timeout": 0.5}
    assert "holder.wait(5, 90)" in render_script(changed, TEMPLATES)


def test_a_trial_prints_nothing(variables: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.py").write_text(
        "print('loaded')\nasync def script(holder):\n    print('on')\n    raise KeyError(7)\n"
    )
    assert "own.py line 4: KeyError: 7" in refused(variables, "own.py", tmp_path)
    assert capfd.readouterr() == ("", "")


def test_of_two_credentials_either_may_be_revoked(variables: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "async def script(holder):\n"
        "    for name in ('first', 'second'):\n"
        "        await holder.receive_credential(await holder.connect('issuer', name))\n"
        "    for name in ('first', 'second'):\n"
        "        await holder.request_revocation('issuer', name)\n"
        "        await holder.receive_revocation_notification(name)\n"
    )
    try_script(variables | {"stampede_script": "own.py"}, TEMPLATES, tmp_path)
