"""Requests from the control node, before anything is deployed, that tell whether the services can be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from stampede.influxdb.client import connect, failure_message
from stampede.prepare.ca_checks import ca_file_problems, tls_advice
from stampede.prepare.request import session
from stampede.schema.errors import BadInput
from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.service_settings import MAX_REDIRECTS
from stampede.schema.settings.targets import Targets, did_web_url, endpoints

TIMEOUT = 10.0
"""Seconds for each request."""


def probe_run(settings: Settings, secrets: Mapping[str, str]) -> list[str]:
    """Probe the services, and InfluxDB when points are pushed. Returns warnings; raises BadInput."""
    problems, warnings = probe(settings), list[str]()
    if target := settings.influxdb:
        found, warnings = probe_influxdb(target, str(secrets.get(target.secret, "")).strip())
        problems += found
    if problems:
        raise BadInput(*problems)
    return warnings


def probe(settings: Settings) -> list[str]:
    """One sentence for each service that does not answer over trusted TLS, each CA file that cannot be read,
    and for a mediator's DID that cannot be resolved; none when all is well.

    A probe is a HEAD request, so that no invitation is created; any HTTP status is an answer.
    """
    problems = ca_file_problems(_ca_files(settings))
    if problems:
        return problems
    for service in settings.services.values():
        ca_files = (settings.ca_file, service.ca_file)
        for kind, request in (("invitation", service.invitation), ("revocation", service.revocation)):
            # a URL may hold ${name} in its path; server and port are what is probed
            origin = "{0.scheme}://{0.netloc}".format(urlsplit(request.url)) if request else ""
            variable = f"stampede_services.{service.name}.{kind}.url"
            if origin and "${" not in origin and (problem := _failure_of(origin, *ca_files)):
                problems.append(f"{variable} is {request.url!r}, but {problem}")  # type: ignore[union-attr]
    if settings.mediator_did and (problem := _resolve(settings)):
        problems.append(f"stampede_mediator_did is {settings.mediator_did!r}, which cannot be used: {problem}")
    return problems


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
            "is available, or afterwards by playbooks/replay.yml"
        ]
    return [f"Points cannot be pushed: {failure_message(target, answer)}"], []


def _ca_files(settings: Settings) -> dict[str, str]:
    of_services = {
        f"stampede_services.{service.name}.ca_file": service.ca_file for service in settings.services.values()
    }
    return {"stampede_ca_file": settings.ca_file} | of_services


def _failure_of(url: str, *ca_files: str) -> str:
    """Why ``url`` cannot be used; empty when it answers."""
    try:
        with session(*ca_files) as control_node:
            control_node.head(url, timeout=TIMEOUT, allow_redirects=False)
    except requests.exceptions.SSLError as error:
        advice = "name the CA's PEM file in stampede_ca_file or the service's ca_file"
        return f"its certificate is not trusted ({_cause(error)}); {tls_advice(_cause(error), advice)}"
    except requests.exceptions.Timeout:
        return f"it did not answer within {TIMEOUT:g} s"
    except requests.exceptions.RequestException as error:
        return f"it cannot be reached ({_cause(error)})"
    return ""


def _resolve(settings: Settings) -> str:
    """Why the mediator's DID document cannot be used, or leads to a host that may not be put under load; empty when
    all is well, or when only the agents can tell."""
    did, ca_files, targets = settings.mediator_did, _ca_files(settings).values(), Targets(settings.allowed_targets)
    if not did.startswith("did:web:"):
        return ""
    url = did_web_url(did)
    if problem := _failure_of(url, *ca_files):
        return f"{url}: {problem}"
    for _ in range(MAX_REDIRECTS):
        with session(*ca_files) as control_node:
            answer = control_node.get(url, timeout=TIMEOUT, allow_redirects=False)
        if not answer.is_redirect:
            break
        url = urljoin(url, answer.headers["Location"])
        if refusal := targets.refusal(url):
            return f"its document is redirected to {url}, {refusal}"
    if answer.status_code != 200:
        return f"{url} answered {answer.status_code}; it must hold the DID's document"
    try:
        document: Any = answer.json()
    except ValueError:
        return f"{url} does not hold JSON"
    if not isinstance(document, dict) or document.get("id") != did:
        return f"the document at {url} is not that of this DID"
    kinds = [service.get("type") for service in document.get("service") or ()]
    if not {"did-communication", "DIDCommMessaging"} & set(kinds):
        return f"the document at {url} has no service of type did-communication"
    for endpoint in endpoints(document["service"]):
        if refusal := targets.refusal(endpoint):
            return f"its document names the endpoint {endpoint}, {refusal}"
    return ""


def _cause(error: Exception) -> str:
    """The innermost reason of a requests exception."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or (reason.args[0] if getattr(reason, "args", None) else None)
        if not isinstance(inner, Exception):
            break
        reason = inner
    text = str(getattr(reason, "strerror", None) or reason).rsplit("] ", 1)[-1].split(" (_ssl")[0].split(": ", 1)[-1]
    return (text if "(" in text else text.rstrip(")")) or type(reason).__name__
