"""Keeps the run's secrets out of the controller's log."""

from __future__ import annotations

import logging

from stampede.schema.masking import Mask


class MaskingFormatter(logging.Formatter):
    """Masks what another formatter makes of a record, line by line, a traceback included."""

    def __init__(self, formatter: logging.Formatter, mask: Mask) -> None:
        super().__init__()
        self._formatter = formatter
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        return self._mask.lines(self._formatter.format(record))


def mask_logs(mask: Mask) -> None:
    """Mask secrets in whatever this process logs from now on."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(MaskingFormatter(handler.formatter or logging.Formatter(), mask))
