"""A run's settings on a load host: from flat ``stampede_*`` variables to one checked object."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from stampede.load_models import catalog
from stampede.load_models.interface import LoadModel, StageNow
from stampede.schema import plain_numbers
from stampede.schema.errors import BadInput
from stampede.schema.margins import Margins
from stampede.schema.settings import thresholds
from stampede.schema.settings.agent_patches import read_agent_patches, storage_without_patch
from stampede.schema.settings.data_settings import DataSettings, read_data
from stampede.schema.settings.influxdb_settings import Influxdb, read_influxdb
from stampede.schema.settings.ledger_settings import Ledger, read_ledgers, where
from stampede.schema.settings.mediator_settings import (
    VARIABLE,
    MediatorInvitation,
    names_mediator,
    read_mediator_invitation,
)
from stampede.schema.settings.otlp_settings import Otlp, read_otlp
from stampede.schema.settings.script_settings import (
    LONGEST_NAME,
    ScriptShare,
    bare_name,
    read_scripts,
    read_stage_weights,
    script_of,
)
from stampede.schema.settings.script_settings import (
    VARIABLE as SCRIPTS,
)
from stampede.schema.settings.secret_settings import check_secrets
from stampede.schema.settings.service_settings import Service, read_services, variable_of
from stampede.schema.settings.targets import Targets, did_urls, invitation_urls
from stampede.schema.settings.variable_reader import VariableReader, shown
from stampede.schema.settings.variables import LoadHostVariables
from stampede.schema.settings.web_address import is_reached_at, web_address

LOAD = ("load_model", "stages", "ramp_up", "duration", "holders", "search")
"""The variables that a run's plan is read from in its results."""
MOST_LOOKED_AT = 1_000_000
"""Holders among whom one is looked for who takes a script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(LoadHostVariables):
    """Everything that a load host needs to know of a run. Times in seconds.

    The variables that the argument specs say the load host reads are fields of the same name; what is more than one
    plain value is here.
    """

    load: LoadModel
    """This host's share of the load."""
    scripts: tuple[ScriptShare, ...]
    """Empty when ``script`` is the only one."""
    stage_weights: tuple[tuple[float, ...] | None, ...]
    """The scripts' weights in each of the stages; None where they are as ever."""
    own_settings: tuple[Mapping[str, Any], ...]
    """Fields of which each of the scripts has its own values."""
    asked_load: Mapping[str, Any]
    """The variables that say how the load develops, as results note them: a report is made from them where the
    control node's run.json is missing."""
    services: Mapping[str, Service]
    data: DataSettings | None
    """None: holders have no rows."""
    mediator_invitation: MediatorInvitation | None
    """None: the mediator is known by ``mediator_did``, or there is none."""
    notes: Mapping[str, str]
    """What is worth knowing beside the results, by names of the user's choice."""
    self_attested: Mapping[str, str]
    """What holders say of themselves, by the names of attributes."""
    ledgers: tuple[Ledger, ...]
    agent_patches: tuple[str, ...]
    """The names of those that are on."""
    influxdb: Influxdb | None
    """None: points are not pushed."""
    otlp: Otlp | None
    """None: there is no OpenTelemetry collector."""

    @property
    def scenario(self) -> str:
        """The bare names of the scripts, used as the tag ``scenario``."""
        return "+".join(share.name for share in self.scripts)[:LONGEST_NAME] or bare_name(self.script)

    @property
    def of_scripts(self) -> list[tuple[str, Settings]]:
        """The settings of each script, with its name; of a single one these, without a name."""
        if not self.scripts:
            return [("", self)]
        return [
            (share.name, replace(self, script=share.script, **own))
            for share, own in zip(self.scripts, self.own_settings, strict=True)
        ]

    def script_of(self, holder: int, stage: StageNow | None) -> int:
        """Which of the scripts a holder takes, by its number and the stage that it comes in."""
        if not self.scripts:
            return 0
        in_stage = self.stage_weights[stage.number - 1] if stage and self.stage_weights else None
        return script_of(holder, in_stage or [share.weight for share in self.scripts])

    def scripts_without_holders(self) -> list[str]:
        """A sentence for each of several scripts that none of the load's holders takes."""
        missing = dict(enumerate(self.scripts))
        for number, moment in itertools.islice(self.load.comings(), MOST_LOOKED_AT):
            missing.pop(self.script_of(number, self.load.stage_at(moment)), None)
            if not missing:
                return []
        if (holders := self.load.total) > MOST_LOOKED_AT:
            return []
        return [
            f"{SCRIPTS}[{place}].weight is {share.weight:g}, by which none of the run's "
            f"{plain_numbers.number(holders, 'holder')} takes {share.name}; it must be more, or the run must have "
            "more holders"
            for place, share in missing.items()
        ]

    @property
    def margins(self) -> Margins:
        """What of the run is kept out of its figures."""
        return Margins(self.warm_up, self.cool_down)

    @property
    def asked(self) -> Mapping[str, Service]:
        """All that holders ask by HTTPS, by name: the services, and the mediator if it gives invitations."""
        mediator = self.mediator_invitation.service if self.mediator_invitation else None
        return {**self.services, mediator.name: mediator} if mediator else self.services

    @property
    def has_phones(self) -> bool:
        """Whether holders are reached through a link of theirs to the mediator, and no port is open."""
        return self.mediator_pickup != "none"

    @classmethod
    def from_variables(cls, variables: Mapping[str, Any]) -> Settings:
        """Build settings from ``stampede_*`` variables. Raises BadInput with all problems found."""
        optional: dict[str, Any] = {
            "stampede_agent_patches": {},
            "stampede_arrivals": "constant",
            "stampede_cool_down": 0,
            "stampede_data": {},
            "stampede_first_holder": 0,
            "stampede_iterations_per": "holder",
            "stampede_load_model": catalog.DEFAULT,
            "stampede_local": True,
            "stampede_notes": {},
            "stampede_self_attested": {},
            "stampede_mediator_invitation": "",
            "stampede_observed_think_times": (),
            "stampede_otlp_ca_file": "",
            "stampede_otlp_headers": {},
            "stampede_otlp_url": "",
            "stampede_rate": "1/s",
            "stampede_scripts": (),
            "stampede_search": {},
            "stampede_share": {},
            "stampede_stages": (),
            "stampede_think_time_scale": 1,
            "stampede_think_times": "uniform",
            "stampede_warm_up": 0,
        }
        reader = VariableReader(optional | dict(variables))
        check_secrets(reader)
        fields = reader.fields(LoadHostVariables)
        patches = read_agent_patches(reader)
        fields["wallet_storage"] = storage_without_patch(fields["wallet_storage"], patches)
        settings = cls(
            **fields,
            load=_read_load_model(reader),
            scripts=(scripts := read_scripts(reader)),
            stage_weights=read_stage_weights(reader, scripts),
            own_settings=(),
            asked_load={f"stampede_{name}": reader.read(name) for name in LOAD},
            services=read_services(reader),
            data=read_data(reader),
            mediator_invitation=read_mediator_invitation(reader),
            notes=_read_texts(reader, "notes", "names of your choice"),
            self_attested=_read_texts(reader, "self_attested", "the names of attributes"),
            ledgers=read_ledgers(reader),
            agent_patches=patches,
            influxdb=read_influxdb(reader),
            otlp=read_otlp(reader),
        )
        reader.ordered("wait_min", "wait_max")
        reader.ordered("presentations_min", "presentations_max")
        for sentence in (
            *(settings._no_think_times() if reader.is_right("observed_think_times") else ()),
            *(settings._wrong_margins() if not reader.problems else ()),
            *settings._unreachable_agents(),
            *(settings._phones_without_mediator() if not names_mediator(reader) else ()),
            *(settings._wallets_without_ledger() if not reader.problems else ()),
            *settings._wrong_postgresql(has_own_server=not reader.read("local")),
            *(settings.not_allowed() if reader.is_right("allowed_targets") else ()),
            *thresholds.check(
                settings.thresholds, settings.load.why_no_phase, [share.name for share in settings.scripts]
            ),
        ):
            reader.complain(sentence)
        if reader.problems:
            raise BadInput(*reader.problems)
        return replace(settings, own_settings=_own_settings(scripts, variables))

    def not_allowed(self) -> list[str]:
        """A sentence for each wrong entry of ``allowed_targets``, and for each URL and DID of the settings that
        leads to a host that may not be loaded. Hosts with ``${name}`` in them are known at the request only."""
        try:
            targets = Targets(self.allowed_targets)
        except BadInput as error:
            return error.sentences
        urls = [("stampede_mediator_did", self.mediator_did, url) for url in did_urls(self.mediator_did)]
        urls += [(variable, url, url) for variable, url in self.genesis_urls()]
        if (mediator := self.mediator_invitation) and mediator.message:
            urls += [(VARIABLE, url, url) for url in invitation_urls(dict(mediator.message))]
        for name, service in self.asked.items():
            urls += [
                (variable_of(name, key), url, url) for key, url in service.urls() if web_address(url)
            ]  # what is no URL is told as such
        return [
            f"{variable} is {shown(value)}, {refusal}"
            for variable, value, url in urls
            if url and "${" not in _netloc(url) and (refusal := targets.refusal(url))
        ]

    def genesis_urls(self) -> list[tuple[str, str]]:
        """The URLs of genesis transactions, each with the variable that names it."""
        urls = [("stampede_genesis_url", self.genesis_url)]
        urls += [(f"{where(place)}.genesis_url", ledger.genesis_url) for place, ledger in enumerate(self.ledgers)]
        return [(variable, url) for variable, url in urls if url]

    def public(self) -> dict[str, Any]:
        """Settings for results and reports, as plain JSON values. They hold no secret: services name
        theirs as ``${secret:NAME}``."""
        noted = dataclasses.asdict(self)
        noted["load"] |= noted.pop("asked_load")
        return noted

    def _no_think_times(self) -> list[str]:
        if self.think_times != "observed" or self.observed_think_times:
            return []
        return [
            "stampede_observed_think_times is empty, but stampede_think_times is observed; it must be a list of the "
            "think times that were observed, in seconds"
        ]

    def _wrong_margins(self) -> list[str]:
        warm_up, cool_down, duration = self.warm_up, self.cool_down, self.load.plan.duration
        if not warm_up and not cool_down:
            return []
        variable, value = ("stampede_warm_up", warm_up) if warm_up else ("stampede_cool_down", cool_down)
        if self.load.has_levels:
            return [
                f"{variable} is {value:g} s, but the load model judges each of its levels by itself, after a time to "
                "settle; it must be 0"
            ]
        if cool_down and not duration:
            return [
                f"stampede_cool_down is {cool_down:g} s, but the run lasts until its iterations are done, and when "
                "that is nobody knows before; it must be 0, or stampede_duration must say how long the run lasts"
            ]
        if duration and warm_up + cool_down >= duration:
            return [
                f"stampede_warm_up and stampede_cool_down are {warm_up + cool_down:g} s together, but the run lasts "
                f"{duration:g} s; they must be shorter, so that something is measured"
            ]
        return []

    def _unreachable_agents(self) -> list[str]:
        if self.has_phones or is_reached_at(self.agent_host, self.agent_bind):
            return []
        everywhere = "::" if ":" in self.agent_host else "0.0.0.0"  # noqa: S104  only told
        return [
            f"stampede_agent_bind is {self.agent_bind!r}, where nobody reaches stampede_agent_host, which is "
            f"{self.agent_host!r}; it must be {self.agent_host} or {everywhere}"
        ]

    def _wallets_without_ledger(self) -> list[str]:
        if self.wallet_type != "askar" or self.genesis_url or self.ledgers:
            return []
        return [
            "stampede_wallet_type is 'askar', and such wallets take credentials of Indy ledgers only, but neither "
            "stampede_genesis_url nor stampede_ledgers names one; name the ledger, or it must be askar-anoncreds"
        ]

    def _phones_without_mediator(self) -> list[str]:
        if not self.has_phones:
            return []
        return [
            f"stampede_mediator_pickup is {self.mediator_pickup}, but stampede_mediator_did is empty; phones are "
            "reached through a mediator, so it must name one, or stampede_mediator_invitation must lead to one"
        ]

    def _wrong_postgresql(self, has_own_server: bool) -> list[str]:
        right = "postgresql://USER@HOST:PORT (the password as stampede_secrets.postgresql_password)"
        if not self.postgresql_url:
            if self.wallet_storage != "postgresql" or has_own_server:
                return []
            return [f"stampede_postgresql_url is empty but stampede_wallet_storage is postgresql; give {right}"]
        try:
            parts = urlsplit(self.postgresql_url)
            wrong = parts.scheme not in ("postgresql", "postgres") or not parts.hostname or parts.port == 0
            wrong = wrong or " " in self.postgresql_url
            password = parts.password
        except ValueError:
            wrong, password = True, None
        if password:
            return ["stampede_postgresql_url holds a password; put it into stampede_secrets as postgresql_password"]
        return [f"stampede_postgresql_url is {shown(self.postgresql_url)}; it must be {right}"] if wrong else []


def check_variables(variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each problem of the ``stampede_*`` variables of a load host; none when all is well."""
    try:
        Settings.from_variables(variables)
    except BadInput as error:
        return error.sentences
    return []


def _own_settings(scripts: tuple[ScriptShare, ...], variables: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The fields of which each script has its own values. Raises BadInput with what is wrong with them."""
    names_no_script = {
        "stampede_scripts": (),
        "stampede_thresholds": (),
        "stampede_stages": [
            {key: value for key, value in stage.items() if key != "scripts"}
            for stage in variables.get("stampede_stages") or ()
        ],
    }
    found, problems = [], []
    for place, share in enumerate(scripts):
        try:
            of_it = {"stampede_script": share.script, **share.variables}
            own = Settings.from_variables({**variables, **names_no_script, **of_it})
        except BadInput as error:
            problems += [f"{SCRIPTS}[{place}].settings: {sentence}" for sentence in error.sentences]
        else:
            names = [name.removeprefix("stampede_") for name in share.variables]
            found.append({name: getattr(own, name) for name in names})
    if problems:
        raise BadInput(*problems)
    return tuple(found)


def _read_load_model(reader: VariableReader) -> LoadModel:
    try:
        return catalog.load_model(reader.read("load_model")).read(reader)
    except BadInput as error:
        for sentence in error.sentences:
            reader.complain(sentence)
        return catalog.load_model(catalog.DEFAULT).read(reader)


def _read_texts(reader: VariableReader, name: str, names: str) -> dict[str, str]:
    """A variable that maps ``names`` to texts; numbers are texts, too."""
    found = {}
    for key, value in reader.read(name).items():
        if not isinstance(key, str) or isinstance(value, bool) or not isinstance(value, str | int | float):
            reader.complain(
                f"stampede_{name} has {shown(key)}: {shown(value)}; it must map {names} to texts or numbers"
            )
        else:
            found[key] = str(value)
    return found


def _netloc(url: str) -> str:
    """The part of a URL with its host; empty when there is none."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""
