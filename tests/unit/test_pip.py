"""pip on the control node."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

import pytest

from stampede.prepare.pip import PipFailed, pip


def test_a_python_without_pip_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path)
    python = str(tmp_path / "bin/python")
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(PipFailed) as failed:
        pip("wheel", "--no-deps", "x")
    assert str(failed.value) == f"{python} has no pip, as in environments that uv makes; run {python} -m ensurepip"
