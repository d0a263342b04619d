"""Whether ACA-Py takes the agents' plugins, asked of the Python that is to run them.

``python -m controller.agents.plugin_check`` reads ``{"host": NAME, "plugins": [MODULE], "packages": {NAME: ENTRY}}``
from its standard input and prints a sentence for each problem; it exits with 1 when there are any.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution

PACKAGES, PLUGINS = "stampede_agent_packages", "stampede_agent_plugins"


def main() -> int:
    """Answer the question; returns the exit code."""
    logging.disable(logging.CRITICAL)
    asked = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # what plugins print
        problems = [
            *package_problems(asked["packages"], asked["plugins"], asked["host"]),
            *plugin_problems(asked["plugins"], asked["host"]),
        ]
    for problem in problems:
        print("".join(sign if sign.isprintable() else " " for sign in problem)[:800])
    return int(bool(problems))


def package_problems(packages: Mapping[str, str], plugins: Sequence[str], host: str) -> Iterator[str]:
    """A sentence for each package, by name, that is not installed, or that no plugin is of or needs."""
    found: dict[str, Distribution] = {}
    for name, entry in packages.items():
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            yield (
                f"{PACKAGES} has {entry!r}, but the package {name} is not installed on {host}; "
                "stampede provision installs it"
            )
    needed = {_normal(text) for each in found.values() for text in each.requires or ()}
    for name, installed in found.items():
        modules = modules_of(installed)
        brought = ", ".join(sorted(modules)) or "none"
        if name not in needed and not modules & {plugin.split(".")[0] for plugin in plugins}:
            yield (
                f"{PACKAGES} has {packages[name]!r}, but {PLUGINS} names none of its modules ({brought}); it must be "
                "the package of a plugin that is named there, or one that such a package needs"
            )


def plugin_problems(plugins: Sequence[str], host: str) -> Iterator[str]:
    """A sentence for each plugin that cannot be imported, or that ACA-Py would leave out."""
    from acapy_agent.core.plugin_registry import PluginRegistry

    for name in plugins:
        try:
            module = importlib.import_module(name)
            taken = hasattr(module, "__path__") and PluginRegistry().register_plugin(name)
        except BaseException as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            yield (
                f"{PLUGINS} has {name!r}, which cannot be imported on {host} ({reason}); it must be a module "
                f"of ACA-Py, or of one of {PACKAGES}"
            )
            continue
        if not taken:
            yield (
                f"{PLUGINS} has {name!r}, which ACA-Py does not take; it must be a package (a folder) with a "
                "function setup(), or with modules routes, message_types or definition"
            )


def modules_of(package: Distribution) -> set[str]:
    """The names of the outermost modules and packages that a distribution brings."""
    parts = [file.parts for file in package.files or () if file.suffix in (".py", ".so")]
    return {path[0].split(".")[0] for path in parts if path[0] != ".." and not path[0].endswith(".dist-info")}


def _normal(requirement: str) -> str:
    """The name in a requirement, in its normal form (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


if __name__ == "__main__":
    sys.exit(main())
