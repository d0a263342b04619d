"""Menus (Aries RFC 0509) as scripts see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.services.invitation import Json
from stampede.schema.errors import BadMessage, ChoiceUnmatched
from stampede.schema.settings.variable_reader import shown


@dataclass(frozen=True, slots=True)
class FormField:
    """What an option's form asks for."""

    name: str
    title: str = ""
    default: str | None = None
    """What is sent when nothing else is given; None: nothing is."""
    required: bool = True
    """Whether there must be a value, which may be empty."""


@dataclass(frozen=True, slots=True)
class MenuOption:
    """An action that a menu offers."""

    name: str
    title: str = ""
    description: str = ""
    disabled: bool = False
    form: tuple[FormField, ...] = ()


@dataclass(frozen=True, slots=True)
class Menu:
    """A menu that a holder has received. ``"renew" in menu`` tells whether it offers that."""

    options: tuple[MenuOption, ...]
    title: str = ""
    description: str = ""
    error: str = ""
    """What the other side says of the action that was chosen before."""
    thread_id: str = ""

    def __contains__(self, name: object) -> bool:
        return any(option.name == name and not option.disabled for option in self.options)

    def option(self, name: str) -> MenuOption:
        """The option of that name. Raises ChoiceUnmatched when there is none, or it is disabled."""
        for option in self.options:
            if option.name == name:
                if option.disabled:
                    raise ChoiceUnmatched(f"the option {name!r} of the menu {shown(self.title)} is disabled")
                return option
        has = ", ".join(repr(option.name) for option in self.options)
        raise ChoiceUnmatched(f"the menu {shown(self.title)} has no option {name!r}; it has {has}")

    def filled(self, name: str, values: Mapping[str, str]) -> dict[str, str]:
        """The values of an option's form: those given, and defaults. Raises ChoiceUnmatched when the form has no such
        field, or needs a value that is not given."""
        form = self.option(name).form
        said = f"the form of the option {name!r} of the menu {shown(self.title)}"
        names = [field.name for field in form]
        for given in values:
            if given not in names:
                has = f"it has {', '.join(map(repr, names))}" if names else "it has none"
                raise ChoiceUnmatched(f"{said} has no field {given!r}; {has}")
        filled = {}
        for field in form:
            value = values.get(field.name, field.default)
            if value is not None:
                filled[field.name] = value
            elif field.required:
                raise ChoiceUnmatched(f"{said} requires a value for {field.name!r}, which the script does not give")
        return filled


def read_menu(message: Json, thread_id: str) -> Menu:
    """What another agent has sent as a menu. Raises BadMessage when it cannot be used."""
    options = tuple(_options(message.get("options")))
    if not options:
        raise BadMessage("the menu has no options; it must have at least one")
    names = [option.name for option in options]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadMessage(f"the menu has several options with the name {twice!r}; names must be unique")
    return Menu(
        options, _text(message, "title"), _text(message, "description"), _text(message, "errormsg"), thread_id
    )


def _options(entries: Any) -> Iterator[MenuOption]:
    for entry in _list(entries, "the menu's options"):
        name = _name(entry, "an option of the menu")
        form = entry.get("form") or {}
        if not isinstance(form, Mapping):
            raise BadMessage(f"the form of the menu's option {name!r} is no JSON object")
        fields = _list(form.get("params") or [], f"the params of the menu's option {name!r}")
        yield MenuOption(
            name,
            _text(entry, "title"),
            _text(entry, "description"),
            entry.get("disabled") is True,
            tuple(_field(each, name) for each in fields),
        )


def _field(entry: Any, option: str) -> FormField:
    name = _name(entry, f"a param of the menu's option {option!r}")
    default = entry.get("default")
    required = entry.get("required") is not False
    return FormField(name, _text(entry, "title"), default if isinstance(default, str) else None, required)


def _list(entries: Any, what: str) -> list[Any]:
    if not isinstance(entries, list):
        raise BadMessage(f"{what} are no JSON array")
    return entries


def _name(entry: Any, what: str) -> str:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or not entry["name"]:
        raise BadMessage(f"{what} has no name")
    return str(entry["name"])


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""
