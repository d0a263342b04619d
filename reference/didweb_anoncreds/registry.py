"""ACA-Py's AnonCreds registry interface, answered by the did:web AnonCreds method."""

import re
import time
from collections.abc import Sequence
from typing import Any

from acapy_agent.anoncreds.base import (
    AnonCredsObjectNotFound,
    AnonCredsRegistrationError,
    AnonCredsResolutionError,
    BaseAnonCredsRegistrar,
    BaseAnonCredsResolver,
)
from acapy_agent.anoncreds.events import RevListFinishedEvent
from acapy_agent.anoncreds.models.credential_definition import (
    CredDef,
    CredDefResult,
    CredDefState,
    GetCredDefResult,
)
from acapy_agent.anoncreds.models.revocation import (
    GetRevListResult,
    GetRevRegDefResult,
    RevList,
    RevListResult,
    RevListState,
    RevRegDef,
    RevRegDefResult,
    RevRegDefState,
)
from acapy_agent.anoncreds.models.schema import AnonCredsSchema, GetSchemaResult, SchemaResult, SchemaState
from acapy_agent.anoncreds.models.schema_info import AnonCredsSchemaInfo
from acapy_agent.config.injection_context import InjectionContext
from acapy_agent.core.event_bus import EventBus
from acapy_agent.core.profile import Profile

from .client import NotFoundError, RegistryClient, ResolutionError
from .identifiers import CRED_DEF, REV_REG_DEF, SCHEMA, ObjectId

IDENTIFIERS = re.compile(r"^did:web:[^\s?#/]+(\?[^\s#]*)?$")


class DidWebAnonCreds(BaseAnonCredsResolver, BaseAnonCredsRegistrar):
    """Resolves objects for anyone; registers those of an issuer that has the registry's publishing token."""

    def __init__(self, client: RegistryClient, may_publish: bool) -> None:
        """`may_publish`: whether registering is allowed at all."""
        self._client = client
        self._may_publish = may_publish

    @property
    def supported_identifiers_regex(self) -> re.Pattern[str]:
        """did:web DIDs and DID URLs."""
        return IDENTIFIERS

    async def setup(self, context: InjectionContext) -> None:
        """Nothing to set up."""

    async def get_schema(self, profile: Profile, schema_id: str) -> GetSchemaResult:
        """Fetch a schema."""
        answer = await self._fetch(schema_id)
        return GetSchemaResult(
            schema=AnonCredsSchema.deserialize(answer["resource"]),
            schema_id=schema_id,
            resolution_metadata={},
            schema_metadata=answer.get("resourceMetadata", {}),
        )

    async def get_schema_info_by_id(self, profile: Profile, schema_id: str) -> AnonCredsSchemaInfo:
        """Name, version and issuer of a schema."""
        resource = (await self._fetch(schema_id))["resource"]
        return AnonCredsSchemaInfo(resource["issuerId"], resource["name"], resource["version"])

    async def get_credential_definition(self, profile: Profile, credential_definition_id: str) -> GetCredDefResult:
        """Fetch a credential definition."""
        answer = await self._fetch(credential_definition_id)
        return GetCredDefResult(
            credential_definition_id=credential_definition_id,
            credential_definition=CredDef.deserialize(answer["resource"]),
            resolution_metadata={},
            credential_definition_metadata=answer.get("resourceMetadata", {}),
        )

    async def get_revocation_registry_definition(
        self, profile: Profile, revocation_registry_id: str
    ) -> GetRevRegDefResult:
        """Fetch a revocation registry definition."""
        answer = await self._fetch(revocation_registry_id)
        return GetRevRegDefResult(
            revocation_registry=RevRegDef.deserialize(answer["resource"]),
            revocation_registry_id=revocation_registry_id,
            resolution_metadata={},
            revocation_registry_metadata=answer.get("resourceMetadata", {}),
        )

    async def get_revocation_list(
        self,
        profile: Profile,
        revocation_registry_id: str,
        timestamp_from: int | None = 0,
        timestamp_to: int | None = None,
    ) -> GetRevListResult:
        """Fetch the status list that is valid at `timestamp_to`, or now."""
        at = int(time.time()) if timestamp_to is None else int(timestamp_to)
        answer = await self._asked(self._client.status_list(revocation_registry_id, at))
        return GetRevListResult(
            revocation_list=RevList.deserialize(answer["resource"]),
            resolution_metadata={},
            revocation_registry_metadata=answer.get("resourceMetadata", {}),
        )

    async def register_schema(
        self, profile: Profile, schema: AnonCredsSchema, options: dict[str, Any] | None = None
    ) -> SchemaResult:
        """Publish a schema."""
        schema_id = await self._publish(SCHEMA, schema.issuer_id, schema.serialize())
        state = SchemaState(state=SchemaState.STATE_FINISHED, schema_id=schema_id, schema=schema)
        return SchemaResult(job_id=None, schema_state=state)

    async def register_credential_definition(
        self,
        profile: Profile,
        schema: GetSchemaResult,
        credential_definition: CredDef,
        options: dict[str, Any] | None = None,
    ) -> CredDefResult:
        """Publish a credential definition."""
        identifier = await self._publish(CRED_DEF, credential_definition.issuer_id, credential_definition.serialize())
        state = CredDefState(CredDefState.STATE_FINISHED, identifier, credential_definition)
        return CredDefResult(None, state, {}, {})

    async def register_revocation_registry_definition(
        self,
        profile: Profile,
        revocation_registry_definition: RevRegDef,
        options: dict[str, Any] | None = None,
    ) -> RevRegDefResult:
        """Publish a revocation registry definition together with the place of its status lists."""
        identifier = await self._publish(
            REV_REG_DEF, revocation_registry_definition.issuer_id, revocation_registry_definition.serialize()
        )
        state = RevRegDefState(RevRegDefState.STATE_FINISHED, identifier, revocation_registry_definition)
        return RevRegDefResult(None, state, {}, {})

    async def register_revocation_list(
        self,
        profile: Profile,
        rev_reg_def: RevRegDef,
        rev_list: RevList,
        options: dict[str, Any] | None = None,
    ) -> RevListResult:
        """Publish a registry's first status list, which begins now: AnonCreds gives it no time."""
        if rev_list.timestamp is None:
            rev_list.timestamp = int(time.time())
        await self._publish_list(rev_list)
        return self._list_result(rev_list)

    async def update_revocation_list(
        self,
        profile: Profile,
        rev_reg_def: RevRegDef,
        prev_list: RevList,
        curr_list: RevList,
        revoked: Sequence[int],
        options: dict[str, Any] | None = None,
    ) -> RevListResult:
        """Publish a new status list and announce it: ACA-Py sends revocation notifications on that event."""
        await self._publish_list(curr_list)
        event = RevListFinishedEvent.with_payload(curr_list.rev_reg_def_id, list(revoked), options or {})
        await profile.inject(EventBus).notify(profile, event)
        return self._list_result(curr_list)

    @staticmethod
    def _list_result(rev_list: RevList) -> RevListResult:
        return RevListResult(None, RevListState(RevListState.STATE_FINISHED, rev_list), {}, {})

    async def _fetch(self, identifier: str) -> dict[str, Any]:
        return await self._asked(self._client.object(identifier))

    async def _asked(self, answer: Any) -> dict[str, Any]:
        try:
            return await answer
        except NotFoundError as err:
            raise AnonCredsObjectNotFound(str(err)) from err
        except (ResolutionError, ValueError, KeyError) as err:
            raise AnonCredsResolutionError(str(err)) from err

    async def _publish(self, kind: str, did: str, resource: dict[str, Any]) -> str:
        self._check_may_publish()
        object_id = ObjectId.of(did, kind, resource)
        try:
            metadata = {}
            if kind == REV_REG_DEF:
                registry = await self._client.registry_url(did)
                metadata["statusListEndpoint"] = f"{registry}/statusList/{object_id.hash}"
            await self._client.publish(object_id, resource, metadata)
        except ResolutionError as err:
            raise AnonCredsRegistrationError(str(err)) from err
        return str(object_id)

    async def _publish_list(self, rev_list: RevList) -> None:
        self._check_may_publish()
        try:
            await self._client.publish_status_list(rev_list.rev_reg_def_id, rev_list.serialize())
        except ResolutionError as err:
            raise AnonCredsRegistrationError(str(err)) from err

    def _check_may_publish(self) -> None:
        if not self._may_publish:
            raise AnonCredsRegistrationError(
                "this agent only resolves did:web AnonCreds objects; to register some, set DIDWEB_ANONCREDS_TOKEN"
            )
