"""All reference services: one gateway and three agents, started and stopped together."""

import asyncio
import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stampede.schema.settings.web_address import in_url

from . import issuer, mediator, verifier
from .agent import PATCHES, Agent
from .ca import Authority
from .did_documents import DidDocuments
from .gateway import Gateway
from .issuer import Issuer
from .mediator import Mediator
from .registry import Registry
from .tails import TailsFiles
from .verifier import Verifier
from .wallets import create_wallet_folder

DIDWEB_PLUGIN = "reference.didweb_anoncreds"
AGENT_PLUGIN = "reference.agent_plugin"
PICKUP_PLUGIN = "reference.agent_plugin.pickup"


class StartError(Exception):
    """The services cannot run; the message is meant for the user."""


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    folder: Path
    port: int = 9443
    public_host: str = "localhost"
    """A name or an IP address, which is without brackets."""
    registry_size: int = 1000
    verifier_delay: float = 0.0
    """Seconds by which DIDComm messages to the verifier are delayed."""


class Services:
    """Registry, issuer, verifier and mediator behind one HTTPS port."""

    def __init__(self, options: Options, report: Callable[[str], None] = lambda line: None) -> None:
        """Create files and keys; nothing runs yet. `report` takes the progress messages of the start."""
        self._options = options
        self._report = report
        self._folder = options.folder.resolve()
        self._prepare_folder()
        host = in_url(options.public_host)
        self.url = f"https://{host}:{options.port}"
        self._authority = Authority(self._folder, options.public_host)
        self._token = secrets.token_urlsafe(24)
        self._gateway = Gateway(options.port, {Verifier.NAME: options.verifier_delay})
        documents = DidDocuments(host, options.port)
        registry = Registry(self._folder / "registry", self._token)
        tails = TailsFiles(self._folder / "tails")
        self._agents = {name: self._agent(name) for name in (Issuer.NAME, Verifier.NAME, Mediator.NAME)}
        self._issuer = Issuer(self._agents[Issuer.NAME], documents, registry, self.url + Registry.PREFIX)
        self._verifier = Verifier(self._agents[Verifier.NAME])
        self._mediator = Mediator(self._agents[Mediator.NAME], documents)
        parts = (documents, registry, tails, self._issuer, self._verifier, self._mediator)
        self._routes = [route for part in parts for route in part.routes()]
        self._awaited = dict.fromkeys(self._agents, "starts")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start everything. Raises StartError or AgentError."""
        self._report("starting issuer, verifier and mediator")
        try:
            await self._gateway.start(self._routes, self._agents.values(), self._authority.server_context())
        except OSError as err:
            raise StartError(self._port_error(err)) from err
        for part, events in ((self._issuer, issuer), (self._verifier, verifier), (self._mediator, mediator)):
            self._gateway.on_event(part.NAME, part.on_event)
            await self._start_agent(self._agents[part.NAME], events.EVENTS)
        await asyncio.gather(self._set_up_issuer(), self._set_up_verifier(), self._set_up_mediator())
        self._verifier.cred_def_id = self._issuer.cred_def_id
        self._task = asyncio.create_task(self._issuer.run())
        self._write_services_file()

    async def stop(self) -> None:
        """Stop everything and remove the wallets."""
        (self._folder / "services.json").unlink(missing_ok=True)
        if self._task:
            self._task.cancel()
        await asyncio.gather(*(agent.stop() for agent in self._agents.values()))
        await self._gateway.stop()
        shutil.rmtree(self._wallets, ignore_errors=True)
        (self._folder / "wallets").unlink(missing_ok=True)

    def agent_failure(self) -> str:
        """The failure of an agent that has exited; empty while all are running."""
        return next((agent.failure() for agent in self._agents.values() if agent.died), "")

    def description(self) -> dict[str, Any]:
        """The content of services.json: settings for a run against these services."""
        revocation = {"rev_reg_id": "${rev_reg_id}", "cred_rev_id": "${cred_rev_id}"}
        return {
            "services": {
                "issuer": {
                    "invitation": {"url": f"{self.url}/issuer/invitation", "method": "POST"},
                    "revocation": {
                        "url": f"{self.url}/issuer/revocation",
                        "method": "POST",
                        "body": revocation,
                    },
                },
                "issuer_with_menu": {
                    "invitation": {"url": f"{self.url}/issuer/invitation?menu=1", "method": "POST"},
                    "revocation": {
                        "url": f"{self.url}/issuer/revocation",
                        "method": "POST",
                        "body": revocation,
                    },
                },
                "verifier": {
                    "invitation": {"url": f"{self.url}/verifier/invitation", "method": "POST"},
                    "result": {
                        "url": f"{self.url}/verifier/presentations/${{answer:/presentation_id}}",
                        "found_at": "/state",
                        "verified": ["verified"],
                        "refused": ["failed"],
                        "pending": ["pending"],
                    },
                },
            },
            "mediator_did": self._mediator.did,
            "mediator_pickup": "websocket",
            "ca_file": str(self._authority.ca_file),
            "agent_plugins": [DIDWEB_PLUGIN],
            "notes": {"reference agents": f"ACA-Py with the patches {' '.join(PATCHES)}"},
            "urls": {
                "issuer_invitation": f"{self.url}/issuer/invitation",
                "issuer_revocation": f"{self.url}/issuer/revocation",
                "issuer_status": f"{self.url}/issuer/status",
                "issuer_revocation_status": f"{self.url}/issuer/revocation-status",
                "verifier_invitation": f"{self.url}/verifier/invitation",
                "verifier_presentations": f"{self.url}/verifier/presentations",
                "mediator_status": f"{self.url}/mediator/status",
                "registry": self.url + Registry.PREFIX,
                "tails": self.url + TailsFiles.PREFIX,
            },
            "pid": os.getpid(),
            "agents": {name: agent.pid for name, agent in self._agents.items()},
        }

    def _prepare_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "services.json").unlink(missing_ok=True)
        for name in ("registry", "tails", "logs"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        (self._folder / "logs").mkdir()
        self._wallets = create_wallet_folder()
        link = self._folder / "wallets"
        link.unlink(missing_ok=True)
        link.symlink_to(self._wallets)

    def _agent(self, name: str) -> Agent:
        endpoint = f"{self.url}/{name}/didcomm"
        return Agent(
            name,
            endpoints=[endpoint, f"wss{endpoint.removeprefix('https')}"] if name == Mediator.NAME else [endpoint],
            folder=self._wallets / name,
            log=self._folder / "logs" / f"{name}.log",
            trust_file=self._authority.trust_file,
        )

    async def _start_agent(self, agent: Agent, events: str) -> None:
        arguments = ["--plugin", AGENT_PLUGIN]
        environment = {
            "REFERENCE_EVENTS": events,
            "REFERENCE_EVENTS_URL": self._gateway.events_url(agent.name),
            "REFERENCE_EVENTS_TOKEN": self._gateway.events_token,
        }
        if agent.name == Mediator.NAME:
            arguments += ["--open-mediation", "--public-invites", "--requests-through-public-did"]
            arguments += ["--auto-accept-requests", "--plugin", PICKUP_PLUGIN]
        else:
            arguments += ["--plugin", DIDWEB_PLUGIN]
        if agent.name == Issuer.NAME:
            tails = self.url + TailsFiles.PREFIX
            arguments += [
                "--auto-accept-requests",
                "--auto-respond-credential-request",
                "--notify-revocation",
            ]
            arguments += ["--tails-server-base-url", tails, "--tails-server-upload-url", tails]
            environment["DIDWEB_ANONCREDS_TOKEN"] = self._token
        if agent.name == Verifier.NAME:
            arguments += ["--auto-verify-presentation"]
        await agent.start(arguments, environment)

    async def _set_up_issuer(self) -> None:
        await self._agents[Issuer.NAME].ready()
        self._told(Issuer.NAME, "creates its keys, credential definition and revocation registry")
        await self._issuer.set_up(self._options.registry_size)
        self._told(Issuer.NAME, "")

    async def _set_up_verifier(self) -> None:
        await self._agents[Verifier.NAME].ready()
        self._told(Verifier.NAME, "")

    async def _set_up_mediator(self) -> None:
        await self._agents[Mediator.NAME].ready()
        await self._mediator.set_up()
        self._told(Mediator.NAME, "")

    def _told(self, name: str, doing: str) -> None:
        """Report what is still awaited: that one of the services does something, or nothing any more."""
        self._awaited[name] = doing
        if awaited := [f"the {service} {does}" for service, does in self._awaited.items() if does]:
            self._report(", ".join(awaited))

    def _write_services_file(self) -> None:
        path = self._folder / "services.json"
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(self.description(), indent=2) + "\n")
        draft.replace(path)

    def _port_error(self, err: OSError) -> str:
        port = self._options.port
        if err.errno == errno.EADDRINUSE:
            return f"Port {port} is in use by another process; stop that one, or choose a free port with --port."
        return f"Port {port} cannot be opened ({err.strerror or err}); choose another one with --port."
