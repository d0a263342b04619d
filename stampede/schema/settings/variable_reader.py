"""Reads ``stampede_*`` variables in the shapes that the argument specs give them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stampede.schema.settings.durations import seconds
from stampede.schema.settings.shapes import Duration, WholeNumber
from stampede.schema.settings.variables import VARIABLES

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PREFIX = "stampede_"


class VariableReader:
    """Reads variables one by one, named without ``stampede_``, and collects a sentence for each that is wrong."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.variables = variables
        self.problems: list[str] = []

    def complain(self, sentence: str) -> None:
        """Note what is wrong, and what would be right."""
        self.problems.append(sentence)

    def read(self, name: str) -> Any:
        """The value in its shape; when it has another, or is not set, that is noted and a value of the shape is
        returned in its place."""
        variable = PREFIX + name
        shape = VARIABLES[variable]
        if variable not in self.variables:
            self.complain(f"{variable} is not set; it must be {shape.right}")
            return shape.fallback
        value = self.variables[variable]
        try:
            return shape.read(value)
        except (ValueError, TypeError):
            self.complain(f"{variable} is {value!r}; it must be {shape.right}")
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
        least, most = self.variables.get(PREFIX + lower), self.variables.get(PREFIX + upper)
        try:
            wrong = seconds(least) > seconds(most)
        except (ValueError, TypeError):
            return  # noted as a wrong shape
        if wrong:
            self.complain(
                f"stampede_{lower} is {least}, more than stampede_{upper}, which is {most}; "
                f"stampede_{lower} must be at most stampede_{upper}"
            )


def shape_problems(variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each variable that is known and has a wrong shape."""
    reader = VariableReader(variables)
    for name in sorted(variables.keys() & VARIABLES.keys()):
        reader.read(name.removeprefix(PREFIX))
    return reader.problems
