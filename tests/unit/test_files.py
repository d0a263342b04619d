"""Small files that others read while they are written."""

import errno
from pathlib import Path
from typing import Any

import pytest

from stampede.machine import files


def test_on_a_full_disk_a_state_is_written_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    files.write_json_anyway(path, {"phase": "running", "holders": [1, 2, 3]})
    inode = path.stat().st_ino

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_json", full)
    files.write_json_anyway(path, {"phase": "done"})
    assert files.read_json(path) == {"phase": "done"} and path.stat().st_ino == inode
    with pytest.raises(FileNotFoundError):
        files.write_json_anyway(tmp_path / "new.json", {})
