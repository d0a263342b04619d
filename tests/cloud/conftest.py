"""Clouds, and their users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import software
from installs import had
from providers import PROVIDERS, Provider
from users import User, new_user


@pytest.fixture(scope="session")
def collections() -> Path:
    """The folder of the providers' collections."""
    return had(software.collections)


@pytest.fixture(scope="module", params=sorted(PROVIDERS))
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    """Each of the clouds."""
    found = PROVIDERS[request.param](getattr(request.module, "NETWORK", "192.0.2"))
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def user_of(tmp_path: Path, collections: Path) -> Callable[..., User]:
    """Makes users of a provider's cloud."""

    def make(provider: Provider, name: str = "mine", machine: str = "laptop", **settings: Any) -> User:
        return new_user(provider, tmp_path / machine, collections, name, **settings)

    return make
