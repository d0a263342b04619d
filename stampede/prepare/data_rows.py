"""The rows of ``stampede_data`` on the control node: checked before anything is started, and dealt to load hosts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stampede.machine.data_file import read_data_file
from stampede.machine.files import user_path
from stampede.schema import plain_numbers
from stampede.schema.data_rows import Table
from stampede.schema.errors import BadInput
from stampede.schema.known_values import right_name
from stampede.schema.settings.data_settings import ONCE, VARIABLE
from stampede.schema.settings.placeholders import DATA, names_in
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.service_settings import variable_of


def absolute_data_file(variables: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """The variables with the absolute path of the file, which users may give relative to the project folder.

    Raises BadInput for one in the home folder of a user who has none.
    """
    data = variables.get(VARIABLE)
    if not isinstance(data, Mapping) or not isinstance(data.get("file"), str) or not data["file"]:
        return dict(variables)
    path = str(user_path(f"{VARIABLE}.file", data["file"], project))
    return {**variables, VARIABLE: {**data, "file": path}}


def data_problems(settings: Settings) -> list[str]:
    """What is wrong with the rows: the file, columns that requests name and it lacks, fewer rows than holders."""
    if settings.data is None:
        return []
    try:
        table = read_data_file(settings.data, settings.seed)
    except BadInput as error:
        return error.sentences
    return [*_unknown_columns(settings, table), *_too_few(settings, table)]


def _unknown_columns(settings: Settings, table: Table) -> list[str]:
    return [
        f"{variable_of(service.name, key)} uses ${{{name}}}, but {table.settings.file} has no such column; "
        f"{right_name(column, table.columns)}"
        for service in settings.asked.values()
        for key, _, request in service.kinds()
        for each in request.in_order
        for name in dict.fromkeys(names_in(each.texts))
        if name.startswith(DATA) and (column := name.removeprefix(DATA)) not in table.columns
    ]


def _too_few(settings: Settings, table: Table) -> list[str]:
    if table.settings.use != ONCE or len(table.rows) >= (total := settings.load.total):
        return []
    rows, holders = plain_numbers.number(len(table.rows), "row"), plain_numbers.number(total, "holder")
    return [
        f"{VARIABLE}.use is once, but {table.settings.file} has {rows} for {holders}; it must have a row for each, "
        "or use be circle or random"
    ]


def rows_of_host(variables: Mapping[str, Any], share: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a load host with this share of the load gets of the rows; None when there are none. Raises BadInput."""
    settings = Settings.from_variables({**variables, **share})
    if settings.data is None:
        return None
    return read_data_file(settings.data, settings.seed).handed_over(settings.load.numbers)
