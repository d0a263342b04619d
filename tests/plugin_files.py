"""Ansible finds its plugins by their place, so tests have to load them by theirs."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[1]


def load_plugin(name: str) -> ModuleType:
    """A file below plugins/, such as ``action/stampede_watch``."""
    file = REPOSITORY / "plugins" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"plugin_{file.stem}", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
