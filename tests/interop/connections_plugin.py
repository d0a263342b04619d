"""RFC 0160 for ACA-Py 1.7.0, which has it no more: a package `connections` like the plugin of that name, which is on
no registry. It is made of the protocol as ACA-Py 1.2.4 has it in its wheel (Apache-2.0)."""

from __future__ import annotations

import re
import shutil
import sys
import zipfile
from pathlib import Path

from installs import command, installed

SOURCE = "acapy-agent==1.2.4"
PROTOCOL = "acapy_agent/protocols/connections/"
RECORD = '''
import json

from acapy_agent.connections.models.conn_record import ConnRecord, MaybeStoredConnRecordSchema
from acapy_agent.storage.base import BaseStorage
from marshmallow import fields


class ConnectionsRecord(ConnRecord):
    """A connection whose invitation and request may be of RFC 0160."""

    class Meta:
        schema_class = "ConnectionsRecordSchema"

    SUPPORTED_PROTOCOLS = ("connections/1.0", *ConnRecord.SUPPORTED_PROTOCOLS)

    async def retrieve_invitation(self, session):
        from connections.v1_0.messages.connection_invitation import ConnectionInvitation as Invitation

        return await self._elder(session, self.RECORD_TYPE_INVITATION, Invitation) or (
            await super().retrieve_invitation(session)
        )

    async def retrieve_request(self, session):
        from connections.v1_0.messages.connection_request import ConnectionRequest as Request

        return await self._elder(session, self.RECORD_TYPE_REQUEST, Request) or (
            await super().retrieve_request(session)
        )

    async def _elder(self, session, kind, message):
        found = await session.inject(BaseStorage).find_record(kind, {"connection_id": self.connection_id})
        stored = json.loads(found.value)
        return message.deserialize(stored) if "connections/1.0" in stored["@type"] else None


class ConnectionsRecordSchema(MaybeStoredConnRecordSchema):
    class Meta:
        model_class = ConnectionsRecord

    connection_protocol = fields.Str(required=False)
'''
TARGETS = """
    async def _fetch_connection_targets_for_invitation(self, connection, invitation, sender_verkey):
        if not isinstance(invitation, ConnectionInvitation):
            return await super()._fetch_connection_targets_for_invitation(connection, invitation, sender_verkey)
        keys = invitation.endpoint, invitation.recipient_keys, invitation.routing_keys
        endpoint, recipients, routing = await self.resolve_invitation(invitation.did) if invitation.did else keys
        return [
            ConnectionTarget(
                did=connection.their_did,
                endpoint=endpoint,
                label=invitation.label,
                recipient_keys=recipients,
                routing_keys=routing,
                sender_key=sender_verkey,
            )
        ]

    async def get_connection_targets(self, *, connection_id=None, connection=None):
        async with self._profile.session() as session:
            record = await ConnRecord.retrieve_by_id(session, connection_id or connection.connection_id)
        return await self.fetch_connection_targets(record)

"""
REGISTER = """
async def register(app):
    app.add_routes(
        [
            web.post("/connections/create-invitation", connections_create_invitation),
            web.post("/connections/receive-invitation", connections_receive_invitation),
            web.post("/connections/{conn_id}/accept-invitation", connections_accept_invitation),
            web.post("/connections/{conn_id}/accept-request", connections_accept_request),
        ]
    )
"""
SETUP = """
from acapy_agent.config.provider import ClassProvider
from acapy_agent.connections.base_manager import BaseConnectionManager
from acapy_agent.core.profile import Profile
from acapy_agent.core.protocol_registry import ProtocolRegistry

from connections.v1_0.manager import ConnectionManager
from connections.v1_0.message_types import MESSAGE_TYPES


async def setup(context):
    provider = ClassProvider(ConnectionManager, ClassProvider.Inject(Profile))
    context.injector.bind_provider(BaseConnectionManager, provider)
    context.inject(ProtocolRegistry).register_message_types(MESSAGE_TYPES)
"""
PROJECT = """
[project]
name = "connections"
version = "0.1.0"
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools.packages.find]
include = ["connections*"]
"""


def connections_plugin() -> Path:
    """The project's folder, with the package `connections` in it."""
    return installed("connections", [SOURCE, Path(__file__)], _make)


def _make(folder: Path) -> None:
    command(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, SOURCE)
    package = folder / "connections"
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        for name in wheel.namelist():
            if name.startswith(PROTOCOL) and "/tests/" not in name:
                path = package / name.removeprefix(PROTOCOL)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(_moved(wheel.read(name).decode(), depth=name.removeprefix(PROTOCOL).count("/") + 1))
    (package / "v1_0/models/conn_record.py").write_text(RECORD)
    manager = package / "v1_0/manager.py"
    manager.write_text(
        manager.read_text().replace("    def deprecation_warning", f"{TARGETS}    def deprecation_warning", 1)
    )
    routes = package / "v1_0/routes.py"
    text = routes.read_text().replace("PaginatedQuerySchema, get_limit_offset", "PaginatedQuerySchema")
    routes.write_text(text + REGISTER)
    (package / "__init__.py").write_text(SETUP)
    (folder / "pyproject.toml").write_text(PROJECT)
    shutil.rmtree(folder / "build", ignore_errors=True)


def _moved(text: str, depth: int) -> str:
    """A module ``depth`` folders below `connections`, with imports from ACA-Py that are absolute."""

    def absolute(match: re.Match[str]) -> str:
        up = len(match[1]) - depth
        return match[0] if up <= 0 else "from acapy_agent." + ("protocols." if up == 1 else "") + match[2]

    text = re.sub(r"^from (\.+)(\S)", absolute, text, flags=re.M)
    text = text.replace("acapy_agent.protocols.connections.v1_0", "connections.v1_0")
    record = "from connections.v1_0.models.conn_record import ConnectionsRecord as ConnRecord\n"
    return re.sub(
        r"^from acapy_agent\.connections\.models\.conn_record import ConnRecord(, ConnRecordSchema)?\n",
        lambda found: record + (found[0].replace("ConnRecord, ", "") if found[1] else ""),
        text,
        flags=re.M,
    )
