"""Reads ``stampede_*`` variables in the shapes that the argument specs give them."""

from __future__ import annotations

import dataclasses
import datetime
import re
import reprlib
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stampede.schema.settings.shapes import Duration, TooMuch, WholeNumber
from stampede.schema.settings.variables import VARIABLES

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PREFIX = "stampede_"


class VariableReader:
    """Reads variables one by one, named without ``stampede_``, and collects a sentence for each that is wrong.

    ``prefix``: what their names begin with instead.
    """

    def __init__(self, variables: Mapping[str, Any], prefix: str = PREFIX) -> None:
        self.variables = variables
        self._prefix = prefix
        self.problems: list[str] = []
        self._misshapen: set[str] = set()

    @property
    def secrets(self) -> frozenset[str]:
        """The names of ``stampede_secrets``, as far as these can be read."""
        found = self.variables.get("stampede_secrets")
        return frozenset(found) if isinstance(found, Mapping) else frozenset()

    def is_right(self, name: str) -> bool:
        """Whether a variable that has been read has its shape."""
        return self._prefix + name not in self._misshapen

    def complain(self, sentence: str) -> None:
        """Note what is wrong, and what would be right. A variable of another shape has had its sentence: what stands
        in for its value needs none."""
        if sentence.split(maxsplit=1)[0] not in self._misshapen:
            self.problems.append(sentence)

    def read(self, name: str) -> Any:
        """The value in its shape; when it has another, or is not set, that is noted and a value of the shape is
        returned in its place."""
        variable = self._prefix + name
        shape = VARIABLES[variable]
        if variable not in self.variables:
            self.complain(f"{variable} is not set; it must be {shape.right}")
            self._misshapen.add(variable)
            return shape.fallback
        value = self.variables[variable]
        try:
            return shape.read(value)
        except TooMuch as error:
            self.complain(f"{variable} is {shown(value)}; it must be {error}")
        except (ValueError, TypeError):
            self.complain(f"{variable} is {shown(value)}; it must be {shape.right}")
        self._misshapen.add(variable)
        return shape.fallback

    def integer(self, name: str) -> int:
        """A whole number, within its bounds."""
        assert isinstance(VARIABLES[PREFIX + name], WholeNumber), name
        return int(self.read(name))

    def duration(self, name: str) -> float:
        """A duration in seconds."""
        assert isinstance(VARIABLES[PREFIX + name], Duration), name
        return float(self.read(name))

    def fields(self, kind: type[DataclassInstance]) -> dict[str, Any]:
        """The values of all fields of a dataclass, each of which is named as a variable."""
        return {field.name: self.read(field.name) for field in dataclasses.fields(kind)}

    def ordered(self, lower: str, upper: str) -> None:
        """Note when the one number or duration is more than the other."""
        least, most = self.read(lower), self.read(upper)
        if least > most and self.is_right(upper):
            self.complain(
                f"stampede_{lower} is {self.variables[PREFIX + lower]}, more than stampede_{upper}, which is "
                f"{self.variables[PREFIX + upper]}; stampede_{lower} must be at most stampede_{upper}"
            )


def shape_problems(variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each variable that is known and has a wrong shape."""
    problems = []
    for variable in sorted(variables.keys() & VARIABLES.keys()):
        prefix, name = variable.split("_", 1)
        reader = VariableReader(variables, f"{prefix}_")
        reader.read(name)
        problems += reader.problems
    return problems


def kind_of(value: Any) -> str:
    """What a value is, where it must not be quoted because it may hold a secret."""
    for kinds, words in _KINDS:
        if isinstance(value, kinds):
            return words
    return f"a {type(value).__name__}"


def shown(value: Any) -> str:
    """A value as a sentence can quote it: in one line, of bounded length, without passwords in URLs."""
    if isinstance(value, datetime.date):
        return f"{value}, which YAML takes for a date unless it is in quotes"
    try:
        return _PASSWORD.sub(r"\1***@", _REPR.repr(value))
    except ValueError:  # a number of thousands of digits
        return "a number of thousands of digits"


_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s]*@")
_REPR = reprlib.Repr(maxlevel=4, maxdict=8, maxlist=8, maxtuple=8, maxset=8, maxstring=200, maxlong=50, maxother=100)
_KINDS: tuple[tuple[Any, str], ...] = (
    (types.NoneType, "nothing"),
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "a text"),
    (bytes, "binary data"),
    (Mapping, "a mapping"),
    (list | tuple, "a list"),
    (datetime.date, "a date"),
)
