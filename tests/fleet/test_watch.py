"""``stampede watch`` over SSH where there is no run, or no host; test_run.py watches a run."""

from __future__ import annotations

from pathlib import Path

import yaml

from .fleet import Fleet
from .watching import watch


def test_nothing_there_and_nobody_there(fleet: Fleet, tmp_path: Path) -> None:
    done = watch(fleet.inventory, "--run", "never-made")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and "/var/lib/stampede/runs" in done.stderr
    document = yaml.safe_load(fleet.inventory.read_text())
    document["all"]["vars"]["ansible_port"] = 9
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(document))
    done = watch(tmp_path / "hosts.yml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("stampede watch: None of the 3 load hosts can be reached: load-1: ")
    assert len(done.stderr.splitlines()) == 1

    document["all"]["vars"] |= {"ansible_port": 22, "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null"}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(document))
    done = watch(tmp_path / "hosts.yml")
    assert done.returncode == 2 and "load-1: its host key is not in " in done.stderr
