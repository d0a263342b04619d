"""Secrets in the words of others: no form of one is told, and what is no secret is left as it is."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.holder.holder import Holder
from controller.host.masked_logs import MaskingFormatter
from controller.run.run import Run
from stampede.schema.errors import StepError
from stampede.schema.masking import LONGEST_QUOTED, Mask

KEY = 's3cret/with+odd "letters" & ümlauts\\?'
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "json": json.dumps,
    "json in utf-8": lambda key: json.dumps(key, ensure_ascii=False),
    "json twice": lambda key: json.dumps(json.dumps(key)),
    "json with escaped slashes": lambda key: json.dumps(key).replace("/", "\\/"),
    "json in capitals": lambda key: json.dumps(key).replace("\\u00fc", "\\u00FC"),
    "path": lambda key: quote(key, safe=""),
    "path, slashes left": quote,
    "as a browser does": lambda key: quote(key, safe="!~*'()"),
    "query": quote_plus,
    "query in small letters": lambda key: quote_plus(key).replace("%2F", "%2f").replace("%2B", "%2b"),
    "query twice": lambda key: quote(quote(key, safe=""), safe=""),
    "html": html.escape,
    "html by numbers": lambda key: "".join(letter if letter.isalnum() else f"&#{ord(letter)};" for letter in key),
    "html in base 16": lambda key: "".join(letter if letter.isalnum() else f"&#x{ord(letter):X};" for letter in key),
    "json in a URL": lambda key: quote(json.dumps(key), safe=""),
    "query in a URL": lambda key: quote(quote_plus(key), safe=""),
    "python": lambda key: repr(key.encode()),
}
IN_BASE64: dict[str, Callable[[str], str]] = {
    "alone": lambda key: base64.b64encode(key.encode()).decode(),
    "for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode().rstrip("="),
    "basic": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "basic, other user": lambda key: base64.b64encode(f"users:{key}".encode()).decode(),
    "basic, third user": lambda key: base64.b64encode(f"userss:{key} and more".encode()).decode(),
    "in a URL": lambda key: quote(base64.b64encode(key.encode()).decode(), safe=""),
    "in JSON": lambda key: json.dumps(base64.b64encode(key.encode()).decode()).replace("/", "\\/"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_in_each_form(form: str) -> None:
    masked = Mask([KEY])(f"before {FORMS[form](KEY)} after")
    assert re.fullmatch(r"before (b|[\\\"']|%22)*\*\*\*([\\\"']|%22)* after", masked)


@pytest.mark.parametrize("form", IN_BASE64)
def test_a_secret_in_base64(form: str) -> None:
    masked = Mask([KEY])(f"before {IN_BASE64[form](KEY)} after")
    assert re.fullmatch(r'before "?[A-Za-z0-9]{0,12}\*\*\*(%3D)*"? after', masked)


@pytest.mark.parametrize("secret", ["dGVzdGVyOnBhc3Mtb2Ytd29yZA==", "dGVzdGVyOnBhc3Mtb2Ytd29yZA"])
def test_a_secret_that_is_base64_itself(secret: str) -> None:
    assert Mask([secret])("the password pass-of-word of tester is wrong") == "the password *** of tester is wrong"
    assert Mask([secret])("tester:pass-of-word") == "***"


def test_a_secret_within_another_one_does_not_hide_it() -> None:
    assert Mask(["hush", "hush-hush"])("it is hush-hush, or hush") == "it is ***, or ***"


def test_blanks_around_a_secret_are_no_part_of_it() -> None:
    assert Mask(["  hush\n", "", " "])("it is hush") == "it is ***"
    assert Mask([""])("nothing is secret") == Mask()("nothing is secret") == "nothing is secret"


@pytest.mark.parametrize("before", range(60))
def test_nothing_is_cut_before_it_was_masked(before: int) -> None:
    said = Mask(["hush-hush-hush"]).excerpt("x" * before + "hush-hush-hush and so on" * 9, 40)
    assert "hu" not in said and len(said) <= 40
    at_the_end = Mask(["hush-hush-hush"])("x" * (LONGEST_QUOTED - before // 4) + "hush-hush-hush" * 9)
    assert "hu" not in at_the_end


def test_control_characters_and_halves_of_letters_are_left_out() -> None:
    assert Mask()("\x1b[2Jgone\r\n\x00 and\ud800\u202e well") == "[2Jgone and well"
    assert Mask().lines("a\n\tb\x1b[0m\n") == "a\n\tb [0m\n"


@given(st.text(min_size=1, max_size=20).filter(str.strip), st.text(max_size=30), st.text(max_size=30))
@pytest.mark.fuzz
def test_any_secret_in_any_text(secret: str, before: str, after: str) -> None:
    mask = Mask([secret])
    for form in (str, json.dumps, quote_plus, html.escape, quote):
        assert "***" in mask(f"{before}{form(secret.strip())}{after}")


def test_masking_takes_no_time_that_a_service_decides() -> None:
    """Long runs of what the forms of secrets begin with, and are made of."""
    mask = Mask([KEY, "a" * 40, "\\" * 40, "%" * 40, "x" * 4000])
    begun = time.process_time()
    for part in ("a", "\\", "%25", "&#0", "\\u00", "A", "s3cret/with+odd "):
        mask(part * LONGEST_QUOTED)
    assert time.process_time() - begun < 60  # it is about one


def test_the_log_holds_no_secret(tmp_path: Path) -> None:
    handler = logging.FileHandler(tmp_path / "log")
    handler.setFormatter(MaskingFormatter(logging.Formatter("%(levelname)s %(message)s"), Mask(["hush"])))
    logger = logging.Logger("of its own")
    logger.addHandler(handler)
    try:
        raise ValueError("the key hush is wrong")
    except ValueError:
        logger.exception("holder %s failed with %s", 1, "hush")
    handler.close()
    told = (tmp_path / "log").read_text()
    assert told.startswith("ERROR holder 1 failed with ***\nTraceback (most recent call last):\n  File ")
    assert told.endswith("ValueError: the key *** is wrong\n")


def test_what_is_journaled_of_a_failed_step_holds_no_secret(play: Callable[..., Run], tmp_path: Path) -> None:
    async def script(holder: Holder) -> None:
        async with holder.step("own"):
            raise StepError("x" * 490 + " hush-hush")
        async with holder.step("other"):
            raise KeyError("hush-hush")

    run = play(script, holders=1, on_failure="continue", iterations=1, mask=Mask(["hush-hush"]))
    assert run.figures.errors == {"script_error": 2}
    told = (tmp_path / "journal.lp").read_text()
    assert told.count("***") == 2
    assert "hu" not in told.replace("rush", "")
