"""Whatever another agent sends as a menu or a question is one that can be used, or a BadMessage."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from controller.agents.menu import read_menu
from controller.agents.question import read_question
from controller.agents.wallet import Connection
from stampede.schema.errors import BadMessage, ChoiceUnmatched

pytestmark = pytest.mark.fuzz

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def like(*names: str, **known: Any) -> Any:
    """Objects with some of these keys, each with what it should have or with anything else."""
    values = {name: known.get(name, st.text(max_size=6)) | JSON for name in names}
    return st.fixed_dictionaries({}, optional=values) | JSON


FIELDS = st.lists(like("name", "title", "default", "required"), max_size=3)
FORMS = like("title", "params", params=FIELDS)
OPTIONS = st.lists(like("name", "title", "disabled", "form", form=FORMS), max_size=4)
MENUS = st.fixed_dictionaries({}, optional={"title": JSON, "errormsg": JSON, "options": OPTIONS | JSON})
RESPONSES = st.lists(like("text"), max_size=4)
QUESTIONS = st.fixed_dictionaries(
    {},
    optional={
        "question_text": st.text(max_size=6) | JSON,
        "question_detail": JSON,
        "signature_required": JSON,
        "valid_responses": RESPONSES | JSON,
    },
)


@given(MENUS)
def test_menus(message: dict[str, Any]) -> None:
    try:
        menu = read_menu(message, "t")
    except BadMessage as error:
        assert "menu" in error.detail
        return
    assert menu.options and isinstance(menu.title, str) and isinstance(menu.error, str)
    for option in menu.options:
        assert option.name and (option.name in menu) is not option.disabled
        try:
            values = menu.filled(option.name, {field.name: "x" for field in option.form})
        except ChoiceUnmatched:
            assert option.disabled
        else:
            assert set(values) == {field.name for field in option.form}


@given(QUESTIONS)
def test_questions(message: dict[str, Any]) -> None:
    try:
        question = read_question(message, Connection("issuer", "c1"), "t")
    except BadMessage as error:
        assert "question" in error.detail
        return
    assert isinstance(question.text, str) and isinstance(question.detail, str) and question.responses
    assert all(isinstance(response, str) for response in question.responses)
    if not question.signature_required:
        for response in question.responses:
            question.check(response)
