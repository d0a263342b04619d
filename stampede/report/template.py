"""Pages that open offline and request nothing, whatever the names and texts in them contain.

Styles, scripts and data are inlined. A content security policy in the page forbids every request and every
script but its own two, which it names by their hashes. The page of a run in progress may ask the server it is from.
"""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stampede import wording
from stampede.report.charts.marks import kind_in_words

ASSETS = Path(__file__).parent / "assets"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
STYLES = ("uPlot.min.css", "report.css")


def render_page(
    template: Path,
    scripts: tuple[str, ...],
    data: dict[str, Any],
    *,
    styles: tuple[str, ...] = STYLES,
    connects: bool = False,
    **values: Any,
) -> str:
    """A page of a template; `styles`, `scripts` (both of assets/) and the `data` of its charts, as JSON, are inlined.

    With `connects` its script may ask the server that the page is from, and nobody else.
    """
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": wording.seconds,
        "duration": wording.duration,
        "clock": wording.clock,
        "count": wording.count,
        "rate": wording.rate,
        "percent": wording.percent,
        "size": wording.size,
        "date": date,
        "time_of_day": time_of_day,
        "signed": wording.signed,
        "kind_in_words": kind_in_words,
        "value": value,
        "is_long": is_long,
        "with_unit": with_unit,
        "figure": wording.figure,
        "unbroken": unbroken,
    }
    licence = (ASSETS / "uPlot.LICENSE").read_text(encoding="utf-8")
    script = f"/* uPlot:\n{licence}*/\n" + "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in scripts)
    style = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in styles)
    return environment.get_template(template.name).render(
        policy=f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'"
        + ("; connect-src 'self'" if connects else ""),
        script=Markup(script),  # noqa: S704  ours, from assets/
        style=Markup(style),  # noqa: S704
        data=json_text(data),
        **values,
    )


def harmless(value: Any) -> Any:
    """What a page shows of a text: without characters that turn the direction of writing, or control anything."""
    return _CONTROLS.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _harmless_within(value: Any) -> Any:
    """A value of which all texts and keys are harmless: scripts show them as they are."""
    if isinstance(value, dict):
        return {harmless(key): _harmless_within(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless_within(item) for item in value]
    return harmless(value)


def _hash(text: str) -> str:
    """What a content security policy calls an inline element by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def json_text(value: Any) -> Markup:
    """JSON of harmless texts that may stand in a script element: it holds no `<`, so nothing in it can end that."""
    text = json.dumps(_harmless_within(value), separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704


def unbroken(text: str) -> str:
    """The text with non-breaking spaces between figures and their units: "23 %" and "p < 0.01" stay on one line."""
    text = re.sub(r"(?<=\d) (?=(?:%|ms|s|min|h|steps/s|MB|GB)(?!\w))", "\u00a0", text)
    return re.sub(r"\bp ([<=]) (?=\d)", "p\u00a0\\1\u00a0", text)


def with_unit(value: float | None, unit: str) -> str:
    """A threshold's value or limit: "2.31 s", "0.44 %", "66.5/s"."""
    if value is None:
        return wording.NONE
    match unit:
        case "s":
            return wording.seconds(value)
        case "/s":
            return wording.rate(value)
    return f"{value:.3g} {unit}" if unit else wording.figure(value)


def date(moment: str | None) -> str:
    """A day for people: "22 November 2026"."""
    return f"{_datetime(moment):%-d %B %Y}" if moment else wording.NONE


def time_of_day(moment: str | None) -> str:
    """A time of day, UTC: "18:03:12"."""
    return f"{_datetime(moment):%H:%M:%S}" if moment else wording.NONE


def _datetime(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


def value(setting: Any) -> str:
    """A setting's value as text; nested values as indented JSON."""
    if isinstance(setting, str):
        return setting
    return json.dumps(setting, indent=2 if is_long(setting) else None, ensure_ascii=False, default=str)


def is_long(setting: Any) -> bool:
    """Whether a setting's value needs lines of its own."""
    return isinstance(setting, dict | list) and len(json.dumps(setting, default=str)) > 40
