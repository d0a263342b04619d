"""Masks secrets in text that somebody else wrote: a service that repeats a header in its error page, an agent."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from html.entities import codepoint2name

LONGEST_QUOTED = 32_768
"""Characters of a text that are quoted at most; no form of a secret is as long."""
_SHORTEST_PART = 4
"""Characters; shorter parts of a secret stand in too many texts to be masked there."""
_BACKSLASH = r"(?:\\|%(?:25){0,3}5c)"
_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}


class Mask:
    """Replaces each secret by ``***``, in whatever form it is written.

    The forms: as it is, in any case; escaped as in JSON, HTML or Python, also several times; percent-encoded, wholly
    or in part; in base64 of both alphabets, also within a longer text, such as that of ``user:password``. A secret
    that is base64 itself is masked decoded as well.
    """

    def __init__(self, secrets: Iterable[str] = (), *, decoded: bool = True) -> None:
        """``decoded``: whether what a secret says when it is base64 itself is a secret too."""
        self._secrets, self._decoded = tuple(secrets), decoded
        found = {text for secret in self._secrets for text in _texts_of(secret, decoded=decoded)}
        texts = sorted(found, key=len, reverse=True)
        forms = dict.fromkeys([*map(_written, texts), *(core for text in texts for core in _base64_cores(text))])
        self._forms = re.compile("|".join(forms), re.IGNORECASE) if forms else None

    def with_more(self, secrets: Iterable[str]) -> Mask:
        """One that replaces these, too."""
        return Mask((*self._secrets, *secrets), decoded=self._decoded)

    def __call__(self, text: str) -> str:
        """The text without secrets, on one line of printable characters."""
        return " ".join(_printable(self._masked(text), kept="").split())

    def lines(self, text: str) -> str:
        """The text without secrets, of printable characters and line breaks."""
        return _printable(self._masked(text), kept="\n\t")

    def finds(self, text: str) -> bool:
        """Whether a secret is in the text."""
        return bool(self._forms and self._forms.search(text))

    def _masked(self, text: str) -> str:
        """The text, or as much as is quoted of it; a secret that begins there is looked for beyond its end."""
        parts, at = [], 0
        for found in self._forms.finditer(text, 0, 2 * LONGEST_QUOTED) if self._forms else ():
            if found.start() >= LONGEST_QUOTED:
                break
            parts += [text[at : found.start()], "***"]
            at = found.end()
        return "".join([*parts, text[at:LONGEST_QUOTED]])

    def excerpt(self, text: str, most: int) -> str:
        """The beginning of the text without secrets: nothing is cut before it was masked."""
        masked = self(text)
        return masked if len(masked) <= most else masked[: most - 3] + "..."


def _printable(text: str, kept: str) -> str:
    return "".join(letter if letter.isprintable() or letter in kept else " " for letter in text)


def _texts_of(secret: str, *, decoded: bool) -> Iterator[str]:
    """A secret, without blanks around it, and what it says when it is base64, such as ``user:password``."""
    secret = secret.strip()
    if not secret:
        return
    yield secret
    if not decoded:
        return
    try:  # either alphabet is taken
        said = base64.b64decode(secret + "=" * (-len(secret) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return
    for part in (said, said.partition(":")[2]):
        if len(part) >= _SHORTEST_PART and part.isprintable():
            yield part


def _written(text: str) -> str:
    """An expression for a text in every form but base64."""
    first, *others = (_letter(letter) for letter in text)
    return first + "".join(f"{_BACKSLASH}{{0,8}}{letter}" for letter in others)


def _letter(letter: str) -> str:
    """An expression for every way to write a letter."""
    if letter.isascii() and letter.isalnum():
        return letter  # nothing encodes these
    utf8 = letter.encode("utf-8", "surrogatepass")
    utf16 = letter.encode("utf-16-be", "surrogatepass").hex()
    number = ord(letter)
    ways = [
        re.escape(letter),
        "".join(map(_percent, utf8)),
        "".join(f"{_BACKSLASH}{{1,8}}u{utf16[at : at + 4]}" for at in range(0, len(utf16), 4)),
        "".join(f"{_BACKSLASH}{{1,8}}x{byte:02x}" for byte in utf8),
        f"&#(?:0{{0,4}}{number}|x0{{0,4}}{number:x});",
    ]
    if name := codepoint2name.get(number):
        ways.append(f"&{name};")
    if letter in _ESCAPES:
        ways.append(f"{_BACKSLASH}{{1,8}}{_ESCAPES[letter]}")
    if letter == " ":
        ways += [r"\+", _percent(ord("+"))]
    return f"(?:{'|'.join(ways)})"


def _percent(byte: int) -> str:
    """An expression for a byte that is percent-encoded, once or several times."""
    return f"%(?:25){{0,3}}{byte:02x}"


def _base64_cores(text: str) -> Iterator[str]:
    """Expressions for the letters of base64 that say a text, wherever it stands in what was encoded."""
    data = text.encode("utf-8", "surrogatepass")
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode()
        core = encoded[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]  # the letters that say nothing else
        if len(core) >= _SHORTEST_PART:
            yield "".join(_base64_letter(letter) for letter in core) + "[A-Za-z0-9+/_-]*=*"


def _base64_letter(letter: str) -> str:
    other = {"+": "-", "/": "_"}.get(letter)
    return f"(?:{_letter(letter)}|{other})" if other else letter
