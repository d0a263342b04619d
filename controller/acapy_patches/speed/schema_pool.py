"""Uses marshmallow's schema objects again, instead of making one for each message and record."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from controller.acapy_patches.patch import Patch

BASE = "acapy_agent.messaging.models.base"
AGENT_MESSAGE = "acapy_agent.messaging.agent_message"
PRESENTATIONS = "acapy_agent.protocols.present_proof.v2_0.formats.anoncreds.handler"
CREDENTIALS = "acapy_agent.protocols.issue_credential.v2_0.formats.anoncreds.handler"
OWN = frozenset({"acapy_agent", "marshmallow", "abc", "builtins"})
"""The packages whose schema classes are known to keep nothing between two uses, but for what ``renew`` renews. Those
of plugins may, so objects of theirs are made anew."""

LENT: Mapping[str, tuple[str, ...]] = {
    PRESENTATIONS: ("AnonCredsPresentationRequestSchema", "AnonCredsProofSchema"),
    CREDENTIALS: ("AnonCredsCredentialOfferSchema", "AnonCredsCredRequestSchema", "AnonCredsCredentialSchema"),
}
"""Schema classes that other code than BaseModel makes objects of, by the module in which it does."""


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


class Lent:
    """Stands in for a schema class where what is made of it is used for a single ``load`` or ``loads``."""

    def __init__(self, schema_class: Callable[..., Any]) -> None:
        self._class = schema_class
        self._shelves: dict[str | None, Shelf] = {}

    def __call__(self, *, unknown: str | None = None) -> LentSchema:
        shelf = self._shelves.get(unknown)
        if shelf is None:
            shelf = self._shelves[unknown] = Shelf(lambda: self._class(unknown=unknown), None)
        return LentSchema(shelf)


class LentSchema:
    """A schema object that goes back to its shelf after a use without an error."""

    __slots__ = ("_shelf",)

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def load(self, data: Any) -> Any:
        """See ``marshmallow.Schema.load``."""
        return self._use("load", data)

    def loads(self, text: str | bytes) -> Any:
        """See ``marshmallow.Schema.loads``."""
        return self._use("loads", text)

    def _use(self, method: str, data: Any) -> Any:
        schema = self._shelf.take()
        loaded = getattr(schema, method)(data)
        self._shelf.give_back(schema)
        return loaded


def is_own(schema_class: type) -> bool:
    """Whether a schema class, with all that it inherits, comes with ACA-Py."""
    return all(base.__module__.partition(".")[0] in OWN for base in schema_class.__mro__)


def use_again() -> None:
    """Take schema objects from shelves: in ``BaseModel.serialize`` and ``deserialize``, for JWEs and attachments."""
    from acapy_agent.messaging.agent_message import AgentMessageSchema
    from acapy_agent.messaging.decorators.default import DecoratorSet
    from acapy_agent.messaging.models.base import (
        LOGGER,
        BaseModel,
        BaseModelError,
        resolve_meta_property,
    )
    from acapy_agent.utils import jwe
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

    packed, recipient = Lent(jwe.JweSchema)(), Lent(jwe.JweRecipientSchema)()

    def from_json(cls: Any, message: bytes | str) -> Any:
        try:
            return cls._deserialize(packed.loads(message))
        except json.JSONDecodeError:
            raise ValidationError("Invalid JWE: not JSON") from None

    jwe.JweEnvelope.from_json = classmethod(from_json)
    jwe.JweEnvelope.deserialize = classmethod(lambda cls, message: cls._deserialize(packed.load(message)))
    jwe.JweRecipient.deserialize = classmethod(lambda cls, entry: cls(**recipient.load(entry)))
    for module, names in LENT.items():
        importing = importlib.import_module(module)
        for name in names:
            setattr(importing, name, Lent(getattr(importing, name)))


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
        "acapy_agent.utils.jwe:JweEnvelope": "5f53b359a9ddae5e",
        "acapy_agent.utils.jwe:JweRecipient": "5cff081919ad85aa",
        "acapy_agent.utils.jwe:JweSchema": "ad6dfac07a7b5fc2",
        "acapy_agent.utils.jwe:JweRecipientSchema": "fa85908463febda0",
        f"{PRESENTATIONS}:AnonCredsPresExchangeHandler.validate_fields": "d97875f565feec7c",
        f"{CREDENTIALS}:AnonCredsCredFormatHandler.validate_fields": "c38c3d4061f65b57",
        "marshmallow.schema:Schema": "a272af5b348d73ec",
        "marshmallow.fields:Nested": "24593b38b3106188",
    },
    apply=use_again,
)
