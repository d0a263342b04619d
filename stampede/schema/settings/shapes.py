"""The shapes that a setting's value can have, each with the words that say what is right.

``bin/generate-settings`` chooses the shape of every variable from the roles' argument specs and writes them to
``variables.py``.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stampede.schema.settings.durations import number, seconds
from stampede.schema.settings.web_address import bare_host, web_address

LONGEST_TEXT = 4096
LONGEST_INVITATION = 5 * LONGEST_TEXT
"""Characters; no path is longer on Linux."""
MOST_TEXTS = 1000
MOST_NUMBERS = 100_000
LONGEST_DURATION = 366 * 24 * 3600
"""Seconds: a year. What is longer is a slip, and would only be found out by waiting."""


class TooMuch(ValueError):
    """A value of the right kind is beyond reason; the message says what it may be at most."""


class Shape(ABC):
    """What a value must look like, whatever it means."""

    python: ClassVar[str]
    """The type of what ``read`` returns, as it is written in Python."""

    @property
    @abstractmethod
    def fallback(self) -> Any:
        """Stands in for a value that is wrong, so that other checks can go on."""

    @property
    @abstractmethod
    def right(self) -> str:
        """What is right, to follow "it must be"."""

    @property
    def brief(self) -> str:
        """What is right, for the table of a README."""
        return self.right

    @abstractmethod
    def read(self, value: Any) -> Any:
        """The value in its Python type. Raises ValueError or TypeError when it has another shape."""


@dataclass(frozen=True, slots=True)
class WholeNumber(Shape):
    """An integer within bounds, or the text of one. ``at_most`` is what is within reason."""

    minimum: int | None = None
    maximum: int | None = None
    at_most: int | None = None

    python = "int"

    @property
    def fallback(self) -> int:
        """See Shape."""
        return self.minimum or 0

    @property
    def right(self) -> str:
        """See Shape."""
        return "a whole number" + _bounds(self.minimum, self.maximum)

    @property
    def brief(self) -> str:
        """See Shape."""
        return self.right + ("" if self.at_most is None else f", at most {self.at_most}")

    def read(self, value: Any) -> int:
        """See Shape."""
        if isinstance(value, bool) or not (isinstance(value, int) or _is_whole(value)):
            raise TypeError(value)
        whole = int(value)
        if not _within(whole, self.minimum, self.maximum):
            raise ValueError(value)
        _check_at_most(whole, self.at_most)
        return whole


@dataclass(frozen=True, slots=True)
class Number(Shape):
    """A finite number within bounds, or the text of one. ``at_most`` is what is within reason."""

    minimum: float | None = None
    maximum: float | None = None
    at_most: float | None = None

    python = "float"
    fallback = 0.0

    @property
    def right(self) -> str:
        """See Shape."""
        return "a number" + _bounds(self.minimum, self.maximum)

    @property
    def brief(self) -> str:
        """See Shape."""
        return self.right + ("" if self.at_most is None else f", at most {self.at_most}")

    def read(self, value: Any) -> float:
        """See Shape."""
        found = number(value)
        if not _within(found, self.minimum, self.maximum):
            raise ValueError(value)
        _check_at_most(found, self.at_most)
        return found


@dataclass(frozen=True, slots=True)
class Duration(Shape):
    """A duration, read as seconds."""

    above_zero: bool = False

    python = "float"
    fallback = 0.0

    @property
    def right(self) -> str:
        """See Shape."""
        return "a number of seconds or a duration such as 90s, 5m or 1h30m" + self._more

    @property
    def brief(self) -> str:
        """See Shape."""
        return "a duration" + self._more

    @property
    def _more(self) -> str:
        return ", more than 0" if self.above_zero else ""

    def read(self, value: Any) -> float:
        """See Shape."""
        found = seconds(value)
        if self.above_zero and found == 0:
            raise ValueError(value)
        if found > LONGEST_DURATION:
            raise TooMuch(f"at most a year, {LONGEST_DURATION // 3600}h")
        return found


@dataclass(frozen=True, slots=True)
class Text(Shape):
    """A text in one line; a number is taken as its text, nothing as the empty text."""

    may_be_empty: bool = True

    python = "str"
    fallback = ""

    @property
    def right(self) -> str:
        """See Shape."""
        return "a text in one line" + ("" if self.may_be_empty else " that is not empty")

    @property
    def brief(self) -> str:
        """See Shape."""
        return "a text" + ("" if self.may_be_empty else " that is not empty")

    def read(self, value: Any) -> str:
        """See Shape."""
        text = one_line(value)
        if not (text or self.may_be_empty):
            raise ValueError(value)
        return text


@dataclass(frozen=True, slots=True)
class Texts(Shape):
    """A list of texts."""

    python = "tuple[str, ...]"
    fallback = ()
    right = "a list of texts"

    def read(self, value: Any) -> tuple[str, ...]:
        """See Shape."""
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise TypeError(value)
        if len(value) > MOST_TEXTS:
            raise TooMuch(f"a list of at most {MOST_TEXTS} texts")
        return tuple(one_line(item) for item in value)


@dataclass(frozen=True, slots=True)
class Numbers(Shape):
    """A list of finite numbers of 0 or more, or of their texts."""

    python = "tuple[float, ...]"
    fallback = ()
    right = "a list of numbers of 0 or more"

    def read(self, value: Any) -> tuple[float, ...]:
        """See Shape."""
        if not isinstance(value, list | tuple):
            raise TypeError(value)
        if len(value) > MOST_NUMBERS:
            raise TooMuch(f"a list of at most {MOST_NUMBERS} numbers")
        found = tuple(number(item) for item in value)
        if min(found, default=0.0) < 0:
            raise ValueError(value)
        return found


@dataclass(frozen=True, slots=True)
class Choice(Shape):
    """One of a few words."""

    choices: tuple[str, ...]

    python = "str"
    fallback = ""

    @property
    def right(self) -> str:
        """See Shape."""
        return "one of " + ", ".join(self.choices)

    def read(self, value: Any) -> str:
        """See Shape."""
        if not isinstance(value, str) or value not in self.choices:
            raise ValueError(value)
        return str(value)


@dataclass(frozen=True, slots=True)
class Switch(Shape):
    """True or false, in every spelling that Ansible knows."""

    python = "bool"
    fallback = False
    right = "true or false"

    def read(self, value: Any) -> bool:
        """See Shape."""
        if not isinstance(value, str | int):
            raise TypeError(value)
        word = str(value).lower()
        if word not in _TRUE | _FALSE:
            raise ValueError(value)
        return word in _TRUE


@dataclass(frozen=True, slots=True)
class Mapped(Shape):
    """Values by name; what they must be is checked elsewhere."""

    python = "Mapping[str, Any]"
    right = "a mapping"

    @property
    def fallback(self) -> Mapping[str, Any]:
        """See Shape."""
        return {}

    def read(self, value: Any) -> Mapping[str, Any]:
        """See Shape."""
        if not isinstance(value, Mapping):
            raise TypeError(value)
        return value


@dataclass(frozen=True, slots=True)
class Mappings(Shape):
    """A list of mappings; what is in each is checked elsewhere."""

    python = "tuple[Mapping[str, Any], ...]"
    fallback = ()
    right = "a list of mappings"

    def read(self, value: Any) -> tuple[Mapping[str, Any], ...]:
        """See Shape."""
        if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
            raise TypeError(value)
        if len(value) > MOST_TEXTS:
            raise TooMuch(f"a list of at most {MOST_TEXTS} mappings")
        return tuple(value)


@dataclass(frozen=True, slots=True)
class TextOrMapped(Shape):
    """A text in one line, a mapping or a list of those; what must be in it is checked elsewhere."""

    python = "str"
    fallback = ""
    right = "a URL, a request or a list of requests"

    def read(self, value: Any) -> Any:
        """See Shape."""
        if isinstance(value, Mapping):
            return value
        if isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            return value
        if not isinstance(value, str) or CONTROL.search(value) or len(value) > LONGEST_INVITATION:
            raise TypeError(value)
        return value.strip()


@dataclass(frozen=True, slots=True)
class Url(Shape):
    """The address of something on a web server, or the empty text."""

    python = "str"
    fallback = ""
    right = "a URL such as https://ledger.example.org/genesis, or empty"

    def read(self, value: Any) -> str:
        """See Shape."""
        text = one_line(value)
        if text and not web_address(text):
            raise ValueError(value)
        return text


@dataclass(frozen=True, slots=True)
class Host(Shape):
    """The name or address of a host, without a port; an IPv6 address may stand in brackets and is read without."""

    use: str
    """What it is for: one of ``HOSTS``."""

    python = "str"
    fallback = "localhost"

    @property
    def right(self) -> str:
        """See Shape."""
        return HOSTS[self.use]

    def read(self, value: Any) -> str:
        """See Shape."""
        if not isinstance(value, str):
            raise TypeError(value)
        return bare_host(one_line(value))


@dataclass(frozen=True, slots=True)
class Pattern(Shape):
    """A text that one of ``PATTERNS`` matches."""

    name: str

    python = "str"
    fallback = ""

    @property
    def right(self) -> str:
        """See Shape."""
        return PATTERNS[self.name][1]

    def read(self, value: Any) -> str:
        """See Shape."""
        text = one_line(value)
        if not re.fullmatch(PATTERNS[self.name][0], text):
            raise ValueError(value)
        return text


PATTERNS = {
    "name": (r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}", "1 to 64 of A-Z a-z 0-9 . _ -, and not . or .."),
    "did": (
        r"|did:[a-z0-9]+:[!-~]+|[1-9A-HJ-NP-Za-km-z]{21,22}",
        "a public DID such as did:web:mediator.example.org, or empty for no mediator; an invitation belongs "
        "in stampede_mediator_invitation",
    ),
    "cloud_name": (
        r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?",
        "1 to 40 of a-z 0-9 -, with a letter first and no - at the end",
    ),
    "user": (r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", "a name that a Linux user can have, such as stampede"),
    "memory_limit": (
        r"[0-9]+(\.[0-9]+)?%|[0-9]+[KMGT]?|infinity",
        "a limit that systemd understands, such as 90%, 16G or infinity",
    ),
    "memory_size": (r"[0-9]+ ?(B|kB|MB|GB|TB)?", "a size that PostgreSQL understands, such as 256MB or 2GB"),
}
"""A regular expression for the whole text, and what is right in words, by the ``format`` of the argument specs."""

HOSTS = {
    "host": "the host name or address at which services reach this host, without a port",
    "address": "an address of this host, without a port",
}
"""What is right in words, by the ``format`` of the argument specs."""

_TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
_FALSE = frozenset({"n", "no", "off", "0", "false", "f"})


def one_line(value: Any) -> str:
    """The text of a text, of a number, or of nothing. Raises TypeError for all else, ValueError for a text that
    cannot stand in one line of a file, TooMuch for one that is too long."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise TypeError(value)
    text = "" if value is None else str(value)
    if CONTROL.search(text):
        raise ValueError(value)
    if len(text) > LONGEST_TEXT:
        raise TooMuch(f"of at most {LONGEST_TEXT} characters")
    return text


CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, separators of lines, and halves of characters, which UTF-8 does not have."""


def _is_whole(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[+-]?[0-9]{1,4000}", value) is not None


def _check_at_most(found: float, limit: float | None) -> None:
    if limit is not None and found > limit:
        raise TooMuch(f"at most {limit}")


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if maximum is None:
        return "" if minimum is None else f" of {minimum} or more"
    return f" up to {maximum}" if minimum is None else f" from {minimum} to {maximum}"


def _within(number: float, minimum: float | None, maximum: float | None) -> bool:
    return (minimum is None or number >= minimum) and (maximum is None or number <= maximum)
