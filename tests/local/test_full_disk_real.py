"""The disk of a load host fills during the run and stays full: what is lost is known, and fails the run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from local_playbook import Playbook
from reference_services import ReferenceServices

SCRIPT = """
from pathlib import Path

FOLDER = Path("{folder}")


async def script(holder):
    issuer = await holder.connect("issuer")
    if any(FOLDER.glob("*/state.json")):  # not in the check
        try:
            with (FOLDER / "filled").open("wb") as file:
                while True:
                    file.write(bytes(4096))
        except OSError:
            pass
    for _ in range(40):  # the last page of the journal has room for less than 20 records
        await holder.wait(0.2)
        await holder.ping(issuer)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk that fills")
def test_a_disk_that_stays_full_is_told_and_fails_the_run(
    playbook: Playbook, reference: ReferenceServices, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    script = tmp_path / "fill.py"
    script.write_text(SCRIPT.format(folder=folder))
    mounted = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=8m tmpfs {folder} && exec "$@"', "sh"]
    playbook.start(within=mounted, script=str(script), holders=1, mediator_did="", ramp_up=0)
    code, output = playbook.end()
    assert code != 0, output
    assert (playbook.results / "summary.json").exists(), output
    summary = playbook.summary()
    assert (summary["run"]["outcome"], summary["run"]["passed"]) == ("incomplete", False), output
    (loss,) = summary["losses"]
    assert loss["kind"] == "records" and loss["number"] >= 20
    assert summary["run"]["headline"].startswith("Incomplete: records of local are missing")
    assert f"[ERROR] local: {loss['text']}" in output
    assert "No space left on device" in output
