"""What goes wrong with a report, in one sentence for the person who asked for it."""


class ReportError(Exception):
    """The results cannot be read or the report cannot be written; the message names the path and says why."""
