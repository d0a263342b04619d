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
from urllib.parse import urlsplit

from stampede.schema.settings.durations import seconds


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
    """An integer within bounds, or the text of one."""

    minimum: int | None = None
    maximum: int | None = None

    python = "int"

    @property
    def fallback(self) -> int:
        """See Shape."""
        return self.minimum or 0

    @property
    def right(self) -> str:
        """See Shape."""
        return "a whole number" + _bounds(self.minimum, self.maximum)

    def read(self, value: Any) -> int:
        """See Shape."""
        number = int(str(value).strip())
        if isinstance(value, bool) or not _within(number, self.minimum, self.maximum):
            raise ValueError(value)
        return number


@dataclass(frozen=True, slots=True)
class Number(Shape):
    """A number within bounds, or the text of one."""

    minimum: float | None = None
    maximum: float | None = None

    python = "float"
    fallback = 0.0

    @property
    def right(self) -> str:
        """See Shape."""
        return "a number" + _bounds(self.minimum, self.maximum)

    def read(self, value: Any) -> float:
        """See Shape."""
        number = float(str(value).strip())
        if isinstance(value, bool) or not _within(number, self.minimum, self.maximum):
            raise ValueError(value)
        return number


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
        number = seconds(value)
        if self.above_zero and number == 0:
            raise ValueError(value)
        return number


@dataclass(frozen=True, slots=True)
class Text(Shape):
    """A text; a number is taken as its text, nothing as the empty text."""

    may_be_empty: bool = True

    python = "str"
    fallback = ""

    @property
    def right(self) -> str:
        """See Shape."""
        return "a text" + ("" if self.may_be_empty else " that is not empty")

    def read(self, value: Any) -> str:
        """See Shape."""
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise TypeError(value)
        text = "" if value is None else str(value)
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
        return tuple(str(item) for item in value)


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
        if str(value) not in self.choices:
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
        word = str(value).strip().lower()
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
class Url(Shape):
    """The address of something on a web server, or the empty text."""

    python = "str"
    fallback = ""
    right = "a URL such as https://ledger.example.org/genesis, or empty"

    def read(self, value: Any) -> str:
        """See Shape."""
        text = "" if value is None else str(value)
        if text and (urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname):
            raise ValueError(value)
        return text


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
        text = "" if value is None else str(value)
        if not re.fullmatch(PATTERNS[self.name][0], text):
            raise ValueError(value)
        return text


PATTERNS = {
    "name": (r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}", "1 to 64 of A-Z a-z 0-9 . _ -, and not . or .."),
    "host": (r"[A-Za-z0-9.:_-]+", "the host name or address at which services reach this host"),
    "address": (r"[A-Za-z0-9.:_-]+", "an address of this host"),
    "did": (
        r"|did:[a-z0-9]+:\S+|[1-9A-HJ-NP-Za-km-z]{21,22}",
        "a public DID such as did:web:mediator.example.org, or empty for no mediator",
    ),
}
"""A regular expression for the whole text, and what is right in words, by the ``format`` of the argument specs."""

_TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
_FALSE = frozenset({"n", "no", "off", "0", "false", "f"})


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if maximum is None:
        return "" if minimum is None else f" of {minimum} or more"
    return f" up to {maximum}" if minimum is None else f" from {minimum} to {maximum}"


def _within(number: float, minimum: float | None, maximum: float | None) -> bool:
    return (minimum is None or number >= minimum) and (maximum is None or number <= maximum)
