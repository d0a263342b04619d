"""Numbers and times as people read them: the same in the page, the terminal and the sentences."""

import re
from datetime import UTC, datetime

from stampede.schema import plain_numbers
from stampede.schema.plain_numbers import number as number

NONE = "–"  # noqa: RUF001  an en dash, for a figure that does not exist


def seconds(value: float | None) -> str:
    """A time with three significant digits: milliseconds below 1 s ("812 ms"), seconds above ("1.24 s")."""
    if value is None:
        return NONE
    if value < 0.9995:
        thousandths = value * 1000
        decimals = 2 if thousandths < 0.995 else 1 if thousandths < 9.95 else 0
        return f"{thousandths:.{decimals}f} ms"
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{decimals}f} s"


def duration(value: float | None) -> str:
    """How long something lasted: "4.2 s", "48 s", "12 min 4 s", "1 h 2 min"."""
    if value is None:
        return NONE
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(value / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def clock(value: float | None) -> str:
    """A moment of the run, relative to its start: "+3:12", "+1:03:12"."""
    if value is None:
        return NONE
    sign = "−" if value < 0 else "+"  # noqa: RUF001
    whole = int(abs(value))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{sign}{hours}:{minutes:02}:{rest:02}" if hours else f"{sign}{minutes}:{rest:02}"


def count(value: float | None) -> str:
    """A whole number with separators: "48,120"."""
    return NONE if value is None else f"{value:,.0f}"


def figure(value: float | None) -> str:
    """A number without a unit, with four significant digits: "0.01235", "1,500,000"."""
    return NONE if value is None else plain_numbers.plain(value)


def rate(value: float | None) -> str:
    """A rate per second with three significant digits: "66.5/s"."""
    if value is None:
        return NONE
    decimals = 0 if value >= 99.95 or value == 0 else 1 if value >= 9.995 else 2
    return f"{value:,.{decimals}f}/s"


def percent(share: float | None) -> str:
    """A share as a percentage: "0.44 %", "97 %"; never rounded to 0 % or 100 %."""
    if share is None:
        return NONE
    value = share * 100
    if 0 < value < 0.01:
        return "< 0.01 %"
    if 99.9 < value < 100:
        return "> 99.9 %"
    decimals = 0 if value >= 9.95 or value == 0 else 1 if value >= 0.995 else 2
    return f"{value:.{decimals}f} %"


def size(value: float | None) -> str:
    """An amount of memory in decimal units: "190 MB", "2.1 GB"."""
    if value is None:
        return NONE
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= one:
            return f"{value / one:.{1 if unit == 'GB' else 0}f} {unit}"
    return f"{value:.0f} B"


def signed(value: float | None) -> str:
    """A time before or after a moment: "+12 ms", "−4.0 ms", "+1.20 s"."""  # noqa: RUF002
    if value is None:
        return NONE
    return ("−" if value < 0 else "+") + seconds(abs(value))  # noqa: RUF001


def listed(names: list[str], most: int = 4) -> str:
    """Names in a sentence: "a, b and c"; of many, the first and how many more."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def moment(epoch: float | None) -> str | None:
    """A moment in ISO 8601, UTC, whole seconds; None for no time."""
    return None if epoch is None else f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%SZ}"


def time_of_day(epoch: float | None) -> str:
    """A time of day, UTC: "18:03:12"."""
    return NONE if epoch is None else f"{datetime.fromtimestamp(epoch, UTC):%H:%M:%S}"


def in_order(name: str) -> list[tuple[int, str]]:
    """A sort key by which load-2 comes before load-10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.findall(r"\d{1,9}|\D+", name)]


def without_passwords(text: str) -> str:
    """The text with the passwords in its URLs (`scheme://user:password@host`) masked."""
    return re.sub(r"(://[^\s:/@'\"]*:)[^\s/@'\"]+@", r"\1***@", text)


def printable(text: str) -> str:
    """The text with a space for each character that steers a terminal or hides what is there: control characters,
    escape sequences, and those that turn the direction of writing. For whatever other machines say.
    """
    return "".join(character if character.isprintable() else " " for character in text)


def printable_lines(text: str) -> str:
    """``printable``, line by line: to be used where text goes out."""
    return "\n".join(map(printable, text.split("\n")))
