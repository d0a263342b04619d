"""The genesis transactions of Indy ledgers, as the control node sees them before a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from stampede.machine.files import user_path
from stampede.prepare.fetching import Fetched, NotFetched, fetch
from stampede.schema.settings.ledger_settings import (
    LARGEST_GENESIS,
    RIGHT_GENESIS,
    VARIABLE,
    genesis_problem,
    where,
)
from stampede.schema.settings.request_settings import MAX_REDIRECTS
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.targets import Targets
from stampede.schema.settings.web_address import web_address


def absolute_genesis_files(variables: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """The variables with absolute paths of genesis files, which users may give relative to the project folder.

    Raises BadInput for one in the home folder of a user who has none.
    """

    def absolute(path: str, name: str) -> dict[str, str]:
        return {"genesis_file": str(user_path(name, path, project))}

    return _with_files(variables, absolute)


def with_genesis_texts(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables as load hosts need them: with the texts of the genesis files, which are on the control node."""

    def text(path: str, _: str) -> dict[str, str]:
        return {"genesis_transactions": Path(path).read_text(encoding="utf-8")}

    return _with_files(variables, text)


def genesis_file_problems(variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each genesis file that cannot be used."""
    problems = []

    def check(path: str, name: str) -> dict[str, str]:
        if problem := _file_problem(Path(path)):
            problems.append(f"{name} is {path!r}, but {problem}; {RIGHT_GENESIS}")
        return {}

    _with_files(variables, check)
    return problems


def unusable_genesis(settings: Settings) -> Iterator[str]:
    """A sentence for each URL of the settings at which there is no genesis."""
    targets = Targets(settings.allowed_targets)
    for variable, url in settings.genesis_urls():
        try:
            answer = _follow(url, targets, settings.ca_file)
            said = f"it answered {answer.status}" if answer.status != 200 else genesis_problem(answer.body)
        except NotFetched as error:
            said = str(error)
        if said:
            yield f"{variable} is {url!r}, but {said}; {RIGHT_GENESIS}"


def _with_files(variables: Mapping[str, Any], change: Callable[[str, str], dict[str, str]]) -> dict[str, Any]:
    """The variables with ``change(path, variable)`` in place of each genesis file."""

    def changed(entry: Any, place: int) -> Any:
        path = entry.get("genesis_file") if isinstance(entry, Mapping) else None
        if not (path and isinstance(path, str) and path.isprintable()):  # told elsewhere
            return entry
        others = {key: value for key, value in entry.items() if key != "genesis_file"}
        return others | change(path, f"{where(place)}.genesis_file")

    entries = variables.get(VARIABLE)
    if not isinstance(entries, list | tuple):
        return dict(variables)
    return {**variables, VARIABLE: [changed(entry, place) for place, entry in enumerate(entries)]}


def _file_problem(file: Path) -> str:
    try:
        if file.exists() and not file.is_file():
            return "it is no file"
        with file.open("rb") as genesis:
            return genesis_problem(genesis.read(LARGEST_GENESIS + 1))
    except (OSError, ValueError) as error:
        return f"it cannot be read ({getattr(error, 'strerror', None) or error})"


def _follow(url: str, targets: Targets, ca_file: str) -> Fetched:
    """The answer at the end of the redirects. Raises NotFetched."""
    for _ in range(MAX_REDIRECTS + 1):
        answer = fetch(url, ca_file)
        if not answer.location:
            return answer
        try:
            leads_to = urljoin(url, answer.location)
        except ValueError:
            leads_to = answer.location
        if not web_address(leads_to) or (url.startswith("https") and leads_to.startswith("http:")):
            raise NotFetched(f"it is redirected to {leads_to!r}, which is not followed")
        if refusal := targets.refusal(leads_to):
            raise NotFetched(f"it is redirected to {leads_to}, {refusal}")
        url = leads_to
    raise NotFetched(f"it redirects more than {MAX_REDIRECTS} times")
