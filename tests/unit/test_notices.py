"""What a check says of settings that a run ignores."""

from __future__ import annotations

from typing import Any

import pytest

from stampede.load_models.catalog import load_models, own_settings
from stampede.prepare.notices import unused

SEARCH = {"begin": 8}


@pytest.mark.parametrize(
    ("model", "changes", "said"),
    [
        ("closed", {}, []),
        ("closed", {"ramp_up": "5m", "duration": "1h", "stages": [{"holders": 3, "for": "1m"}]}, []),
        ("open", {"rate": "3/s", "arrivals": "poisson", "iterations": 4}, []),
        ("search", {"search": SEARCH}, []),
        ("closed", {"rate": "1/s"}, []),  # the default
        (
            "closed",
            {"rate": "5/s"},
            ["rate is set, but the load model closed ignores it; it is for open and rounds"],
        ),
        (
            "flat_out",
            {"search": SEARCH, "arrivals": "poisson"},
            [
                "arrivals is set, but the load model flat_out ignores it; it is for open and rounds",
                "search is set, but the load model flat_out ignores it; it is for search",
            ],
        ),
        (
            "search",
            {"duration": "10m"},
            ["duration is set, but the load model search ignores it; it is for closed, flat_out, open and rounds"],
        ),
        (
            "rounds",
            {"iterations_per": "run"},
            ["iterations_per is set, but the load model rounds ignores it; it is for closed and flat_out"],
        ),
        (
            "closed",
            {"observed_think_times": [1, 2]},
            ["observed_think_times is set, but stampede_think_times is not observed"],
        ),
        ("closed", {"observed_think_times": [1, 2], "think_times": "observed"}, []),
        (
            "closed",
            {
                "observed_think_times": [1, 2],
                "scripts": [{"script": "a"}, {"script": "b", "settings": {"stampede_think_times": "observed"}}],
            },
            [],
        ),
    ],
)
def test_settings_of_other_load_models(model: str, changes: dict[str, Any], said: list[str]) -> None:
    given = {"load_model": model, **changes}
    assert unused({f"stampede_{name}": value for name, value in given.items()}) == [
        f"stampede_{each}" for each in said
    ]


def test_each_load_model_has_settings_of_its_own() -> None:
    own = own_settings()
    assert set(own) == set(load_models()) and all(own.values())
