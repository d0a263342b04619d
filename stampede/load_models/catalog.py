"""The load models that there are: one file of this folder each."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stampede.load_models.interface import LoadModel, Plan
from stampede.schema.errors import BadInput
from stampede.schema.settings.variable_reader import VariableReader

DEFAULT = "closed"
VARIABLE = "stampede_load_model"
OF_EVERY_RUN = frozenset({"holders", "first_holder", "seed", "share", "thresholds"})
"""Settings that a load model may read, but that are not its own."""


def load_models() -> dict[str, type[LoadModel]]:
    """All load models by their names."""
    models = {}
    for entry in pkgutil.iter_modules([str(Path(__file__).parent)]):
        module = importlib.import_module(f"stampede.load_models.{entry.name}")
        defined = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
        for value in defined:
            if isinstance(value, type) and issubclass(value, LoadModel) and value is not LoadModel:
                models[entry.name] = value
    return models


def load_model(name: str) -> type[LoadModel]:
    """The load model of ``stampede_load_model``. Raises BadInput with the nearest name."""
    models = load_models()
    if name in models:
        return models[name]
    nearest = difflib.get_close_matches(name, models, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise BadInput(f"stampede_load_model is {name!r}; it must be one of {', '.join(sorted(models))}{hint}")


def own_settings() -> dict[str, frozenset[str]]:
    """The names of the settings that each load model goes by, beside those of every run, without ``stampede_``."""
    found = {}
    for name, model in load_models().items():
        reader = _Noting()
        model.read(reader)
        found[name] = frozenset(reader.read_names - OF_EVERY_RUN)
    return found


class _Noting(VariableReader):
    """Reads what stands in for each variable, and notes its name."""

    def __init__(self) -> None:
        super().__init__({})
        self.read_names: set[str] = set()

    def read(self, name: str) -> Any:
        """See VariableReader."""
        self.read_names.add(name)
        return super().read(name)


def recorded_plan(settings: Mapping[str, Any], cuts: Sequence[float] = ()) -> Plan:
    """The plan of a run from the settings in its results: the control node's ``stampede_*`` variables, or those that
    a host noted. ``cuts``: when it went on to the next stage before its time, in seconds from the start. Raises
    ValueError for what cannot be read.
    """
    flat = recorded_load(settings)
    return load_model(str(flat.get(VARIABLE, DEFAULT))).recorded_plan(flat, cuts)


def recorded_model(settings: Mapping[str, Any]) -> type[LoadModel]:
    """The load model of a run from the same settings; the default one where they name none that there is."""
    models = load_models()
    return models.get(str(recorded_load(settings).get(VARIABLE, DEFAULT)), models[DEFAULT])


def recorded_load(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a run's results, with those that a host noted of its load beside the others."""
    noted = settings.get("load")
    return {**settings, **(noted if isinstance(noted, Mapping) else {})}
