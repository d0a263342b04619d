"""The file of ``stampede_data``, on the machine where it is."""

from __future__ import annotations

from pathlib import Path

from stampede.schema.data_rows import LARGEST, Table, read_table
from stampede.schema.errors import BadInput
from stampede.schema.settings.data_settings import VARIABLE, DataSettings


def read_data_file(settings: DataSettings, seed: int) -> Table:
    """All rows. Raises BadInput with a sentence about what is wrong."""
    path = Path(settings.file)
    try:
        if path.exists() and not path.is_file():
            raise BadInput(f"{VARIABLE}.file is {settings.file!r}, which is no file; it must be one that can be read")
        if (size := path.stat().st_size) > LARGEST:
            raise BadInput(
                f"{VARIABLE}.file is {settings.file!r}, which has {size:,} bytes; it must have at most {LARGEST:,}"
            )
        return read_table(path.read_bytes(), settings, seed)
    except (OSError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        why = getattr(error, "strerror", None) or error
        raise BadInput(
            f"{VARIABLE}.file is {settings.file!r}, which cannot be read ({why}); it must be a file that can be read"
        ) from None
