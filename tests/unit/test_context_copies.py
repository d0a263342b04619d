"""The patch ``context_copies``: copies of settings and contexts hold, and share, what they did before."""

from __future__ import annotations

from typing import Any

import pytest
from acapy_agent.config.injection_context import InjectionContext
from acapy_agent.config.injector import Injector
from acapy_agent.config.settings import Settings
from acapy_models import Change, outcome
from hypothesis import given
from hypothesis import strategies as st

from controller.acapy_patches.speed.context_copies import CONTEXT_COPIES


@pytest.fixture(scope="module")
def copies() -> Change:
    return Change(CONTEXT_COPIES)


names = st.sampled_from(["wallet.id", "log", "admin.webhook_urls", "x"])
contents = st.dictionaries(names, st.none() | st.booleans() | st.lists(st.integers(0, 3), max_size=2), max_size=4)
acts = st.lists(
    st.tuples(
        st.sampled_from(["copy", "settings of", "extend", "update", "injector", "context", "scope", "set", "clear"]),
        contents,
        st.booleans(),
    ),
    max_size=6,
)


def live(first: dict[str, Any], doing: list[tuple[str, dict[str, Any], bool]]) -> Any:
    """All settings that come of a few acts on others, each seen at the end: so that what is shared shows."""
    made: list[Settings] = [Settings(first)]
    for act, more, as_settings in doing:
        last = made[-1]
        other = Settings(more) if as_settings else more
        match act:
            case "copy":
                made.append(last.copy())  # type: ignore[arg-type]
            case "settings of":
                made.append(Settings(last))
            case "extend":
                made.append(last.extend(other))  # type: ignore[arg-type]
            case "update":
                last.update(other)
            case "injector":
                made.append(Injector(last).copy().settings)  # type: ignore[attr-defined]
            case "context":
                made.append(InjectionContext(settings=last).copy().settings)
            case "scope":
                made.append(InjectionContext(settings=last).start_scope(other).settings)
            case "set":
                last.set_value("set", more)
            case "clear":
                last.clear_value("log")
    return [(settings.to_dict(), list(settings), len(settings)) for settings in made]


@given(contents, acts)
def test_settings_are_copied_as_before(
    copies: Change, first: dict[str, Any], doing: list[tuple[str, dict[str, Any], bool]]
) -> None:
    expected = outcome(lambda: live(first, doing))
    with copies.made():
        assert outcome(lambda: live(first, doing)) == expected


def test_a_scope_shares_neither_settings_nor_bindings_with_its_context(copies: Change) -> None:
    with copies.made():
        context = InjectionContext(settings={"a": 1}, enforce_typing=False)
        context.injector.bind_instance(int, 1)
        scope = context.start_scope({"b": 2})
        scope.settings["a"] = 3
        scope.injector.bind_instance(int, 4)
        scope.injector.bind_instance(str, "s")
        assert (context.settings.to_dict(), context.inject(int), context.inject_or(str)) == ({"a": 1}, 1, None)
        assert (scope.settings.to_dict(), scope.inject(int)) == ({"a": 3, "b": 2}, 4)
        context.settings["c"] = 5
        assert "c" not in scope.settings
        assert scope.injector.enforce_typing is False and scope._scope_name == context._scope_name


def test_settings_and_contexts_of_plugins_keep_their_own_ways(copies: Change) -> None:
    class Upper(Settings):
        def get_value(self, *var_names: str, default: Any = None) -> Any:
            return str(super().get_value(*var_names, default=default)).upper()

    class Counting(InjectionContext):
        def __copy__(self) -> Any:
            result = object.__new__(Counting)
            result.__dict__.update(self.__dict__, copies=getattr(self, "copies", 0) + 1)
            return result

    with copies.made():
        assert Settings(Upper({"a": "b"})).to_dict() == {"a": "B"}
        assert Settings({}).extend(Upper({"a": "b"})).to_dict() == {"a": "B"}
        assert Counting().copy().copies == 1


def test_no_settings_at_all(copies: Change) -> None:
    with copies.made():
        assert Settings().to_dict() == Settings(None).to_dict() == Settings({}).to_dict() == {}
        assert Settings(values={"a": 1})["a"] == 1
