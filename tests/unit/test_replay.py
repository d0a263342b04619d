"""Replay: which journals go where, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from stampede.cli import main
from stampede.results.replay import NotPushed, Replay, batches
from stampede.schema.errors import BadInput

LINES = b"".join(b"step,step=s n=%di %d\n" % (number, number) for number in range(12_000))
OWN = {"stampede_influxdb_url": "https://i.example.org", "stampede_influxdb_database": "own", "stampede_holders": 3}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two hosts' journals: one packed, one torn."""
    for host, name, content in (
        ("load-1", "journal.lp.gz", gzip.compress(LINES)),
        ("load-2", "journal.lp", LINES[:-3]),
    ):
        (tmp_path / host).mkdir()
        (tmp_path / host / name).write_bytes(content)
    (tmp_path / "run.json").write_text(json.dumps({"settings": OWN}))
    return tmp_path


def test_batches_are_whole_lines_of_plain_and_packed_journals(results: Path) -> None:
    packed = [batch for batch, _ in batches(results / "load-1/journal.lp.gz")]
    assert b"".join(packed) == LINES
    assert [batch.count(b"\n") for batch in packed] == [5000, 5000, 2000]
    torn = b"".join(batch for batch, _ in batches(results / "load-2/journal.lp"))
    assert torn == LINES[: LINES[:-3].rindex(b"\n") + 1]


def test_what_a_cut_archive_still_holds_is_pushed(results: Path) -> None:
    file = results / "load-1/journal.lp.gz"
    file.write_bytes(file.read_bytes()[:-200])
    found = b"".join(batch for batch, _ in batches(file))
    assert LINES.startswith(found) and len(found) > len(LINES) / 2


def test_a_journal_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotPushed) as refused:
        list(batches(tmp_path))
    assert refused.value.sentence == f"The journal {tmp_path} cannot be read: Is a directory"


def test_the_server_is_the_runs_own_or_the_one_that_is_named(results: Path) -> None:
    assert Replay(results, {}).target.database == "own"
    named = Replay(results, {"stampede_influxdb_url": "https://j.example.org", "stampede_influxdb_database": "d"})
    assert (named.target.url, named.target.database) == ("https://j.example.org", "d")
    with pytest.raises(BadInput, match="stampede_influxdb_database and stampede_influxdb_bucket are both empty"):
        Replay(results, {"stampede_influxdb_url": "https://j.example.org"})


def test_the_command_says_what_it_would_push(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(results), "--dry-run"]) == 0
    assert capsys.readouterr().out == (
        "23,999 points would be pushed to InfluxDB at https://i.example.org (database own):\n"
        "  load-1: 12,000 points\n"
        "  load-2: 11,999 points\n"
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--url", "influx"], "stampede_influxdb_url is 'influx'; it must be a URL"),
        (["--user", "w"], "the environment variable STAMPEDE_INFLUXDB_PASSWORD is not set"),
        (["--org", "o", "--bucket", "b"], "the environment variable STAMPEDE_INFLUXDB_TOKEN is not set"),
    ],
)
def test_bad_input(
    results: Path,
    options: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"STAMPEDE_INFLUXDB_{name}", raising=False)
    assert main(["replay", str(results), *options]) == 2
    assert sentence in capsys.readouterr().err


def test_a_server_that_is_away_ends_it_after_a_while(results: Path) -> None:
    waited: list[float] = []
    replay = Replay(results, {"stampede_influxdb_url": "http://localhost:1", "stampede_influxdb_database": "d"})
    told: list[str] = []
    with pytest.raises(NotPushed) as given_up:
        replay.push("", told.append, waited.append)
    assert "cannot be reached: Connection refused" in given_up.value.sentence
    assert len(waited) > 3 and sum(waited) <= 60 and len(told) == 1
