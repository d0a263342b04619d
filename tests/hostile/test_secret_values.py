"""Secrets as they come out of files and vaults, and headers that cannot be sent."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.host.host_run import HostRun
from controller.services.client import HttpServices
from stampede.influxdb.client import connect
from stampede.prepare.preflight import probe_run
from stampede.results.replay import secret_of
from stampede.schema.errors import BadInput, BadInvitation
from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.secret_settings import AROUND, not_sendable, read_secrets, surrounded

WORDS = [
    "plain",
    "wörd",
    "é",
    "😀🗝",
    "a:b@c%d/e?f#g",
    "'single' \"double\" `back`",
    "back\\slash\\",
    ".dots.",
    "$HOME ${x} {{ y }}",
    "пароль",
    "a b",
    "\u00a0no break\u00a0",
    "%C3%A9",
]
AROUNDS = ["\n", "\r\n", "\n\n", " \t", "\ufeff"]


class Authorized(http.server.BaseHTTPRequestHandler):
    """Notes the logins, byte by byte."""

    seen: list[bytes]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.headers["Authorization"] or "").encode("latin-1"))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def influxdb() -> Iterator[tuple[str, list[bytes]]]:
    """The URL of a server, and the Authorization headers that it was sent."""
    seen: list[bytes] = []
    handler = type("Handler", (Authorized,), {"seen": seen})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


@pytest.mark.parametrize("word", WORDS)
def test_a_login_of_any_unicode_is_sent_to_influxdb_in_utf8(influxdb: tuple[str, list[bytes]], word: str) -> None:
    url, seen = influxdb
    user = word.replace(":", "")
    assert connect(Influxdb(url, "d", user), word).write(b"x y=1 1\n").ok
    assert connect(Influxdb(url, org="o", bucket="d/autogen"), f"{user}:{word}").write(b"x y=1 1\n").ok
    assert base64.b64decode(seen[0].removeprefix(b"Basic ")) == f"{user}:{word}".encode()
    assert seen[1] == f"Token {user}:{word}".encode()


@pytest.mark.parametrize("word", WORDS)
async def test_a_secret_of_any_unicode_is_sent_to_a_service_in_utf8(
    influxdb: tuple[str, list[bytes]], variables: dict[str, Any], word: str
) -> None:
    url, seen = influxdb
    request = {
        "url": f"{url}/x",
        "headers": {"Authorization": "Bearer ${secret:word}"},
        "body": {"w": "${secret:word}"},
    }
    changes = {"stampede_services": {"s": {"invitation": request}}, "stampede_mediator_did": ""}
    settings = Settings.from_variables(variables | changes | {"stampede_secrets": {"word": word}})
    async with HttpServices(settings, {"word": word}) as services:
        with pytest.raises(BadInvitation):  # an answer without content holds none
            await services.request_invitation("s", {})
    assert seen == [f"Bearer {word}".encode().rstrip(b" ")]


@pytest.mark.parametrize("around", AROUNDS)
def test_what_surrounds_a_secret_is_left_out_everywhere_and_told(
    influxdb: tuple[str, list[bytes]], variables: dict[str, Any], tmp_path: Path, around: str
) -> None:
    url, seen = influxdb
    written = {"influxdb_password": f"{around}wörd{around}", "token": f"a{around}", "clean": "a \n b"}
    metrics = {"stampede_metrics": "existing", "stampede_influxdb_url": url, "stampede_influxdb_user": "u"}
    metrics |= {f"stampede_influxdb_{name}": "" for name in ("org", "bucket", "ca_file")}
    metrics |= {"stampede_influxdb_database": "d", "stampede_mediator_did": "", "stampede_secrets": written}
    settings = Settings.from_variables(
        variables | metrics | {"stampede_services": {"s": {"invitation": {"url": f"{url}/x"}}}}
    )
    probe_run(settings, written)
    assert base64.b64decode(seen[-1].removeprefix(b"Basic ")).decode() == "u:wörd"
    assert secret_of(Influxdb(url, "d", "u"), written) == "wörd"
    (tmp_path / "secrets.json").write_text(json.dumps(written))
    taken = HostRun(None, settings, tmp_path)._take_secrets()  # type: ignore[arg-type]
    assert taken == {"influxdb_password": "wörd", "token": "a", "clean": "a \n b"}
    assert not (tmp_path / "secrets.json").exists()
    assert surrounded(written) == [
        f"stampede_secrets.{name} has blank space or line breaks around it, which are left out"
        for name in ("influxdb_password", "token")
    ]


def services(**headers: str) -> dict[str, Any]:
    return {
        "stampede_services": {
            "issuer": {"invitation": {"url": "https://x", "headers": headers, "body": "${secret:key}"}}
        }
    }


@pytest.mark.parametrize("secret", ["two\nlines", "two\r\nlines", "nul\0", "esc\x1b[0m", "del\x7f"])
def test_a_secret_that_no_header_can_carry_is_told_where_it_is_used(secret: str) -> None:
    secrets = {"stampede_secrets": {"key": secret, "other": "word\n"}}
    assert not_sendable(secrets | services(Accept="application/json", Authorization="Bearer ${secret:other}")) == []
    (sentence,) = not_sendable(secrets | services(Authorization="Bearer ${secret:key}"))
    assert sentence == (
        "stampede_services.issuer.invitation.headers.Authorization uses stampede_secrets.key, which holds a line "
        "break or another control character, which no HTTP header can carry"
    )
    (sentence,) = not_sendable({"stampede_secrets": {"influxdb_token": secret}, "stampede_influxdb_bucket": "b"})
    assert sentence.startswith("stampede_secrets.influxdb_token holds a line break")
    with pytest.raises(BadInput, match=r"influxdb_token holds a line break"):
        connect(Influxdb("https://localhost", org="o", bucket="b"), secret)
    assert not_sendable({"stampede_secrets": {"influxdb_password": secret}, "stampede_influxdb_bucket": ""}) == []


def test_a_password_that_no_postgresql_takes() -> None:
    (sentence,) = not_sendable({"stampede_secrets": {"postgresql_password": "a\0b"}})
    assert sentence.startswith("stampede_secrets.postgresql_password holds the character NUL")


def test_a_user_of_influxdb_whom_http_cannot_name(variables: dict[str, Any]) -> None:
    given = {f"stampede_influxdb_{name}": "" for name in ("org", "bucket", "ca_file")}
    given |= {
        "stampede_influxdb_url": "https://x",
        "stampede_influxdb_database": "d",
        "stampede_influxdb_user": "a:b",
    }
    with pytest.raises(BadInput, match=r"stampede_influxdb_user is 'a:b'; it must have no colon"):
        Influxdb.from_variables(given)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.fuzz
@given(VALUES, VALUES)
def test_whatever_secrets_and_services_are_no_secret_is_told(secrets: Any, requests: Any) -> None:
    named = {"stampede_secrets": secrets, "stampede_services": {"issuer": {"invitation": requests}}}
    for value in (secrets, requests):
        for sentence in (*not_sendable(named), *surrounded(value)):
            assert sentence.startswith("stampede_")
        assert all(secret == secret.strip(AROUND) for secret in read_secrets(value).values())


@pytest.mark.fuzz
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=12))
def test_a_notice_does_not_tell_the_secret(secret: str) -> None:
    told = surrounded({"key": f"\n{secret}"})
    assert told == ["stampede_secrets.key has blank space or line breaks around it, which are left out"]
    assert read_secrets(read_secrets({"key": secret})) == read_secrets({"key": secret})
