"""A run's settings: from flat ``stampede_*`` variables to one checked object.

The variables are documented in ``roles/run/meta/argument_specs.yml``; their defaults stand in
``roles/run/defaults/main.yml``. Here stands what each must satisfy.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from stampede.load_models import catalog
from stampede.load_models.interface import LoadModel
from stampede.schema import thresholds
from stampede.schema.durations import seconds
from stampede.schema.errors import BadInput
from stampede.schema.targets import Targets, did_urls

_SECRET_HEADER = re.compile("auth|token|secret|passw|credential|cookie|api-?key|subscription-key")
"""In the name of a header, in lower case: its value is a secret."""
SERVICE_VALUES = frozenset(
    {
        "run_id",
        "holder",
        "connection_id",
        "my_did",
        "their_did",
        "invitation_msg_id",
        "thread_id",
        "cred_ex_id",
        "rev_reg_id",
        "cred_rev_id",
    }
)
"""Names that a service's URL, headers and body may use as ``${name}``, beside ``${secret:NAME}``."""

MAX_REDIRECTS = 5
"""How many redirects of a service are followed."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request that a holder sends to a service, as the user configured it."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """A mapping or list is sent as JSON, text as it is, None as no body."""
    found_at: str = ""
    """Where the invitation is: '' looks for it; a JSON pointer (RFC 6901); 'url'; 'redirect'."""


@dataclass(frozen=True, slots=True)
class Service:
    """An issuer or verifier under test."""

    name: str
    invitation: HttpRequest
    revocation: HttpRequest | None = None
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Influxdb:
    """The InfluxDB to which points are pushed: with a bucket by the v2 write API, without by that of InfluxDB 1."""

    url: str
    database: str = ""
    user: str = ""
    org: str = ""
    bucket: str = ""
    ca_file: str = ""

    @property
    def secret(self) -> str:
        """The name, in ``stampede_secrets``, of the password or token that goes with these; empty: none does."""
        if self.bucket:
            return "influxdb_token"
        return "influxdb_password" if self.user else ""

    @classmethod
    def from_variables(cls, variables: Mapping[str, Any]) -> Influxdb:
        """Read the ``stampede_influxdb_*`` variables alone. Raises BadInput with all problems found."""
        reader = _Reader({"stampede_ca_file": "", **variables})
        server = reader.influxdb()
        if reader.problems:
            raise BadInput(*reader.problems)
        return server


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a run needs to know. Times in seconds; see the argument specs for the meanings."""

    run_id: str
    script: str
    load: LoadModel
    """This host's share of the load."""
    wait_min: float
    wait_max: float
    presentations_min: int
    presentations_max: int
    seed: int
    drain: float
    step_timeout: float
    on_failure: str
    thresholds: tuple[str, ...]
    """See ``stampede.schema.thresholds``."""
    mediator_did: str
    services: Mapping[str, Service]
    ca_file: str
    agents: int
    agent_port: int
    agent_host: str
    agent_bind: str
    agent_plugins: tuple[str, ...]
    agent_args: tuple[str, ...]
    genesis_url: str
    allowed_targets: tuple[str, ...]
    """See ``stampede.schema.targets``."""
    arm_timeout: float
    wallet_storage: str
    postgresql_url: str
    influxdb: Influxdb | None
    """None: points are not pushed."""
    influxdb_flush: float
    host_name: str

    @property
    def scenario(self) -> str:
        """The script's bare name, used as the tag ``scenario``."""
        name = Path(self.script).name
        for ending in (".py.j2", ".j2", ".py"):
            name = name.removesuffix(ending)
        return re.sub(r"[^A-Za-z0-9._-]", "_", name) or "scenario"

    @classmethod
    def from_variables(cls, variables: Mapping[str, Any]) -> Settings:
        """Build settings from ``stampede_*`` variables. Raises BadInput with all problems found."""
        reader = _Reader({"stampede_first_holder": 0, "stampede_load_model": catalog.DEFAULT, **variables})
        settings = cls(
            run_id=reader.matching("run_id", r"[A-Za-z0-9._-]{1,64}", "1 to 64 of A-Z a-z 0-9 . _ -"),
            script=reader.text("script", required=True),
            load=reader.load_model(),
            wait_min=reader.duration("wait_min"),
            wait_max=reader.duration("wait_max"),
            presentations_min=reader.integer("presentations_min", least=0),
            presentations_max=reader.integer("presentations_max", least=0),
            seed=reader.integer("seed", least=0),
            drain=reader.duration("drain"),
            step_timeout=reader.duration("step_timeout", above_zero=True),
            on_failure=reader.choice("on_failure", "restart", "continue", "stop"),
            thresholds=reader.texts("thresholds"),
            mediator_did=reader.did("mediator_did"),
            services=reader.services("services"),
            ca_file=reader.text("ca_file"),
            agents=reader.integer("agents", least=0),
            agent_port=reader.integer("agent_port", least=1, most=65535),
            agent_host=reader.matching(
                "agent_host",
                r"[A-Za-z0-9.:_-]+",
                "the host name or address at which services reach this host",
            ),
            agent_bind=reader.matching("agent_bind", r"[A-Za-z0-9.:_-]+", "an address of this host"),
            agent_plugins=reader.texts("agent_plugins"),
            agent_args=reader.texts("agent_args"),
            genesis_url=reader.url("genesis_url"),
            allowed_targets=reader.texts("allowed_targets"),
            arm_timeout=reader.duration("arm_timeout"),
            wallet_storage=reader.choice("wallet_storage", "sqlite", "postgresql"),
            postgresql_url=reader.text("postgresql_url"),
            influxdb=reader.metrics(),
            influxdb_flush=reader.duration("influxdb_flush"),
            host_name=reader.matching("host_name", r"[A-Za-z0-9._-]{1,64}", "1 to 64 of A-Z a-z 0-9 . _ -"),
        )
        reader.ordered("wait_min", "wait_max")
        reader.ordered("presentations_min", "presentations_max")
        own_server = str(variables.get("stampede_local")).lower() in ("false", "no")  # of a fleet's load host
        if settings.wallet_storage == "postgresql" and not (settings.postgresql_url or own_server):
            reader.complain(
                "stampede_postgresql_url is empty but stampede_wallet_storage is postgresql; "
                "give postgresql://USER@HOST:PORT (the password as stampede_secrets.postgresql_password)"
            )
        if urlsplit(settings.postgresql_url).password:
            reader.complain(
                "stampede_postgresql_url holds a password; put it into stampede_secrets as postgresql_password"
            )
        reader.problems += settings.not_allowed()
        reader.problems += thresholds.check(settings.thresholds, settings.load.why_no_phase)
        if reader.problems:
            raise BadInput(*reader.problems)
        return settings

    def not_allowed(self) -> list[str]:
        """A sentence for each wrong entry of ``allowed_targets``, and for each URL and DID of the settings that
        leads to a host that may not be loaded. Hosts with ``${name}`` in them are known at the request only."""
        try:
            targets = Targets(self.allowed_targets)
        except BadInput as error:
            return error.sentences
        urls = [("stampede_mediator_did", self.mediator_did, url) for url in did_urls(self.mediator_did)]
        urls.append(("stampede_genesis_url", self.genesis_url, self.genesis_url))
        for name, service in self.services.items():
            for kind, request in (("invitation", service.invitation), ("revocation", service.revocation)):
                if request:
                    urls.append((f"stampede_services.{name}.{kind}.url", request.url, request.url))
        return [
            f"{variable} is {value!r}, {refusal}"
            for variable, value, url in urls
            if (host := _netloc(url)) and "${" not in host and (refusal := targets.refusal(url))
        ]

    def public(self) -> dict[str, Any]:
        """Settings for results and reports, as plain JSON values. They hold no secret: services name
        theirs as ``${secret:NAME}``."""
        return dataclasses.asdict(self)


def check_variables(variables: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with ``stampede_*`` variables: one sentence per problem, none when all is well."""
    try:
        Settings.from_variables(variables)
    except BadInput as error:
        return error.sentences
    return []


class _Reader:
    """Reads variables one by one and collects a sentence for each that cannot be used."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables = variables
        self.problems: list[str] = []

    def complain(self, sentence: str) -> None:
        self.problems.append(sentence)

    def _read[T](self, name: str, read: Callable[[Any], T], fallback: T, right: str) -> T:
        variable = f"stampede_{name}"
        if variable not in self._variables:
            self.complain(f"{variable} is not set; it must be {right}")
            return fallback
        value = self._variables[variable]
        try:
            return read(value)
        except (ValueError, TypeError):
            self.complain(f"{variable} is {value!r}; it must be {right}")
            return fallback

    def integer(self, name: str, *, least: int, most: int | None = None) -> int:
        right = f"a whole number from {least} to {most}" if most else f"a whole number of {least} or more"

        def read(value: Any) -> int:
            number = int(str(value).strip())
            if isinstance(value, bool) or number < least or (most is not None and number > most):
                raise ValueError(value)
            return number

        return self._read(name, read, least, right)

    def duration(self, name: str, *, above_zero: bool = False) -> float:
        right = "a number of seconds or a duration such as 90s, 5m or 1h30m"

        def read(value: Any) -> float:
            number = seconds(value)
            if above_zero and number == 0:
                raise ValueError(value)
            return number

        return self._read(name, read, 0.0, right + (", more than 0" if above_zero else ""))

    def ordered(self, lower: str, upper: str) -> None:
        least, most = self._variables.get(f"stampede_{lower}"), self._variables.get(f"stampede_{upper}")
        try:
            wrong = seconds(least) > seconds(most)
        except (ValueError, TypeError):
            return  # already complained of
        if wrong:
            self.complain(
                f"stampede_{lower} is {least}, more than stampede_{upper}, which is {most}; "
                f"stampede_{lower} must be at most stampede_{upper}"
            )

    def text(self, name: str, *, required: bool = False) -> str:
        def read(value: Any) -> str:
            text = "" if value is None else value
            if not isinstance(text, str) or (required and not text):
                raise ValueError(value)
            return text

        return self._read(name, read, "", "a text" + (" that is not empty" if required else ""))

    def texts(self, name: str) -> tuple[str, ...]:
        def read(value: Any) -> tuple[str, ...]:
            if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
                raise TypeError(value)
            return tuple(str(item) for item in value)

        return self._read(name, read, (), "a list of texts")

    def matching(self, name: str, pattern: str, right: str) -> str:
        def read(value: Any) -> str:
            if not re.fullmatch(pattern, str(value)):
                raise ValueError(value)
            return str(value)

        return self._read(name, read, "", right)

    def choice(self, name: str, *choices: str) -> str:
        return self.matching(name, "|".join(choices), "one of " + ", ".join(choices))

    def did(self, name: str) -> str:
        def read(value: Any) -> str:
            text = "" if value is None else str(value)
            if text and not re.fullmatch(r"did:[a-z0-9]+:\S+|[1-9A-HJ-NP-Za-km-z]{21,22}", text):
                raise ValueError(value)
            return text

        return self._read(
            name, read, "", "a public DID such as did:web:mediator.example.org, or empty for no mediator"
        )

    def url(self, name: str) -> str:
        def read(value: Any) -> str:
            text = "" if value is None else str(value)
            if text and (urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname):
                raise ValueError(value)
            return text

        return self._read(name, read, "", "a URL such as https://ledger.example.org/genesis, or empty")

    def load_model(self) -> LoadModel:
        name = self.text("load_model", required=True)
        try:
            return catalog.load_model(name).read(self)
        except BadInput as error:
            self.problems += error.sentences
            return catalog.load_model(catalog.DEFAULT).read(self)

    def metrics(self) -> Influxdb | None:
        kind = self.choice("metrics", "none", "existing", "install")
        if kind not in ("existing", "install"):
            return None
        if kind == "install" and not self._variables.get("stampede_influxdb_url"):
            return Influxdb("")  # not installed yet
        server = self.influxdb()
        secrets = self._variables.get("stampede_secrets") or {}
        if kind == "existing" and server.secret and server.secret not in secrets:
            named = (
                f"stampede_influxdb_bucket is {server.bucket!r}"
                if server.bucket
                else f"stampede_influxdb_user is {server.user!r}"
            )
            self.complain(f"{named}, but stampede_secrets has no {server.secret}; put it there")
        return server

    def influxdb(self) -> Influxdb:
        server = Influxdb(
            url=self.text("influxdb_url").rstrip("/"),
            database=self.text("influxdb_database"),
            user=self.text("influxdb_user"),
            org=self.text("influxdb_org"),
            bucket=self.text("influxdb_bucket"),
            ca_file=self.text("influxdb_ca_file") or self.text("ca_file"),
        )
        self._check_influxdb_url(server)
        if not (server.bucket or server.database):
            self.complain(
                "stampede_influxdb_database and stampede_influxdb_bucket are both empty; one must name where points "
                "go, the database for InfluxDB 1, the bucket for InfluxDB 2 or 3"
            )
        if server.bucket and not server.org:
            self.complain(
                f"stampede_influxdb_org is empty, but stampede_influxdb_bucket is {server.bucket!r}; it must be the "
                "organization's name (InfluxDB 1.8 and 3 take any, such as -)"
            )
        return server

    def _check_influxdb_url(self, server: Influxdb) -> None:
        variable, url = "stampede_influxdb_url", server.url
        if any(sign in url for sign in "@?#"):
            self.complain(
                f"{variable} holds more than a server's address; the user belongs into stampede_influxdb_user, "
                "password or token into stampede_secrets as influxdb_password or influxdb_token"
            )
            return
        parts = _web_address(url)
        if not parts:
            self.complain(f"{variable} is {url!r}; it must be a URL such as https://influx.example.org:8086")
        elif parts.scheme == "http" and parts.hostname not in _LOOPBACK and server.secret:
            self.complain(f"{variable} is {url!r}; it must start with https://, or {server.secret} would go in clear")

    def services(self, name: str) -> dict[str, Service]:
        variable = f"stampede_{name}"
        value = self._variables.get(variable)
        if not isinstance(value, Mapping) or not value:
            self.complain(
                f"{variable} is {value!r}; it must map at least one service name to its invitation request, "
                "such as issuer: {invitation: {url: https://issuer.example.org/invitation}}"
            )
            return {}
        return {str(key): self._service(f"{variable}.{key}", str(key), entry) for key, entry in value.items()}

    def _service(self, where: str, name: str, entry: Any) -> Service:
        known = {"invitation", "revocation", "ca_file"}
        nothing = HttpRequest(url="")
        if not isinstance(entry, Mapping) or "invitation" not in entry:
            self.complain(f"{where} is {entry!r}; it must be a mapping with an invitation request in it")
            return Service(name, nothing)
        for key in entry.keys() - known:
            self.complain(f"{where} has the key {key!r}; it may have {', '.join(sorted(known))}")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            self.complain(f"{where}: the name {name!r} must be of A-Z a-z 0-9 . _ -")
        revocation = entry.get("revocation")
        return Service(
            name,
            self._request(f"{where}.invitation", entry["invitation"]) or nothing,
            self._request(f"{where}.revocation", revocation) if revocation else None,
            str(entry.get("ca_file") or ""),
        )

    def _request(self, where: str, entry: Any) -> HttpRequest | None:
        known = {item.name for item in dataclasses.fields(HttpRequest)}
        if not isinstance(entry, Mapping):
            self.complain(f"{where} is {entry!r}; it must be a mapping with a url in it")
            return None
        for key in entry.keys() - known:
            self.complain(f"{where} has the key {key!r}; it may have {', '.join(sorted(known))}")
        request = HttpRequest(
            url=str(entry.get("url") or ""),
            method=str(entry.get("method") or "POST").upper(),
            headers={str(key): str(value) for key, value in (entry.get("headers") or {}).items()},
            body=entry.get("body"),
            found_at=str(entry.get("found_at") or ""),
        )
        self._check_url(f"{where}.url", request.url)
        if not re.fullmatch(r"[A-Z]+", request.method):
            self.complain(f"{where}.method is {request.method!r}; it must be an HTTP method such as POST or GET")
        if request.found_at not in ("", "url", "redirect") and not request.found_at.startswith("/"):
            self.complain(
                f"{where}.found_at is {request.found_at!r}; it must be empty, url, redirect, "
                "or a JSON pointer such as /invitation"
            )
        for header, text in request.headers.items():
            if _SECRET_HEADER.search(header.lower()) and "${secret:" not in text:
                self.complain(
                    f"{where}.headers.{header} holds a secret in clear; put it into stampede_secrets and "
                    "write ${secret:NAME} here"
                )
        for text in (request.url, *request.headers.values(), *_texts_in(request.body)):
            self._check_placeholders(where, text)
        return request

    def _check_url(self, where: str, url: str) -> None:
        parts = _web_address(url)
        if not parts:
            self.complain(f"{where} is {url!r}; it must be a URL such as https://issuer.example.org/invitation")
        elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            self.complain(f"{where} is {url!r}; it must start with https:// (http:// is taken for loopback only)")
        elif parts.username or parts.password:
            self.complain(f"{where} holds a user or password; put them into a header as ${{secret:NAME}}")

    def _check_placeholders(self, where: str, text: str) -> None:
        for name in _PLACEHOLDER.findall(text):
            if name.startswith("secret:"):
                if name.removeprefix("secret:") not in (self._variables.get("stampede_secrets") or {}):
                    self.complain(
                        f"{where} uses ${{{name}}}, but stampede_secrets has no {name.removeprefix('secret:')!r}"
                    )
            elif name not in SERVICE_VALUES:
                self.complain(
                    f"{where} uses ${{{name}}}; it may use {', '.join(sorted(SERVICE_VALUES))} and secret:NAME"
                )


def _netloc(url: str) -> str:
    """The part of a URL with its host; empty when there is none, which is complained of elsewhere."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _web_address(url: str) -> SplitResult | None:
    """The parts of an http or https URL with a host, and with a port only if that can be one; None for all else."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        return None
    return parts if good else None


def _texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts_in(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts_in(item)]
    return []


def fill_in(value: Any, values: Mapping[str, str]) -> Any:
    """Replace ``${name}`` in every text within a URL, headers or body. Unknown names raise KeyError."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: values[match[1]], value)
    if isinstance(value, Mapping):
        return {key: fill_in(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill_in(item, values) for item in value]
    return value
