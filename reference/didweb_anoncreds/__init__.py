"""ACA-Py plugin: AnonCreds objects under did:web DIDs (`--plugin reference.didweb_anoncreds`).

Every agent can resolve objects. An issuer can also register them when the environment variable
DIDWEB_ANONCREDS_TOKEN holds the publishing token of the registry that its DID document names. A private CA is
trusted through SSL_CERT_FILE; the plugin passes it to `requests` too, which ACA-Py uses to download tails files.
"""

import os

from acapy_agent.anoncreds.default.did_web.registry import DIDWebRegistry
from acapy_agent.anoncreds.registry import AnonCredsRegistry
from acapy_agent.config.injection_context import InjectionContext

from .client import RegistryClient
from .registry import DidWebAnonCreds


async def setup(context: InjectionContext) -> None:
    """Replace ACA-Py's own did:web registry, a stub that matches the same identifiers."""
    registry = context.inject(AnonCredsRegistry)
    registry.resolvers = [one for one in registry.resolvers if not isinstance(one, DIDWebRegistry)]
    registry.registrars = [one for one in registry.registrars if not isinstance(one, DIDWebRegistry)]
    token = os.environ.get("DIDWEB_ANONCREDS_TOKEN", "")
    registry.register(DidWebAnonCreds(RegistryClient(token), may_publish=bool(token)))
    if "SSL_CERT_FILE" in os.environ:
        os.environ.setdefault("REQUESTS_CA_BUNDLE", os.environ["SSL_CERT_FILE"])
