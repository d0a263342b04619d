"""Uses marshmallow's schema objects again, instead of making one for each message and record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.acapy_patches.patch import Patch

BASE = "acapy_agent.messaging.models.base"
AGENT_MESSAGE = "acapy_agent.messaging.agent_message"
OWN = frozenset({"acapy_agent", "marshmallow", "abc", "builtins"})
"""The packages whose schema classes are known to keep nothing between two uses, but for what ``renew`` renews. Those
of plugins may, so objects of theirs are made anew."""


class Shelf:
    """Schema objects of one class, with one treatment of unknown fields, that are not in use.

    Whoever takes one has it alone until it is given back: a call within its own call (a decorator of the same class),
    or of another thread, gets another one.
    """

    __slots__ = ("_free", "_make", "_renew")

    def __init__(self, make: Callable[[], Any], renew: Callable[[Any], None] | None) -> None:
        """``renew`` brings an object into the state in which it was made."""
        self._make = make
        self._renew = renew
        self._free: list[Any] = []

    def take(self) -> Any:
        """An object that is as new."""
        try:
            return self._free.pop()
        except IndexError:
            return self._make()

    def give_back(self, schema: Any) -> None:
        """Only after a use without an error: what that leaves behind is not known."""
        if self._renew:
            self._renew(schema)
        self._free.append(schema)


class NoShelf:
    """Objects that are used once."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.take = make

    def give_back(self, schema: Any) -> None:
        """Drop it."""


def is_own(schema_class: type) -> bool:
    """Whether a schema class, with all that it inherits, comes with ACA-Py."""
    return all(base.__module__.partition(".")[0] in OWN for base in schema_class.__mro__)


def use_again() -> None:
    """Take schema objects from shelves in ``BaseModel.serialize`` and ``deserialize``."""
    from acapy_agent.messaging.agent_message import AgentMessageSchema
    from acapy_agent.messaging.decorators.default import DecoratorSet
    from acapy_agent.messaging.models.base import (
        LOGGER,
        BaseModel,
        BaseModelError,
        resolve_meta_property,
    )
    from marshmallow import EXCLUDE, ValidationError

    shelves: dict[tuple[type, str | None], Shelf | NoShelf] = {}

    def renew(schema: Any) -> None:
        """As its constructor does: a message keeps the decorators that it was loaded with."""
        schema._decorators, schema._decorators_dict, schema._signatures = DecoratorSet(), None, {}

    def shelf_of(model_class: Any, unknown: str | None) -> Shelf | NoShelf:
        shelf = shelves.get((model_class, unknown))
        if shelf is None:
            schema_class = model_class._get_schema_class()
            treatment = unknown or resolve_meta_property(schema_class, "unknown", EXCLUDE)

            def make() -> Any:
                return schema_class(unknown=treatment)

            keeps_decorators = issubclass(schema_class, AgentMessageSchema)
            shelf = Shelf(make, renew if keeps_decorators else None) if is_own(schema_class) else NoShelf(make)
            shelves[model_class, unknown] = shelf
        return shelf

    def deserialize(cls: Any, obj: Any, *, unknown: str | None = None, none2none: bool = False) -> Any:
        if obj is None and none2none:
            return None
        shelf = shelf_of(cls, unknown)
        schema = shelf.take()
        try:
            loaded = schema.loads(obj) if isinstance(obj, str) else schema.load(obj)
        except (AttributeError, ValidationError) as error:
            LOGGER.exception(f"{cls.__name__} message validation error:")
            raise BaseModelError(f"{cls.__name__} schema validation failed") from error
        shelf.give_back(schema)
        return loaded

    def serialize(self: Any, *, as_string: bool = False, unknown: str | None = None) -> Any:
        shelf = shelf_of(type(self), unknown)
        schema = shelf.take()
        try:
            dumped = schema.dumps(self, separators=(",", ":")) if as_string else schema.dump(self)
        except (AttributeError, ValidationError, TypeError) as error:
            LOGGER.exception(f"{self.__class__.__name__} message serialization error:")
            raise BaseModelError(f"{self.__class__.__name__} schema validation failed") from error
        shelf.give_back(schema)
        return dumped

    BaseModel.deserialize, BaseModel.serialize = classmethod(deserialize), serialize


SCHEMA_POOL = Patch(
    name="schema_pool",
    reason=(
        "ACA-Py makes a marshmallow schema, with a copy of all its fields, for each message, record and decorator "
        "that it reads or writes: some hundred in a proof."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0", "marshmallow": "3.26.2"},
    originals={
        f"{BASE}:BaseModel": "21bbd1602de75001",
        f"{BASE}:BaseModelSchema": "0e15b2596449482c",
        f"{AGENT_MESSAGE}:AgentMessageSchema": "1309cc657075e75d",
        "marshmallow.schema:Schema": "a272af5b348d73ec",
        "marshmallow.fields:Nested": "24593b38b3106188",
    },
    apply=use_again,
)
