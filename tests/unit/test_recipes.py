"""The settings in docs/connecting-your-services.md are right: each block passes the check by itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stampede.schema.settings.run_settings import check_variables

PAGE = Path(__file__).parents[2] / "docs" / "connecting-your-services.md"
HEADING_OR_BLOCK = re.compile(r"^## (.+?)$|^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def recipes() -> list[Any]:
    """Each block of settings, by the heading that it stands under."""
    heading, found = "", []
    for match in HEADING_OR_BLOCK.finditer(PAGE.read_text()):
        heading = match[1] or heading
        if match[2]:
            found.append(pytest.param(match[2], id=heading))
    return found


@pytest.mark.parametrize("block", recipes())
def test_a_recipe_is_right(block: str, variables: dict[str, Any]) -> None:
    secrets = {name: f"the {name} of a service" for name in re.findall(r"\$\{secret:(\w+)\}", block)}
    settings = yaml.safe_load(block)
    assert all(name.startswith("stampede_") for name in settings)
    given = {"stampede_secrets": secrets, "stampede_mediator_did": ""} | settings
    assert check_variables(variables | given) == []


def test_a_wrong_recipe_is_found(variables: dict[str, Any]) -> None:
    assert check_variables(variables | {"stampede_wallet_type": "indy"})


def test_all_recipes_are_checked() -> None:
    assert len(recipes()) >= 10
