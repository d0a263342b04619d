"""The JSON Schema by which editors complete and check group_vars: it refuses nothing that a run takes, and takes
nothing that a run refuses, but for what EXEMPT names."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stampede.schema.settings.shapes import (
    LONGEST_DURATION,
    LONGEST_INVITATION,
    LONGEST_TEXT,
    MOST_NUMBERS,
    MOST_TEXTS,
    Duration,
    Host,
    Number,
    Numbers,
    Shape,
    TooMuch,
    Url,
    WholeNumber,
)
from stampede.schema.settings.variables import VARIABLES

REPOSITORY = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((REPOSITORY / "inventory/variables.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
BY_NAME = {name: jsonschema.Draft202012Validator(entry) for name, entry in SCHEMA["properties"].items()}
DEFAULTS = {name: entry["default"] for name, entry in SCHEMA["properties"].items()}
"""Some, such as the empty stampede_run_id, the role replaces before code reads them; the schema takes all."""
BY_SHAPE = {shape: name for name, shape in VARIABLES.items()}
"""A variable of each shape."""

HOSTS = (
    *("localhost", "host.example.org", "a_b", "-", "..", "bücher.example", "192.0.2.1", "192.0.2.01", "192.0.2.256"),
    *("10.0.0", "1..2", "::1", "[::1]", "[::1", "::1]", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0", "host:80"),
    *("bad:80", "a:b:c", "[192.0.2.1]", "[]", "192.0.2.1:80"),
)
VALUES: list[Any] = [
    *(None, True, False, 5e-324, -5e-324, 0.1, 1e-7, 2.5, 2.0, -0.0, 1e16, 1e300, -1e300, 2**63, 10**400, 10**4200),
    *(10**21, 10**22 - 1, -(10**64), 111111111111111111111),
    *("yes", "No", "ON", "off", "True", "FALSE", "y", "N", "t", "F", "yEs", "yess", "tr", "yes ", "yes\n", "null"),
    *("", " ", "\n", "a b", "word", "5\n", "a\nb", "a\tb", "a\x85", "a\u2028b", "\ud800", "é", "😀", "{{ a }}"),
    *("90s", "5m", "1h30m", "1h 30m", "30m1h", "1h1h", "1.5h", "1.h", ".5h", "5 minutes", "2d", "h", "0s", "0m0.0s"),
    *("5 ", " 5", "5s\n", "\t5s\xa0", "+5s", "-5s", "5S", "00h1s", "1e3s", "1" * 400, f"-0.{'0' * 400}1"),
    *("-0", "-0.0", "-.0", "-0e5", "-0.5", "-.", "1e-400", "-1e-400", "-1e-3", "1e999", ".", "+", "e5", "1e", "1e+"),
    *("1..2", "10.0.0.1", "+-1", "1,5", "1_0", "0x1", "٣", "inf", "nan", "1.e5", "0" * 3999 + "9", "0" * 4000 + "9"),
    *("90%", "1.5%", "16G", "16 G", "256MB", "256 kB", "256KB", "infinity", "closed", "open", "poisson", "stampede"),
    *("a" * 32, "a" * 33, "a" * 40, "a" * 41, "a" * 64, "a" * 65, "a-", "1a", ".", "..", "..."),
    *("did:web:mediator.example.org", "did:web:", "did:Web:a", "did:web:a\n", "Wg" * 11, "Wg" * 12, "W0" * 11),
    *("http://", "http:/a", "https://a", "HTTPS://A/b?c#d", "ftp://a", "http://a b", "http://a/ b", "//a"),
    *("http://u:p@a", "http://a@", "http://@a", "http://a@b@c", "http://a\\b", "http://?a", "http://a?b#c"),
    *(f"http://a:{port}" for port in ("", "0", "1", "00080", "65535", "65536", "99999", "100000", "b", "8 ", "-1")),
    *(f"http://{host}/x" for host in HOSTS),
    *HOSTS,
    *("a" * length for limit in (LONGEST_TEXT, LONGEST_INVITATION) for length in (limit, limit + 1)),
    *([], [[]], [None], [True], [""], ["a", "b"], ["a\n"], ["a" * 4097], [{}], [{"a": 1}], [{}, 1], {}, {"a": 1}),
    *([1], [1, 2.5, "3", "0.5"], [-1], ["-1"], ["-0"], ["1..2"], ["1e3"], ["5s"], ["5 "]),
    *(["a"] * MOST_TEXTS, ["a"] * (MOST_TEXTS + 1), [{}] * MOST_TEXTS, [{}] * (MOST_TEXTS + 1)),
]
FORMS = ("{}", "+{}", "-{}", "00{}", " {}", "{} ", "{}\n", "{}.", "{}.0", "{}.5", "{}e0", "{}s", "{}h")
"""Texts of a number."""
PARTS = [
    *("0", "1", "7", "9", "65535", ".", "+", "-", "e", "E", "h", "m", "s", " ", "\n", "\xa0", "\u2028", "yes", "No"),
    *("http://", "https:", "/", "[", "]", "::1", ":", "@", "%", "?", "#", "did:", "web", "a", "Z", "_", "é", "G"),
]
texts = st.lists(st.sampled_from(PARTS), max_size=6).map("".join) | st.text(max_size=5)
plain = texts | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = plain | st.lists(plain, max_size=3) | st.dictionaries(texts, plain, max_size=2)

EXEMPT: dict[str, Callable[[Shape, Any], bool]] = {
    "Ansible evaluates it": lambda shape, value: isinstance(value, str) and ("{{" in value or "{%" in value),
    "2.0 and 1e20 are whole numbers in a JSON Schema": lambda shape, value: (
        isinstance(value, float) and value.is_integer()
    ),
    "a number of more than 16 digits": lambda shape, value: isinstance(value, int) and abs(value) >= 10**16,
    "the text of a whole number of thousands of digits": lambda shape, value: (
        isinstance(shape, WholeNumber) and isinstance(value, str) and len(value) > 4000
    ),
    "the text of a duration or number beyond its upper bound, with an exponent, or with hundreds of digits": (
        lambda shape, value: (
            isinstance(shape, Number | Numbers | Duration)
            and isinstance(value, str)
            and (isinstance(refusal(shape, value), TooMuch) or "e" in value.lower() or len(value) > 300)
        )
    ),
    "an IPv6 address is looked at for its characters": lambda shape, value: (
        isinstance(shape, Host) and isinstance(value, str) and ":" in value
    ),
    "a URL's host in brackets, or one that is not ASCII": lambda shape, value: (
        isinstance(shape, Url) and isinstance(value, str) and ("[" in value or not value.isascii())
    ),
}
"""What the schema may take although code refuses it, a predicate for each reason."""


def near_bounds(shape: Shape) -> Iterator[Any]:
    """Numbers at and beside the bounds of a shape, and their texts in many forms."""
    found = {0, 1, 10}
    for name in ("minimum", "maximum", "at_most"):
        found.add(getattr(shape, name, None) or 0)
    if isinstance(shape, Duration):
        found.add(LONGEST_DURATION)
    for bound in found:
        for value in (bound - 1, bound, bound + 1, 10 * bound, -bound):
            yield from (value, float(value), value + 0.5)
            for form in FORMS:
                yield form.format(value)


def refusal(shape: Shape, value: Any) -> Exception | None:
    """The error by which code refuses a value."""
    try:
        shape.read(value)
    except (TypeError, ValueError) as error:
        return error
    return None


def exemptions(shape: Shape, value: Any) -> set[str]:
    """Why the schema may take a value that code refuses."""
    parts = value if isinstance(value, list) else [value]
    return {reason for reason, exempts in EXEMPT.items() if any(exempts(shape, part) for part in parts)}


def agree(name: str, value: Any, exempt: bool = True) -> bool:
    """Whether the schema takes what code takes, and nothing else that is not exempt."""
    shape = VARIABLES[name]
    taken = BY_NAME[name].is_valid(value)
    if refusal(shape, value) is None:
        return taken
    return not taken or value == DEFAULTS[name] or (exempt and bool(exemptions(shape, value)))


def takes(name: str, value: Any) -> bool:
    return VALIDATOR.is_valid({name: value})


def test_it_is_a_schema_of_all_variables() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(VARIABLES)
    assert all(len(entry["description"]) > 10 for entry in SCHEMA["properties"].values())
    assert "C(" not in json.dumps(SCHEMA)


@pytest.mark.parametrize("name", VARIABLES)
def test_it_takes_the_default_and_expressions(name: str) -> None:
    assert takes(name, SCHEMA["properties"][name]["default"])
    assert takes(name, "{{ lookup('env', 'HERE') }}")


@pytest.mark.parametrize("name", VARIABLES)
def test_it_agrees_with_code(name: str) -> None:
    tried = [*VALUES, *near_bounds(VARIABLES[name])]
    assert [reprlib.repr(value) for value in tried if not agree(name, value)] == []


@pytest.mark.parametrize("shape", BY_SHAPE, ids=BY_SHAPE.values())
@given(value=values)
def test_it_agrees_with_code_about_odd_values(shape: Shape, value: Any) -> None:
    assert agree(BY_SHAPE[shape], value)


def test_lists_of_numbers_may_be_long() -> None:
    assert SCHEMA["properties"]["stampede_observed_think_times"]["anyOf"][0]["maxItems"] == MOST_NUMBERS


def test_every_exemption_is_needed() -> None:
    cases = [(shape, name, value) for shape, name in BY_SHAPE.items() for value in [*VALUES, *near_bounds(shape)]]
    needed = [exemptions(shape, value) for shape, name, value in cases if not agree(name, value, exempt=False)]
    assert set().union(*needed) == EXEMPT.keys()


@pytest.mark.parametrize("file", [*REPOSITORY.glob("inventory/*/group_vars/*.yml")], ids=lambda file: file.parts[-3])
def test_the_shipped_inventories_are_right(file: Path) -> None:
    lines = file.read_text().splitlines()
    _, _, reference = lines[0].partition("$schema=")
    assert (file.parent / reference).resolve() == REPOSITORY / "inventory/variables.schema.json"
    VALIDATOR.validate(yaml.safe_load("\n".join(lines)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stampede_holders", "many"),
        ("stampede_holders", 0),
        ("stampede_holders", 2.5),
        ("stampede_ramp_up", "5 minutes"),
        ("stampede_on_failure", "carry on"),
        ("stampede_thresholds", "p95 < 1 s"),
        ("stampede_services", ["issuer"]),
        ("stampede_stages", [1]),
        ("stampede_mediator_did", "https://mediator.example.org"),
        ("stampede_holdres", 5),
        ("stampede_holders", "0"),
        ("stampede_ramp_up", 1e12),
        ("stampede_price", "-1"),
        ("stampede_genesis_url", "a b"),
        ("stampede_agent_host", "http://x"),
        ("cloud_name", None),
        ("cloud_keys_dir", None),
        ("cloud_region", "a\nb"),
    ],
)
def test_slips_are_seen_in_the_editor(name: str, value: Any) -> None:
    assert not takes(name, value)


def test_variables_of_others_are_no_concern_of_it() -> None:
    assert takes("ansible_user", "admin") and takes("mine", [1])
