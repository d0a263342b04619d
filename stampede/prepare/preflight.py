"""Requests from the control node, before anything is deployed, that tell whether the services can be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from stampede import otlp
from stampede.influxdb.client import connect, failure_message
from stampede.prepare.ca_checks import ca_file_problems, tls_advice
from stampede.prepare.fetching import NotFetched, fetch
from stampede.prepare.genesis import unusable_genesis
from stampede.prepare.mediator_document import PICKUP_SCHEMES, mediator_problem, unfit_for_pickup
from stampede.schema.errors import BadInput
from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.otlp_settings import Otlp
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.secret_settings import read_secrets
from stampede.schema.settings.service_settings import variable_of
from stampede.schema.settings.targets import Targets, endpoints, written_in


def probe_run(settings: Settings, secrets: Mapping[str, str]) -> list[str]:
    """Probe the services, and what metrics are pushed to. Returns warnings; raises BadInput."""
    problems, warnings = probe(settings), list[str]()
    if target := settings.influxdb:
        found, warnings = probe_influxdb(target, read_secrets(secrets).get(target.secret, ""))
        problems += found
    if collector := settings.otlp:
        found, more = probe_otlp(collector, read_secrets(secrets))
        problems += found
        warnings += more
    if problems:
        raise BadInput(*problems)
    return warnings


def probe(settings: Settings) -> list[str]:
    """One sentence for each service that does not answer over trusted TLS, each CA file that cannot be read,
    for a mediator's DID that cannot be resolved, and for each ledger without a genesis; none when all is well.

    A probe is a HEAD request, so that no invitation is created; any HTTP status is an answer.
    """
    problems = ca_file_problems(_ca_files(settings))
    if problems:
        return problems
    for service in settings.asked.values():
        ca_files = (settings.ca_file, service.ca_file)
        for key, url in service.urls():
            # a URL may hold ${name} in its path, or be one; server and port are what is probed
            origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
            variable = variable_of(service.name, key)
            if not url.startswith("${") and "${" not in origin and (problem := _failure_of(origin, *ca_files)):
                problems.append(f"{variable} is {url!r}, but {problem}")
    targets = Targets(settings.allowed_targets)
    trusted = _ca_files(settings).values()
    if problem := mediator_problem(settings.mediator_did, targets, *trusted, pickup=settings.mediator_pickup):
        problems.append(f"stampede_mediator_did is {settings.mediator_did!r}, which cannot be used: {problem}")
    if (mediator := settings.mediator_invitation) and mediator.message:
        unfit = _unfit_services(mediator.message, settings.mediator_pickup, targets, *trusted)
        problems += [f"stampede_mediator_invitation leads to {each}" for each in unfit[:1]]
    return [*problems, *unusable_genesis(settings)]


def probe_influxdb(target: Influxdb, secret: str) -> tuple[list[str], list[str]]:
    """Problems and warnings about pushing points, a sentence each. No point is written."""
    if not target.url:
        return ["stampede_metrics is install, but role influxdb has not said where its server is"], []
    try:
        answer = connect(target, secret).write(b"\n")
    except BadInput as error:
        return error.sentences, []
    if answer.ok or answer.status == 400:  # InfluxDB 2 answers 400 to no points when all else is right
        return [], []
    if answer.untrusted:
        advice = tls_advice(answer.message, "name the CA's PEM file in stampede_influxdb_ca_file")
        return [f"stampede_influxdb_url cannot be used: {failure_message(target, answer)}; {advice}"], []
    if answer.temporary:
        return [], [
            f"{failure_message(target, answer)}. The run continues without it; its points are pushed when the server "
            "is available, or afterwards by stampede replay"
        ]
    return [f"Points cannot be pushed: {failure_message(target, answer)}"], []


def probe_otlp(target: Otlp, secrets: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Problems and warnings about pushing metrics, a sentence each. No metric is sent."""
    try:
        answer = otlp.post_nothing(target, {name: secrets.get(name, "") for name in target.secrets})
    except BadInput as error:
        return error.sentences, []
    said = otlp.failure_message(target, answer)
    if answer.ok or answer.status == 400:  # some take no request without metrics
        return [], []
    if answer.untrusted:
        advice = tls_advice(answer.message, "name the CA's PEM file in stampede_otlp_ca_file")
        return [f"stampede_otlp_url cannot be used: {said}; {advice}"], []
    if answer.temporary:
        return [], [f"{said}. The run continues without it; metrics are pushed when it is available"]
    return [f"stampede_otlp_url cannot be used: {said}"], []


def _unfit_services(message: Mapping[str, Any], pickup: str, targets: Targets, *ca_files: str) -> list[str]:
    """Why a mediator cannot be used by any service of its invitation; none when it can by one. What a ``did:web``
    names is in its document."""
    services = message.get("services")
    dids = [*(services if isinstance(services, list) else ()), message.get("did")]
    to_fetch = [did for did in dids if isinstance(did, str) and did.startswith("did:web:")]
    named = list(endpoints([services, dict(message)], written_in))
    unfit = [
        f"{did}, which cannot be used: {problem}"
        for did in to_fetch
        if (problem := mediator_problem(did, targets, *ca_files, pickup=pickup))
    ]
    if named and unfit_for_pickup(named, pickup):
        unfit.append(
            f"{' and '.join(named)}, but stampede_mediator_pickup is {pickup}; one must start with "
            f"{' or '.join(PICKUP_SCHEMES[pickup])}"
        )
    return unfit if len(unfit) == len(to_fetch) + bool(named) else []


def _ca_files(settings: Settings) -> dict[str, str]:
    of_services = {
        f"stampede_services.{service.name}.ca_file": service.ca_file for service in settings.services.values()
    }
    return {"stampede_ca_file": settings.ca_file} | of_services


def _failure_of(url: str, *ca_files: str) -> str:
    """Why ``url`` cannot be used; empty when it answers."""
    try:
        fetch(url, *ca_files, method="HEAD")
    except NotFetched as error:
        return str(error)
    return ""
