"""Every setting in every wrong shape: a sentence that names the setting, and nothing else is raised.

Both come from the settings' own source, the argument specs of the roles: a setting that is added is tested here.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stampede.schema.errors import BadInput
from stampede.schema.settings.durations import seconds
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.settings.shapes import (
    Choice,
    Duration,
    Host,
    Mapped,
    Mappings,
    Number,
    Numbers,
    Pattern,
    Shape,
    Switch,
    Text,
    TextOrMapped,
    Texts,
    Url,
    WholeNumber,
)
from stampede.schema.settings.targets import Targets, did_urls
from stampede.schema.settings.thresholds import parse
from stampede.schema.settings.variable_reader import shape_problems
from stampede.schema.settings.variables import VARIABLES

DATE = datetime.date(2026, 11, 22)
NO_TEXTS = (True, False, [], ["a"], {}, {"a": 1}, DATE, datetime.datetime(2026, 11, 22, 18, 3), b"a", {1}, object())
NO_LINES = ("a\nb", "a\r", "\0", "a\x1b[31m", "\x7f", "\x9b", "a\u2028b", "\ud800", "x" * 5000)
NO_NUMBERS = (
    *(*NO_TEXTS, *NO_LINES, None, "", " ", "many", "٣", "1_000", " 5", "5 ", "0x10", "1,5", "--1", "+", "1e", "."),
    *(math.nan, math.inf, -math.inf, "nan", "inf", "Infinity", "9" * 5000),
)
WRONG: dict[type[Shape], tuple[Any, ...]] = {
    WholeNumber: (*NO_NUMBERS, -1, "-1", 2.5, 3.0, "2.5", "1e3", 2**80, str(2**80), 2**80_000, 10**12 * 10**9),
    Number: (*NO_NUMBERS, -1, "-0.5", 1e300, "1e300", 2**80_000, "1e999"),
    Duration: (
        *(*NO_TEXTS, *NO_LINES, None, "", "soon", "5 minutes", "m", "٣s", "1_0s", "1h-5m", "s5", -1, "-1", "-5m"),
        *(math.nan, math.inf, "inf", 1e300, "1e300", 2**2000, "9" * 400, f"{'9' * 400}h", "9000h"),
    ),
    Text: (*NO_TEXTS, *NO_LINES),
    Texts: (
        True,
        0,
        5,
        2.5,
        None,
        "a",
        {"a": 1},
        DATE,
        b"a",
        [1],
        [None],
        [True],
        [[]],
        [DATE],
        ["a\nb"],
        ["a"] * 5000,
    ),
    Choice: (*NO_TEXTS, *NO_LINES, None, 0, 1, 2.5, "", "some", "None", "none "),
    Switch: (
        None,
        "",
        "maybe",
        "perhaps",
        " yes",
        "yes\n",
        "2",
        2,
        -1,
        1.5,
        math.nan,
        [],
        [True],
        {},
        DATE,
        b"yes",
        "ja",
    ),
    Mapped: (None, "", "one", 5, True, [], ["a"], [{"a": 1}], DATE),
    Mappings: (None, "", "one", 5, True, {}, {"a": 1}, ["a"], [[]], [None], [{}, 1], DATE, [{}] * 5000),
    Numbers: (None, 5, True, "5", ["a"], [None], [-1], [True], [[1]], [float("nan")], {"a": 1}, DATE, [1] * 200_000),
    TextOrMapped: (None, 5, True, [], ["a"], DATE, *NO_LINES[:-1], "x" * 30_000),
    Url: (
        *(*NO_TEXTS, *NO_LINES, 5, "ledger", "ftp://l.example.org", "https://", "https://[::1", "https://l:99999"),
        *("https://l:0/", "https://l.example.org/a b", "https://l\\@m.example.org"),
    ),
    Host: (*NO_TEXTS, *NO_LINES, None, "", 5, "a b", "a/b", "a;b", "$(a)", "a\u202eb", "a:8600", "[::1]:8600", "[a]"),
    Pattern: (*NO_TEXTS, *NO_LINES, "a b", "a/b", "a;b", "$(a)", "a\u202eb"),
}


def wrong_values(name: str) -> tuple[Any, ...]:
    shape = VARIABLES[name]
    return WRONG[type(shape)] + (("", None) if shape == Text(may_be_empty=False) else ())


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_a_wrong_shape_has_a_sentence(name: str) -> None:
    for value in wrong_values(name):
        sentences = shape_problems({name: value})
        assert len(sentences) == 1, f"{name} = {value!r:.100} is taken"
        assert_readable(sentences, name)


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_no_check_of_a_run_trips_over_a_wrong_shape(variables: dict[str, Any], name: str) -> None:
    optional = (
        *("agent_patches", "data", "load_model", "first_holder", "local", "notes", "self_attested"),
        *("mediator_invitation", "observed_think_times", "think_time_scale", "think_times"),
        *("scripts", "search", "warm_up", "cool_down"),
        *("otlp_url", "otlp_headers", "otlp_ca_file"),
        *("iterations_per", "share", "stages"),  # arrivals and their rate are not the closed model's
    )
    read = {*variables, *(f"stampede_{each}" for each in optional)}
    for value in wrong_values(name):
        sentences = check_variables(variables | {name: value})
        assert len(sentences) == (name in read), f"{name} = {value!r:.100}: {sentences}"
        assert_readable(sentences, name)


def assert_readable(sentences: list[str], name: str) -> None:
    """Each in one line that a terminal can show, and about that variable."""
    for sentence in sentences:
        assert sentence.split()[0] == name
        assert sentence.isprintable() and len(sentence) < 600


@pytest.mark.parametrize("did", ["did:web:%00", "did:web:%1B%5B31m", "did:web:a%0Ab", "did:web:%C2%9B"])
def test_a_did_that_hides_control_characters(variables: dict[str, Any], did: str) -> None:
    (sentence,) = check_variables(variables | {"stampede_mediator_did": did})
    assert sentence.startswith(f"stampede_mediator_did is '{did}', but ")
    assert sentence.isprintable()


INFLUXDB = [name for name in VARIABLES if name.startswith("stampede_influxdb_")]


@pytest.mark.parametrize("name", INFLUXDB)
def test_nor_over_those_of_an_influxdb(variables: dict[str, Any], name: str) -> None:
    server = dict.fromkeys(INFLUXDB, "") | {
        "stampede_metrics": "existing",
        "stampede_influxdb_url": "https://influx.example.org",
        "stampede_influxdb_bucket": "b",
        "stampede_influxdb_org": "o",
        "stampede_influxdb_flush": 30,
        "stampede_secrets": {"influxdb_token": "hush-hush"},
    }
    assert check_variables(variables | server) == []
    for value in wrong_values(name):
        assert_readable(check_variables(variables | server | {name: value}), name)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=5),
    st.sampled_from(
        [2**80, 10**400, "did:web:a%00b", "did:peer:2.SeyJ", "https://[", "${secret:a}", "p95 < 2 s", "*"]
    ),
)
YAML = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=8), st.integers(), st.none(), st.booleans()), inner, max_size=4),
    ),
    max_leaves=12,
)
REQUEST = st.dictionaries(
    st.sampled_from(["url", "method", "headers", "body", "found_at", "verified", "interval", "more"]),
    st.one_of(YAML, st.just("https://issuer.example.org/"), st.dictionaries(st.text(max_size=8), YAML, max_size=2)),
)
SERVICES = st.dictionaries(
    st.one_of(st.just("issuer"), st.text(max_size=5), st.integers(), st.none(), st.booleans(), st.dates()),
    st.one_of(
        YAML,
        st.dictionaries(
            st.sampled_from(["invitation", "revocation", "result", "ca_file", "more"]), st.one_of(REQUEST, YAML)
        ),
    ),
    max_size=3,
)
LEDGERS = st.lists(
    st.dictionaries(
        st.sampled_from(
            ["id", "genesis_url", "genesis_file", "genesis_transactions", "is_production", "is_write", "more"]
        ),
        st.one_of(YAML, st.just("a"), st.just("https://ledger.example.org/"), st.just('{"txn": {}}')),
    ),
    max_size=3,
)
NESTED = {"stampede_services": SERVICES, "stampede_ledgers": LEDGERS}


@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_settings_of_any_values_are_refused_in_sentences(variables: dict[str, Any], data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(VARIABLES)), min_size=1, max_size=6, unique=True))
    changed = {name: data.draw(NESTED.get(name, YAML), label=name) for name in names}
    try:
        read = Settings.from_variables(variables | changed)
    except BadInput as error:
        assert error.sentences and all(sentence.isprintable() for sentence in error.sentences)
    else:
        assert read.public()


@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(services=SERVICES)
def test_so_are_services(variables: dict[str, Any], services: dict[Any, Any]) -> None:
    sentences = check_variables(variables | {"stampede_services": services})
    assert all(sentence.isprintable() for sentence in sentences)


@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(ledgers=LEDGERS)
def test_so_are_ledgers(variables: dict[str, Any], ledgers: list[Any]) -> None:
    sentences = check_variables(variables | {"stampede_ledgers": ledgers})
    assert all(sentence.isprintable() and sentence.startswith("stampede_ledgers") for sentence in sentences)


@pytest.mark.fuzz
@given(
    st.one_of(st.text(max_size=60), st.from_regex(r'("\w* ?"|\w+ )?(p\d\d|mean|errors) ?[<>=]+ ?\d+(\.\d+)? ?\S*'))
)
def test_a_threshold_is_read_or_refused(text: str) -> None:
    try:
        threshold = parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert math.isfinite(threshold.limit)


@pytest.mark.fuzz
@given(st.one_of(st.text(max_size=40), st.from_regex(r"[0-9.]{0,9}[hms]?[0-9.]{0,9}[hms]?"), YAML))
def test_a_duration_is_read_or_refused(value: Any) -> None:
    try:
        read = seconds(value)
    except ValueError:
        return
    assert 0 <= read < math.inf


HOSTS = st.from_regex(
    r"(\*|[a-z0-9\u00fc-]{1,4}|\[?[0-9a-f:]{2,9}\]?|[0-9]{1,3}(\.[0-9]{1,3}){3})"
    r"(\.[a-z*?]{1,3})?(/[0-9]{1,3})?(:[0-9]{1,6})?"
)


@pytest.mark.fuzz
@given(st.lists(st.one_of(st.text(max_size=30), HOSTS), max_size=4), st.one_of(st.text(max_size=40), HOSTS))
def test_targets_are_read_or_refused(entries: list[str], host: str) -> None:
    try:
        targets = Targets(entries)
    except BadInput as error:
        assert error.sentences
        return
    assert targets.refusal("https://nobody.invalid/") or entries
    targets.refusal(host)
    targets.refusal(f"https://{host}/")


@pytest.mark.fuzz
@given(st.one_of(st.text(max_size=60), st.from_regex(r"did:(web|peer|key):[24]?(\.S)?[ -~]{0,60}", fullmatch=True)))
def test_a_did_names_urls_or_none(did: str) -> None:
    assert all(isinstance(url, str) for url in did_urls(did))
