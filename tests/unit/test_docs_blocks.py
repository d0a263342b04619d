"""Every block of the documentation is checked by what would read it, or says why it is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples
import yaml
from documentation_blocks import REPOSITORY, RUN, Block, blocks, problems

from stampede.prepare.ca_checks import ca_file_problems

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted(REPOSITORY.glob("docs/*.md")),
    *sorted(REPOSITORY.glob("roles/*/README.md")),
    REPOSITORY / "benchmarks/README.md",
    REPOSITORY / "tests/fleet/README.md",
]
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(REPOSITORY)}:{block.line}")
    for page in PAGES
    for block in blocks(page.read_text())
]


@pytest.fixture
def settings(variables: dict[str, Any]) -> dict[str, Any]:
    """All settings as they are without a word of the user's, and what a run cannot do without."""
    defaults: dict[str, Any] = {}
    for file in sorted(REPOSITORY.glob("roles/*/defaults/main.yml")):
        defaults |= yaml.safe_load(file.read_text())
    needed = ("run_id", "script", "services", "allowed_targets", "host_name", "agent_host", "agents")
    defaults["stampede_influxdb_url"] = "https://influx.example.org:8086"  # of the server that is installed
    return defaults | {f"stampede_{name}": variables[f"stampede_{name}"] for name in needed}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_right_or_says_why_it_is_not_tested(block: Block, settings: dict[str, Any]) -> None:
    assert problems(block, settings) == []


def test_most_blocks_are_tested() -> None:
    found = [param.values[0] for param in BLOCKS]
    marked = [block for block in found if block.mark]
    assert len(found) > 90
    assert len(marked) < len(found) / 9


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("    make gone\n", "make gone: make has no target gone"),
        ('    make run ARGS="-e stampede_holder=3"\n', "did you mean stampede_holders?"),
        ('    make run ARGS="-e stampede_holders=none"\n', "stampede_holders is 'none'; it must be a whole number"),
        ('    make run ARGS="-e stampede_wait_min=5 -e stampede_wait_max=3"\n', "must be at most stampede_wait_max"),
        ('    make run ARGS="--gone"\n', "unrecognized arguments: --gone"),
        ('    make lint ARGS="-x"\n', "make lint takes no ARGS"),
        ('    make fleet ARGS="--host 2"\n', "has no --host"),
        (
            "    .venv/bin/ansible-playbook -i inventory/local playbooks/gone.yml\n",
            "playbooks/gone.yml is no playbook",
        ),
        ("    .venv/bin/ansible-playbook -i inventory/gone playbooks/stop.yml\n", "inventory/gone is no inventory"),
        ("    .venv/bin/ansible-vault encrypt_strings x\n", "invalid choice: 'encrypt_strings'"),
        ("    stampede repor results/RUN\n", "invalid choice: 'repor'"),
        ("    stampede report results/RUN --gone\n", "unrecognized arguments: --gone"),
        ("    .venv/bin/python benchmarks/gone.py\n", "benchmarks/gone.py is no file"),
        ("    .venv/bin/python benchmarks/peer.py --gone\n", "benchmarks/peer.py has no --gone"),
        ("    .venv/bin/python -m reference --gone\n", "-m reference has no --gone"),
        ("    cp -r inventory/gone inventory/mine\n", "inventory/gone is no folder"),
        ("    curl https://example.org\n", "no check knows curl; write one, or mark the block"),
        ("    make 'run\n", "No closing quotation"),
        ("```\nmake run\n```\n", "nothing here can check a bare ```"),
        ("```sql\nGRANT\n```\n", "nothing here can check sql"),
        ("```yaml\nstampede_holder: 3\n```\n", "did you mean stampede_holders?"),
        ("```yaml\nstampede_holders: none\n```\n", "stampede_holders is 'none'"),
        ("```yaml\nportal: {invitaton: {url: 'https://x.example.org'}}\n```\n", "stampede_services.portal"),
        ("```yaml\n- {\n```\n", "no YAML"),
        (
            "```yaml\non: push\njobs: {a: {runs-on: x, step: []}}\n```\n",
            "is not valid under any of the given schemas",
        ),
        ("```yaml\ninclude: [{inputs: {}}]\n```\n", "is not valid under any of the given schemas"),
        ("```python\nawait holder.conect('issuer')\n```\n", "a holder has no conect"),
        ("```python\nawait holder.connect('issuer', nam='x')\n```\n", "holder.connect: got an unexpected keyword"),
        ("```python\nawait holder.connect(\n```\n", "no Python"),
        ("```python\nfrom stampede import Holders\n```\n", "stampede has no Holders"),
        ("```jinja\nawait holder.wait({{ stampede_wait_mi }})\n```\n", "'stampede_wait_mi' is undefined"),
        ("<!-- not tested: no reason -->\n\n    make run\n", "the mark is idle: the block passes its check"),
        ("1. First:\n\n       make gone\n", "make has no target gone"),
        ("<!-- not tested: -->\n\n    curl x\n", "no check knows curl"),
        ("<!-- not tested: it is another's -->\n\nText.\n\n    curl x\n", "no check knows curl"),
    ],
)
def test_a_block_that_is_wrong_is_found(settings: dict[str, Any], text: str, problem: str) -> None:
    [block] = blocks(text)
    assert problem in "\n".join(problems(block, settings))


@pytest.mark.parametrize(
    "text",
    [
        "<!-- not tested: of another program -->\n```sh\ncurl https://example.org\n```\n",
        "<!-- not tested: of another program -->\n\n    curl https://example.org\n",
        "```text\nwhat it says\n```\n",
        "    KEY=... make run  # a remark\n",
        "```sh\n.venv/bin/ansible-playbook playbooks/run-test.yml -e '{\n  \"stampede_holders\": 5}'\n```\n",
    ],
)
def test_a_block_that_is_right_or_marked_passes(settings: dict[str, Any], text: str) -> None:
    [block] = blocks(text)
    assert problems(block, settings) == []


# ---------------------------------------------------------------- blocks that are cheap to run


def only(page: str, beginning: str) -> str:
    """The text of the one block of a page that begins so."""
    [found] = [each.text for each in blocks((REPOSITORY / page).read_text()) if each.text.startswith(beginning)]
    return found


def test_the_cpu_of_a_step_is_computed_from_a_summary(tmp_path: Path) -> None:
    run = samples.write_results(tmp_path / "results" / "RUN_ID", samples.Sample())
    samples.report(run)
    script = only("docs/load-testing.md", RUN[0]).replace(".venv/bin/python", sys.executable)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+\.\d\d cores for \d+\.\d\d steps/s: \d\.\d{3} CPU-seconds per step\n", done.stdout)


def test_the_authority_that_openssl_makes_is_one_that_is_accepted(tmp_path: Path) -> None:
    script = only("docs/network-and-secrets.md", RUN[1])
    subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert ca_file_problems({"stampede_ca_file": str(tmp_path / "ca.pem")}) == []


@pytest.mark.parametrize("page", ["README.md", "docs/writing-a-scenario.md"])
def test_the_first_scenario_of_a_page_runs(page: str, play: Any) -> None:
    names: dict[str, Any] = {}
    exec(only(page, '"""A member joins'), names)
    run = play(names["script"], holders=2, iterations=1)
    assert (run.finished, run.bad_input) == (2, None)
    assert run.figures.steps["present_proof"] == 2 * 3
