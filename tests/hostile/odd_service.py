"""A service that answers in odd ways: each path of it is one, named in ``ODDITIES`` with what must come of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

INVITATION = {
    "@type": "https://didcomm.org/out-of-band/1.1/invitation",
    "@id": "69212a3a-d068-4f9d-a2dd-4741bca89af3",
    "label": "Späti & Söhne >>> ???",
    "services": ["did:sov:WgWxqztrNooG92RXvxSTWv"],
}
OK = ""
REFUSED, UNREACHABLE, BAD = "service_refused", "service_unreachable", "bad_invitation"

type Write = Callable[[asyncio.StreamWriter, "OddService"], Awaitable[None]]


def as_json(value: Any, **options: Any) -> bytes:
    return json.dumps(value, **options).encode()


def oob(message: Any = INVITATION, encode: Callable[[bytes], bytes] = base64.urlsafe_b64encode) -> str:
    return encode(json.dumps(message, ensure_ascii=False).encode()).decode().rstrip("=")


def http(body: bytes = b"", status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    """A whole answer. A header's name is written with ``_`` for ``-``; one that is empty is left out."""
    named = {"Content-Type": kind, "Content-Length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("utf-8", "surrogateescape") + body


def redirect(location: str, status: str = "302 Found", **headers: str) -> bytes:
    return http(b"moved", status, "text/plain", Location=location, **headers)


@dataclass(frozen=True)
class Oddity:
    """One answer: bytes, or what writes it; the error class that must come of it, and what its detail must say."""

    answer: bytes | Write
    error: str = OK
    says: str = ""


async def endless(writer: asyncio.StreamWriter, service: OddService) -> None:
    """More than anybody wants."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"[" * 65536 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)


async def dripping(writer: asyncio.StreamWriter, service: OddService) -> None:
    """A byte now and then, without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)


async def silent(writer: asyncio.StreamWriter, service: OddService) -> None:
    await asyncio.sleep(60)


def bomb() -> bytes:
    """100 MB of blanks."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(100)) + packer.flush()
    return http(packed, Content_Encoding="gzip")


BODY = as_json({"invitation": INVITATION})

ODDITIES: dict[str, Oddity] = {
    # what a service may well answer
    "plain": Oddity(http(BODY)),
    "no_type": Oddity(http(BODY, kind="")),
    "html_type": Oddity(http(BODY, kind="text/html; charset=utf-8")),
    "bom": Oddity(http(b"\xef\xbb\xbf" + BODY)),
    "utf_16": Oddity(http(BODY.decode().encode("utf-16"), kind="application/json; charset=utf-16")),
    "latin_1": Oddity(
        http(json.dumps(INVITATION, ensure_ascii=False).encode("latin-1"), kind="application/json; charset=latin-1")
    ),
    "gzip": Oddity(http(gzip.compress(BODY), Content_Encoding="gzip")),
    "json_in_a_field": Oddity(http(as_json({"statusCode": 200, "body": BODY.decode()}))),
    "json_in_json_in_json": Oddity(http(as_json(json.dumps(json.dumps(INVITATION))))),
    "json_api": Oddity(http(as_json({"data": {"type": "invitations", "attributes": {"content": INVITATION}}}))),
    "base64_in_a_field": Oddity(http(as_json({"token": "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.x", "b64": oob()}))),
    "base64": Oddity(http(oob().encode(), kind="text/plain")),
    "in_a_list": Oddity(http(as_json([{"x": None}, [[INVITATION]]]))),
    "fragment": Oddity(http(as_json({"url": f"https://wallet.example.org/#/connect?oob={oob()}"}))),
    "fragment_alone": Oddity(http(f"https://wallet.example.org/#oob={oob()}".encode(), kind="text/plain")),
    "raw_plus": Oddity(http(as_json({"url": f"https://e.org/?oob={oob(encode=base64.b64encode)}"}))),
    "encoded_plus": Oddity(
        http(as_json({"url": f"https://e.org/?oob={oob(encode=base64.b64encode).replace('+', '%2B')}"}))
    ),
    "deep_link": Oddity(http(as_json({"url": f"didcomm://x?url=https%3A%2F%2Fe.org%2F%3Foob%3D{oob()}"}))),
    "page_with_a_link": Oddity(
        http(f'<p><a href="https://e.org/?a=1&amp;oob={oob()}">Open</a></p>'.encode(), kind="text/html")
    ),
    "help_first": Oddity(http(as_json({"help": "https://docs.example.org/?oob=example", "invitation": INVITATION}))),
    "help_is_json": Oddity(
        http(as_json({"help": f"https://docs.example.org/?oob={oob({'a': 1})}", "x": INVITATION}))
    ),
    "redirect_to_it": Oddity(redirect(f"https://e.org/?oob={oob()}")),
    "redirect_with_plus": Oddity(redirect(f"https://e.org/?oob={oob(encode=base64.b64encode)}")),
    "redirect_to_an_app": Oddity(redirect(f"didcomm://invite?oob={oob()}")),
    "redirect_relative": Oddity(redirect("plain")),
    "redirect_5": Oddity(redirect("redirect_4")),
    "redirect_4": Oddity(redirect("redirect_3", "301 Moved")),
    "redirect_3": Oddity(redirect("redirect_2", "303 See")),
    "redirect_2": Oddity(redirect("redirect_1", "307 Again")),
    "redirect_1": Oddity(redirect("plain", "308 Again")),
    "informed_first": Oddity(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http(BODY)),
    "kept_cookie": Oddity(redirect("wants_cookie", Set_Cookie="session=x1; Path=/; HttpOnly")),
    "strange_status": Oddity(http(BODY, "299 Odd")),
    "partial": Oddity(http(BODY, "206 Partial")),
    # what is a failure of the service
    "wants_cookie": Oddity(http(b"no session", "403 Forbidden", "text/plain"), REFUSED, "answered 403 no session"),
    "not_utf_8": Oddity(http(b'{"label": "\xff\xfe\xfa"}'), BAD, "answered 200"),
    "unknown_charset": Oddity(http(BODY, kind="application/json; charset=klingon"), BAD, "answered 200 in the enc"),
    "charset_of_python": Oddity(http(BODY, kind="text/plain; charset=rot13"), BAD, "answered 200"),
    "charset_punycode": Oddity(http(b"a-b" * 9999, kind="text/plain; charset=punycode"), BAD, "answered 200"),
    "bad_gzip": Oddity(http(b"this is not packed", Content_Encoding="gzip"), UNREACHABLE, "answered 200"),
    "half_gzip": Oddity(http(gzip.compress(BODY * 99)[:50], Content_Encoding="gzip"), BAD, "answered 200"),
    "unknown_coding": Oddity(http(b"\x00\x01", Content_Encoding="snappy"), BAD, "answered 200"),
    "brotli": Oddity(http(b"\x0b\x02", Content_Encoding="br"), UNREACHABLE, "gave no answer that HTTP knows: Can"),
    "longer_than_said": Oddity(http(BODY, Content_Length="9999"), UNREACHABLE, "answered 200, but its"),
    "gzip_bomb": Oddity(bomb(), REFUSED, "answered 200 with more than"),
    "endless": Oddity(endless, REFUSED, "answered 200 with more than"),
    "dripping": Oddity(dripping, "timeout", "had not answered completely within"),
    "silent": Oddity(silent, "timeout", "had not answered completely within"),
    "begins_like_json": Oddity(http(b'{"invitation": oops'), BAD, "answered 200: no invitation"),
    "deep": Oddity(http(b"[" * 200_000 + b"]" * 200_000), BAD, "answered 200"),
    "deep_object": Oddity(http(b'{"a":' * 900 + b"1" + b"}" * 900), BAD, "answered 200"),
    "deep_invitation": Oddity(
        http(b'{"@type": "x/invitation", "a":' + b"[" * 500 + b"]" * 500 + b"}"), BAD, "answered 200"
    ),
    "nul": Oddity(http(b"\x00\x00\x00"), BAD, "answered 200"),
    "control_characters": Oddity(http(b"\x1b[2Jgone\r\n\x07"), BAD, "answered 200: no invitation"),
    "lone_surrogate": Oddity(http(b'{"label": "\\ud800"}'), BAD, "answered 200"),
    "long_number": Oddity(http(b'{"n": ' + b"9" * 9999 + b"}"), BAD, "answered 200"),
    "number": Oddity(http(b"1e999"), BAD, "answered 200"),
    "not_a_number": Oddity(http(b"NaN"), BAD, "answered 200"),
    "null": Oddity(http(b"null"), BAD, "answered 200"),
    "text": Oddity(http(b'"welcome"'), BAD, "answered 200"),
    "empty": Oddity(http(b""), BAD, "answered 200: no invitation in the response: it is empty"),
    "no_content": Oddity(http(b"", "204 No Content", ""), BAD, "answered 204"),
    "not_modified": Oddity(http(b"", "304 Not Modified", ""), BAD, "answered 304"),
    "undecodable": Oddity(http(b'{"url": "https://e.org/?oob=%%%"}'), BAD, "answered 200: the URL's oob="),
    "oob_of_a_list": Oddity(http(as_json({"url": f"https://e.org/?oob={oob([1])}"})), BAD, "no JSON object"),
    "oob_deep": Oddity(
        http(b"https://e.org/?oob=" + base64.b64encode(b"[" * 99_999), kind="text/plain"), BAD, "answered 200"
    ),
    "html": Oddity(http(b"<html>Welcome</html>", kind="text/html"), BAD, "no invitation in the response: <html>"),
    "refuses": Oddity(http(b"busy", "503 Service Unavailable", "text/plain"), REFUSED, "answered 503 busy"),
    "refuses_in_latin_1": Oddity(http("geschützt".encode("latin-1"), "403 Nein"), REFUSED, "answered 403 gesch"),
    "refuses_in_gzip": Oddity(
        http(b"not packed", "500 Oops", Content_Encoding="gzip"),
        UNREACHABLE,
        "answered 500, but its answer broke off",
    ),
    "hangs_up": Oddity(b"", UNREACHABLE),
    "hangs_up_in_the_head": Oddity(b"HTTP/1.1 200 OK\r\nContent-Le", UNREACHABLE),
    "hangs_up_midway": Oddity(http(BODY)[:-9], UNREACHABLE, "answered 200, but its answer broke off"),
    "bad_chunks": Oddity(http(b"zz\r\nhello", Transfer_Encoding="chunked", Content_Length=""), UNREACHABLE),
    "no_http": Oddity(b"SSH-2.0-OpenSSH_9.6\r\n", UNREACHABLE),
    "bad_status": Oddity(b"HTTP/1.1 abc OK\r\n\r\n", UNREACHABLE),
    "status_zero": Oddity(http(BODY, "000 Nothing"), UNREACHABLE, "000"),
    "status_beyond": Oddity(http(BODY, "700 More"), UNREACHABLE, "700"),
    "bad_length": Oddity(http(BODY, Content_Length="-5"), UNREACHABLE),
    "two_lengths": Oddity(http(BODY, Content_Length="5\r\nContent-Length: 7"), UNREACHABLE),
    "long_header": Oddity(http(BODY, X_Long="x" * 100_000), UNREACHABLE),
    "many_headers": Oddity(http(BODY, **{f"X_{number}": "x" for number in range(9999)}), UNREACHABLE),
    "switching": Oddity(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello", BAD, "101"),
    "no_location": Oddity(http(b"moved", "302 Found"), REFUSED, "answered 302 without a Location"),
    "empty_location": Oddity(redirect(" "), REFUSED, "answered 302"),
    "bad_location": Oddity(redirect("http://[half"), REFUSED, "answered 302 with a Location that is no"),
    "bad_port": Oddity(redirect("http://127.0.0.1:99999999/"), REFUSED, "answered 302 with a Location that is no"),
    "word_port": Oddity(redirect("http://127.0.0.1:port/"), REFUSED, "answered 302 with a Location that is no"),
    "no_host": Oddity(redirect("http:///path"), REFUSED, "answered 404 no such path"),  # of the same host
    "bytes_in_location": Oddity(redirect("http://\udcff\udcfe/"), REFUSED, "answered 302"),
    "to_ftp": Oddity(redirect("ftp://127.0.0.1/invitation"), REFUSED, "answered 302 with a Location that is no"),
    "to_data": Oddity(redirect("data:application/json,{}"), REFUSED, "answered 302 with a Location that is no"),
    "to_file": Oddity(redirect("file:///etc/passwd"), REFUSED, "answered 302 with a Location that is no"),
    "to_script": Oddity(redirect("javascript:alert(1)"), REFUSED, "answered 302 with a Location that is no"),
    "to_bad_oob": Oddity(redirect("https://e.org/?oob=%%%"), BAD, "answered 302: the URL's oob="),
    "redirect_6": Oddity(redirect("redirect_5"), REFUSED, "redirected more than 5 times"),
    "redirect_loop": Oddity(redirect("redirect_loop"), REFUSED, "redirected more than 5 times"),
}


NOT_FOUND = Oddity(http(b"no such path", "404 Not Found", "text/plain"))


@dataclass
class OddService:
    """The service while it is up. ``asked`` has the head of each request, ``bodies`` its body."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    oddities: dict[str, Oddity] = field(default_factory=lambda: dict(ODDITIES))
    stays: bool = False
    """Whether connections are kept for further requests."""
    lose_next: int = 0
    """How many requests get no answer: their connection is closed."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer) and self.stays:
                pass  # the next request
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\n"))
        }
        self.asked.append(head)
        self.bodies.append(await reader.readexactly(int(fields.get("content-length", 0))))
        if self.lose_next:
            self.lose_next -= 1
            return False
        name = head.split()[1].partition("?")[0].strip("/")
        if name == "wants_cookie" and "session=x1" in fields.get("cookie", ""):
            name = "plain"
        answer = self.oddities.get(name, NOT_FOUND).answer
        if isinstance(answer, bytes):
            writer.write(answer)
        else:
            await answer(writer, self)
        await writer.drain()
        return True


@contextlib.asynccontextmanager
async def odd_service(context: ssl.SSLContext | None = None) -> AsyncIterator[OddService]:
    service = OddService()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, ssl=context)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
