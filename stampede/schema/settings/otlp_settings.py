"""The OpenTelemetry collector that metrics are pushed to: its settings, and the checks that they make sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stampede.schema.settings.placeholders import SECRET, fill_in_headers, names_in
from stampede.schema.settings.request_reader import read_headers
from stampede.schema.settings.variable_reader import VariableReader, shown
from stampede.schema.settings.web_address import is_loopback, web_address

URL, HEADERS = "stampede_otlp_url", "stampede_otlp_headers"


@dataclass(frozen=True, slots=True)
class Otlp:
    """A collector that takes OTLP over HTTP."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """As the user wrote them, with ``${secret:NAME}``."""
    ca_file: str = ""

    @property
    def name(self) -> str:
        """The collector, in words."""
        return f"the OpenTelemetry collector at {self.url}"

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the ``stampede_secrets`` that the headers use."""
        return frozenset(name.removeprefix(SECRET) for name in names_in(dict(self.headers)))

    def headers_with(self, secrets: Mapping[str, str]) -> dict[str, str]:
        """The headers for a client that sends them in Latin-1, as requests does; what arrives is UTF-8.

        Raises KeyError when a secret is missing.
        """
        filled = fill_in_headers(self.headers, {SECRET + name: secret for name, secret in secrets.items()})
        return {name: text.strip().encode().decode("latin-1") for name, text in filled.items()}


def read_otlp(reader: VariableReader) -> Otlp | None:
    """The collector of a run; None when there is none."""
    url = reader.read("otlp_url")
    headers = read_headers(reader, HEADERS, reader.read("otlp_headers"))
    ca_file = reader.read("otlp_ca_file")
    if not url:
        return None
    target = Otlp(url, headers, ca_file or reader.read("ca_file"))
    _check_url(reader, target)
    for header, text in headers.items():
        for name in names_in(text):
            if not name.startswith(SECRET):
                reader.complain(f"{HEADERS}.{header} uses ${{{name}}}; it may use secret:NAME alone")
            elif name.removeprefix(SECRET) not in reader.secrets:
                missing = name.removeprefix(SECRET)
                reader.complain(f"{HEADERS}.{header} uses ${{{name}}}, but stampede_secrets has no {missing!r}")
    return target


def _check_url(reader: VariableReader, target: Otlp) -> None:
    url = target.url
    if any(sign in url for sign in "@?#"):
        reader.complain(
            f"{URL} holds more than an address and a path; a login or a key belongs into {HEADERS}, as "
            "${secret:NAME}"
        )
        return
    parts = web_address(url)
    if not parts or not parts.path.strip("/"):
        reader.complain(
            f"{URL} is {shown(url)}; it must be the URL that metrics are posted to, such as "
            "https://collector.example.org:4318/v1/metrics"
        )
    elif parts.scheme == "http" and not is_loopback(parts.hostname) and target.headers:
        reader.complain(f"{URL} is {shown(url)}; it must start with https://, or {HEADERS} would go in clear")
