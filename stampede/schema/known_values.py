"""What a holder knows by name and cannot change: its row of data, and what ``setup`` returned."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stampede.schema.errors import BadInput


class HiddenText(str):
    """A text that must not be told."""

    __slots__ = ()


class Known[V](Mapping[str, V]):
    """Values by name, read only. They are not shown when it is printed; a name that is not there is told as such."""

    __slots__ = ("_called", "_lacking", "_values")

    def __init__(self, values: Mapping[str, V], called: str, lacking: str) -> None:
        """``called``: as which a script has it; ``lacking``: a sentence's part about a name that is not there."""
        self._values = values
        self._called = called
        self._lacking = lacking

    def __getitem__(self, name: str) -> V:
        try:
            return self._values[name]
        except KeyError:
            right = f"; {right_name(str(name), self._values)}" if self._values else ""
            raise BadInput(f"the script uses {self._called}[{name!r}], but {self._lacking}{right}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or ``default`` where there is no such name."""
        return self._values.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._values)})"


def right_name(name: str, names: Iterable[str]) -> str:
    """What a name must be."""
    known = list(names)
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"it must be one of {', '.join(known)}" + (f"; did you mean {nearest[0]}?" if nearest else "")
