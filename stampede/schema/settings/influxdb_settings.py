"""The InfluxDB that points are pushed to: its settings, and the checks that they make sense together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stampede.schema.errors import BadInput
from stampede.schema.settings.variable_reader import VariableReader, shown
from stampede.schema.settings.web_address import is_loopback, web_address


@dataclass(frozen=True, slots=True)
class Influxdb:
    """An InfluxDB: with a bucket it is written by the v2 API, without by the API of InfluxDB 1."""

    url: str
    database: str = ""
    user: str = ""
    org: str = ""
    bucket: str = ""
    ca_file: str = ""

    @property
    def secret(self) -> str:
        """The name, in ``stampede_secrets``, of the password or token to log in with; empty when none is needed."""
        if self.bucket:
            return "influxdb_token"
        return "influxdb_password" if self.user else ""

    @classmethod
    def from_variables(cls, variables: Mapping[str, Any]) -> Influxdb:
        """Read the ``stampede_influxdb_*`` variables alone. Raises BadInput with all problems found."""
        reader = VariableReader({"stampede_ca_file": "", **variables})
        server = _read_server(reader)
        if reader.problems:
            raise BadInput(*reader.problems)
        return server


def read_influxdb(reader: VariableReader) -> Influxdb | None:
    """The InfluxDB of a run; None when points are not pushed. Its URL is empty until it is installed."""
    kind = reader.read("metrics")
    if kind not in ("existing", "install"):
        return None
    if kind == "install" and not reader.variables.get("stampede_influxdb_url"):
        return Influxdb("")
    server = _read_server(reader)
    if kind == "existing" and server.secret and server.secret not in reader.secrets:
        named = (
            f"stampede_influxdb_bucket is {server.bucket!r}"
            if server.bucket
            else f"stampede_influxdb_user is {server.user!r}"
        )
        reader.complain(f"{named}, but stampede_secrets has no {server.secret}; put it there")
    return server


def _read_server(reader: VariableReader) -> Influxdb:
    server = Influxdb(
        url=reader.read("influxdb_url").rstrip("/"),
        database=reader.read("influxdb_database"),
        user=reader.read("influxdb_user"),
        org=reader.read("influxdb_org"),
        bucket=reader.read("influxdb_bucket"),
        ca_file=reader.read("influxdb_ca_file") or reader.read("ca_file"),
    )
    _check_url(reader, server)
    if ":" in server.user and not server.bucket:
        reader.complain(
            f"stampede_influxdb_user is {shown(server.user)}; it must have no colon, which HTTP takes for the "
            "end of a user's name"
        )
    if reader.is_right("influxdb_bucket") and not (server.bucket or server.database):
        reader.complain(
            "stampede_influxdb_database and stampede_influxdb_bucket are both empty; one must name where points "
            "go, the database for InfluxDB 1, the bucket for InfluxDB 2 or 3"
        )
    if server.bucket and not server.org:
        reader.complain(
            f"stampede_influxdb_org is empty, but stampede_influxdb_bucket is {server.bucket!r}; it must be the "
            "organization's name (InfluxDB 1.8 and 3 take any, such as -)"
        )
    return server


def _check_url(reader: VariableReader, server: Influxdb) -> None:
    variable, url = "stampede_influxdb_url", server.url
    if any(sign in url for sign in "@?#"):
        reader.complain(
            f"{variable} holds more than a server's address; the user belongs into stampede_influxdb_user, "
            "password or token into stampede_secrets as influxdb_password or influxdb_token"
        )
        return
    parts = web_address(url)
    if not parts:
        reader.complain(f"{variable} is {shown(url)}; it must be a URL such as https://influx.example.org:8086")
    elif parts.scheme == "http" and not is_loopback(parts.hostname) and server.secret:
        reader.complain(
            f"{variable} is {shown(url)}; it must start with https://, or {server.secret} would go in clear"
        )
