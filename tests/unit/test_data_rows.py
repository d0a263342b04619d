"""A row of ``stampede_data`` for each holder: the same on however many hosts, in requests, and nowhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.holder.holder import Holder
from controller.run.run import Run
from controller.run.simulated import SimulatedServices
from controller.services.interface import Answered
from stampede.machine.data_file import read_data_file
from stampede.prepare.data_rows import absolute_data_file, data_problems, rows_of_host
from stampede.prepare.trial import try_script
from stampede.schema.data_rows import Row, Table, read_table
from stampede.schema.errors import BadInput, ServiceRefused
from stampede.schema.known_values import HiddenText
from stampede.schema.settings.data_settings import DataSettings
from stampede.schema.settings.run_settings import Settings, check_variables

REPOSITORY = Path(__file__).parents[2]
CSV = b"email,password,age\r\n" + b"".join(b'u%d@example.org,"p%d,""x""",%d\r\n' % (n, n, 20 + n) for n in range(8))


@pytest.fixture
def with_file(variables: dict[str, Any], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``with_file(content)`` are settings with such a file; named as the suffix says."""

    def with_file(content: bytes = CSV, suffix: str = ".csv", **more: Any) -> dict[str, Any]:
        file = tmp_path / f"users{suffix}"
        file.write_bytes(content)
        return variables | {"stampede_data": {"file": str(file), **more}}

    return with_file


def table_of(variables: Mapping[str, Any]) -> Table:
    settings = Settings.from_variables(variables)
    assert settings.data
    return read_data_file(settings.data, settings.seed)


# ------------------------------------------------------------------- reading


def test_csv_with_quotes_a_mark_of_its_encoding_and_blank_lines() -> None:
    table = read_table(b'\xef\xbb\xbfname,note\n\xc3\x85da,"a\nb"\n\n,""\n', DataSettings("x.csv"), 1)
    assert table.columns == ("name", "note")
    assert table.rows == [("Åda", "a\nb"), ("", "")]


def test_json_lines_are_texts() -> None:
    lines = b'{"a": "x", "b": 1, "c": null}\n\n{"c": true, "b": 2.5, "a": ""}\n'
    table = read_table(lines, DataSettings("x.ndjson"), 1)
    assert table.rows == [("x", "1", ""), ("", "2.5", "true")]


@pytest.mark.parametrize("number", ["1.10", "1e400", "1E2", "12345678901234567890.5", "-0", "9" * 5000])
def test_numbers_of_json_lines_are_texts_as_they_are_written(number: str) -> None:
    assert read_table(b'{"a": %s}\n' % number.encode(), DataSettings("x.jsonl"), 1).rows == [(number,)]


@pytest.mark.parametrize(
    ("content", "suffix", "why"),
    [
        (b"", ".csv", "which is empty; it must have a row for each holder"),
        (b" \n\n", ".jsonl", "which is empty"),
        (b"a,b\n", ".csv", "which has a header and no rows"),
        (b"a\n\xff\n", ".csv", "of which line 2 is not UTF-8; it must be a text in UTF-8"),
        (
            b"\na,b\n1,2\n",
            ".csv",
            "of which line 1 has no column names; it must begin with a line of distinct column",
        ),
        (b"a,,c\n1,2,3\n", ".csv", "of which column 2 has no name"),
        (b"a,b,a\n1,2,3\n", ".csv", "of which columns 1 and 3 are both named 'a'"),
        (b"a,{b}\n1,2\n", ".csv", "of which column 2 has the name '{b}'; it must be 1 to 128 printable characters"),
        (b"a,b\n1,2\n1\n", ".csv", "of which line 3 has 1 value and the header 2; each line must have one for each"),
        (b"a,b\n1,2,3\n", ".csv", "of which line 2 has 3 values and the header 2"),
        (b'a,b\n1,"2\n', ".csv", "of which line 2 is no CSV"),
        (b"a\n" + b"x" * 9000 + b"\n", ".csv", "of which line 2 has 9,000 characters in column 1"),
        (b"a\n" + b"x" * 200_000 + b"\n", ".csv", "of which line 2 is no CSV"),
        (b'{"a": 1}\n[1]\n', ".jsonl", "of which line 2 is no flat JSON object; each line must be a flat object"),
        (b'{"a": {"b": 1}}\n', ".jsonl", "of which line 1 is no flat JSON object"),
        (b'{"a": [1]}\n', ".jsonl", "of which line 1 is no flat JSON object"),
        (b'{"a": NaN}\n', ".jsonl", "of which line 1 is no flat JSON object"),
        (b'{"a"\n', ".jsonl", "of which line 1 is no flat JSON object"),
        (b"[" * 100_000, ".jsonl", "of which line 1 is no flat JSON object"),
        (b'{"a": 1, "b": 2}\n{"a": 1}\n', ".jsonl", "of which line 2 lacks 'b'"),
        (b'{"a": 1}\n{"a": 1, "b": 2}\n', ".jsonl", "of which line 2 has 'b', which the first has not"),
        (b'{"a": "\\ud800"}\n', ".jsonl", "of which line 1 holds half a character"),
        (
            b'{"a": 1}\n{"a": 1, "a": 2}\n',
            ".jsonl",
            "of which line 2 has 'a' twice; each key must be there once",
        ),
        (b"{}\n", ".jsonl", "of which line 1 has no column names"),
        (b"a\n" + b"x\n" * 10_000_001, ".csv", "which has 20,000,004 bytes; it must have at most 20,000,000"),
    ],
)
def test_a_file_that_is_none(with_file: Callable[..., dict[str, Any]], content: bytes, suffix: str, why: str) -> None:
    found = with_file(content, suffix)
    (sentence,) = data_problems(Settings.from_variables(found))
    assert sentence.startswith(f"stampede_data.file is {found['stampede_data']['file']!r}, {why}")
    assert sentence.isprintable() and "must" in sentence


def test_a_file_that_is_not_there(variables: dict[str, Any], tmp_path: Path) -> None:
    for file, why in ((tmp_path / "none.csv", "which cannot be read (No such file or directory)"),):
        settings = Settings.from_variables(variables | {"stampede_data": {"file": str(file)}})
        assert why in data_problems(settings)[0]
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    settings = Settings.from_variables(variables | {"stampede_data": {"file": str(folder)}})
    assert "which is no file" in data_problems(settings)[0]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"file": "users.txt"}, ".file is 'users.txt'; it must be the path of a file that ends in .csv, .jsonl or"),
        ({"use": "once"}, ".file is None; it must be the path"),
        ({"file": 3}, ".file is 3; it must be a text in one line"),
        ({"file": "a.csv", "use": "twice"}, ".use is 'twice'; it must be one of once, circle, random"),
        ({"file": "a.csv", "secret": "password"}, ".secret is 'password'; it must be a list of columns"),
        ({"file": "a.csv", "secrets": []}, " has the key 'secrets'; it may have file, secret, use"),
    ],
)
def test_settings_that_are_none(variables: dict[str, Any], data: dict[str, Any], why: str) -> None:
    (sentence,) = check_variables(variables | {"stampede_data": data})
    assert sentence.startswith(f"stampede_data{why}")


def test_columns_and_numbers_of_rows(with_file: Callable[..., dict[str, Any]]) -> None:
    services = {
        "issuer": {"invitation": {"url": "https://i.example.org/${data:emial}", "headers": {"X": "${data:age}"}}}
    }
    found = with_file(secret=["pasword"]) | {"stampede_services": services}
    assert "stampede_data.secret has 'pasword'" in data_problems(Settings.from_variables(found))[0]
    found = with_file() | {"stampede_services": services, "stampede_holders": 9}
    unknown, few = data_problems(Settings.from_variables(found))
    assert unknown.startswith("stampede_services.issuer.invitation uses ${data:emial}, but ")
    assert unknown.endswith("it must be one of email, password, age; did you mean email?")
    assert few.startswith("stampede_data.use is once, but ") and "has 8 rows for 9 holders" in few
    assert not data_problems(Settings.from_variables(with_file(use="circle") | {"stampede_holders": 9}))


def test_arrivals_need_a_row_each(with_file: Callable[..., dict[str, Any]]) -> None:
    arrivals = {
        "stampede_load_model": "open",
        "stampede_rate": "1/s",
        "stampede_duration": "9s",
        "stampede_ramp_up": 0,
    }
    (few,) = data_problems(Settings.from_variables(with_file() | arrivals))
    assert "has 8 rows for 9 holders" in few


def test_without_a_file_no_request_can_use_it(variables: dict[str, Any]) -> None:
    services = {"issuer": {"invitation": {"url": "https://i.example.org/${data:email}"}}}
    (sentence,) = check_variables(variables | {"stampede_services": services})
    assert sentence.endswith(
        "uses ${data:email}, but stampede_data names no file; it must, such as {file: users.csv}"
    )


def test_its_path_is_relative_to_the_repository(variables: dict[str, Any]) -> None:
    found = absolute_data_file(variables | {"stampede_data": {"file": "users.csv", "use": "once"}}, Path("/repo"))
    assert found["stampede_data"] == {"file": "/repo/users.csv", "use": "once"}
    assert absolute_data_file(variables, Path("/repo")) == variables


# ------------------------------------------------------------------- dealing


LOADS: list[dict[str, Any]] = [
    {},
    {"stampede_load_model": "open", "stampede_rate": "1/s", "stampede_duration": "8s", "stampede_ramp_up": 0},
    {
        "stampede_load_model": "open",
        "stampede_rate": "1/s",
        "stampede_duration": "6s",
        "stampede_arrivals": "poisson",
        "stampede_ramp_up": 0,
    },
    {"stampede_load_model": "rounds", "stampede_rate": "1/s", "stampede_duration": "8s"},
    {"stampede_load_model": "flat_out"},
]


@pytest.mark.parametrize("use", ["once", "circle", "random"])
@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("weights", [{"a": 1.0}, {"a": 2.0, "b": 1.0}, {"a": 1.0, "b": 1.0, "c": 2.0}])
def test_a_holder_has_the_same_row_on_however_many_hosts(
    with_file: Callable[..., dict[str, Any]], use: str, load: dict[str, Any], weights: dict[str, float]
) -> None:
    found = with_file(use=use) | {"stampede_holders": 8} | load
    whole = table_of(found)
    model = Settings.from_variables(found).load
    if use == "once" and model.total > 8:
        pytest.skip("more Poisson arrivals than rows")
    rows: dict[int, Row] = {}
    for share in model.shares(weights).values():
        given = json.loads(json.dumps(rows_of_host(found, share)))
        assert len(given["rows"]) <= len(given["places"])
        dealt = Table.taken(whole.settings, given)
        rows |= {holder: dealt.row(holder) for holder, _ in given["places"]}
    assert sorted(rows) == sorted(model.numbers) and len(rows) == model.total
    assert all(dict(row) == dict(whole.row(holder)) for holder, row in rows.items())
    if use == "once":
        assert len({row["email"] for row in rows.values()}) == len(rows)


def test_a_holder_without_a_row_ends_the_run(
    play: Callable[..., Run], with_file: Callable[..., dict[str, Any]]
) -> None:
    table = table_of(with_file(b"email\na\n"))

    async def script(holder: Holder) -> None:
        await holder.wait(1)

    run = play(script, holders=2, row_of=table.row)
    assert run.bad_input
    assert run.bad_input.sentences == [
        "stampede_data has no row for holder 1; there must be one for each, or use be circle"
    ]


FALLING = [{"rate": "10/s", "for": "5s"}, {"rate": 0, "over": "10s"}, {"rate": 0, "over": "60s"}]
"""A cut while the rate falls has the last stage begin at the rate of that moment, instead of 0."""


@pytest.mark.parametrize("use", ["circle", "random"])
def test_arrivals_beyond_those_planned_have_rows_of_their_host(
    play: Callable[..., Run], with_file: Callable[..., dict[str, Any]], use: str
) -> None:
    falling = {"stampede_load_model": "open", "stampede_stages": FALLING, "stampede_holders": 99}
    found = with_file(use=use) | falling
    whole, load = table_of(found), Settings.from_variables(found).load
    more = sorted(set(load.cut(6).numbers) - set(load.numbers))
    assert len(more) > 100
    for share in load.shares({"a": 1, "b": 2}).values():
        dealt = Table.taken(whole.settings, json.loads(json.dumps(rows_of_host(found, share))))
        assert all(dealt.row(number)["email"] for number in more)
        assert len({dealt.row(number)["email"] for number in more}) == len(dealt.rows)

    seen = set()

    async def script(holder: Holder) -> None:
        seen.add(holder.data["email"])
        await holder.wait(1)

    def prepare(run: Run) -> None:
        asyncio.get_running_loop().call_later(6, run.go_on, 6)

    run = play(script, prepare=prepare, row_of=dealt.row, load_model="open", stages=FALLING, holders=99, drain=0)
    assert run.bad_input is None and run.started == load.cut(6).total
    assert len(seen) == len(dealt.rows)


def test_a_row_that_is_used_once_is_not_used_again_for_arrivals_beyond_those_planned() -> None:
    given = {"columns": ["a"], "rows": [["1"]], "places": [[0, 0]]}
    with pytest.raises(BadInput, match="stampede_data has no row for holder 1; there must be one for each"):
        Table.taken(DataSettings("x.csv"), given).row(1)


def test_a_host_without_any_row_has_none_for_arrivals_beyond_those_planned() -> None:
    with pytest.raises(BadInput, match="stampede_data has no row for holder 1"):
        Table.taken(DataSettings("x.csv", "circle"), {"columns": ["a"], "rows": [], "places": []}).row(1)


@pytest.mark.parametrize("given", [None, {}, {"columns": ["a"], "rows": [["1"]], "places": [["x", 0]]}, "x"])
def test_a_host_without_its_rows_says_so(given: object) -> None:
    with pytest.raises(BadInput, match="have not come to this host"):
        Table.taken(DataSettings("x.csv"), given)


# --------------------------------------------------------------- in a script


def test_a_row_is_read_only_and_does_not_show_itself(with_file: Callable[..., dict[str, Any]]) -> None:
    row = table_of(with_file(secret=["password"])).row(3)
    assert row["email"] == "u3@example.org" and row["password"] == 'p3,"x"' and dict(row)["age"] == "23"
    assert isinstance(row["password"], HiddenText)
    assert repr(row) == "Row(email, password, age)" and str(row) == repr(row)
    assert "emial" not in row and row.get("emial") is None
    with pytest.raises(TypeError):
        row["email"] = "x"  # type: ignore[index]
    with pytest.raises(BadInput, match=r"holder.data\['emial'\], but users.csv has no such column; .*mean email\?"):
        row["emial"]


def test_it_stays_with_a_holder_that_starts_over(
    play: Callable[..., Run], with_file: Callable[..., dict[str, Any]]
) -> None:
    seen = []

    async def script(holder: Holder) -> None:
        seen.append((holder.number, holder.data["email"], holder.random.random()))
        raise ServiceRefused("no")

    play(script, holders=2, row_of=table_of(with_file()).row)
    assert {(number, email) for number, email, _ in seen} == {(0, "u0@example.org"), (1, "u1@example.org")}
    assert len(seen) > 2


class Echo(SimulatedServices):
    """A service that refuses, and repeats what it was sent."""

    async def request(self, service: str, name: str, values: Mapping[str, Any]) -> Answered:
        raise ServiceRefused(f"no such user: {values['data:email']} {values['data:password']}")


def test_requests_have_it_and_failures_tell_no_secret(
    play: Callable[..., Run],
    variables: dict[str, Any],
    with_file: Callable[..., dict[str, Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(holder: Holder) -> None:
        if holder.number:
            raise RuntimeError(f"it was {holder.data['password']}")
        await holder.request("portal")

    url = "https://portal.example.org/${data:email}"
    services = {"portal": {"request": {"url": url, "headers": {"Authorization": "${data:password}"}}}}
    rows = table_of(with_file(secret=["password"])).row
    variables |= {"stampede_services": services, "stampede_data": with_file()["stampede_data"]}
    play(script, services=Echo(), holders=2, on_failure="stop", row_of=rows)
    journal = (tmp_path / "journal.lp").read_text()
    assert "no such user: u0@example.org ***" in journal and "it was ***" in journal
    assert 'p0,"x"' not in journal + caplog.text and 'p1,"x"' not in journal + caplog.text
    assert "the script raised" in caplog.text


def test_the_trial_knows_columns_and_no_secrets(with_file: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    found = with_file(secret=["password"]) | {"stampede_script": str(script)}
    script.write_text(
        "async def script(holder):\n    assert int(holder.data['age']) >= 20\n"
        "    assert holder.data['password'] == 'secret'\n"
        "    async for _ in holder.until_end_of_run():\n        await holder.wait(1)\n"
    )
    try_script(found, REPOSITORY / "templates")
    script.write_text("async def script(holder):\n    print(holder.data['emial'])\n")
    with pytest.raises(
        BadInput, match=r"script.py line 2: the script uses holder.data\['emial'\], but users.csv has"
    ):
        try_script(found, REPOSITORY / "templates")
    without = {**found, "stampede_data": {}}
    with pytest.raises(BadInput, match=r"line 2: the script uses holder.data\['emial'\], but stampede_data names no"):
        try_script(without, REPOSITORY / "templates")
