"""ACA-Py's AnonCreds registry interface, implemented by the did:web AnonCreds method."""

import json
import re
import time
from collections.abc import Awaitable, Sequence
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

from .client import ImmutableCache, NotFoundError, RegistryClient, ResolutionError
from .identifiers import CRED_DEF, REV_REG_DEF, SCHEMA, ObjectId

IDENTIFIERS = re.compile(r"^did:web:[^\s?#/]+(\?[^\s#]*)?$")


def _keep_json(model: Any, resource: dict[str, Any]) -> Any:
    """Make `model` serialise to the JSON it came from, without work: ACA-Py serialises it for every proof."""

    def serialize(*, as_string: bool = False, unknown: str | None = None) -> dict[str, Any] | str:
        return json.dumps(resource) if as_string else dict(resource)

    model.serialize = serialize
    return model


def _rev_list(resource: dict[str, Any]) -> RevList:
    """A status list, without validating its thousands of numbers one by one."""
    rev_list = RevList(
        issuer_id=resource["issuerId"],
        rev_reg_def_id=resource["revRegDefId"],
        revocation_list=resource["revocationList"],
        current_accumulator=resource["currentAccumulator"],
        timestamp=resource["timestamp"],
    )
    return _keep_json(rev_list, resource)


def _rev_list_json(rev_list: RevList) -> dict[str, Any]:
    return {
        "issuerId": rev_list.issuer_id,
        "revRegDefId": rev_list.rev_reg_def_id,
        "revocationList": list(rev_list.revocation_list),
        "currentAccumulator": rev_list.current_accumulator,
        "timestamp": rev_list.timestamp,
    }


class DidWebAnonCreds(BaseAnonCredsResolver, BaseAnonCredsRegistrar):  # type: ignore[misc]  # ACA-Py has no types
    """Resolves objects; registers those of an issuer that has the registry's publishing token."""

    def __init__(self, client: RegistryClient, may_publish: bool) -> None:
        """`may_publish` tells whether objects can be registered."""
        self._client = client
        self._may_publish = may_publish
        self._models: ImmutableCache[tuple[Any, dict[str, Any]]] = ImmutableCache()

    @property
    def supported_identifiers_regex(self) -> re.Pattern[str]:
        """did:web DIDs and DID URLs."""
        return IDENTIFIERS

    async def setup(self, context: InjectionContext) -> None:
        """Nothing to set up."""

    async def get_schema(self, profile: Profile, schema_id: str) -> GetSchemaResult:
        """Fetch a schema."""
        schema, metadata = await self._fetch(schema_id, AnonCredsSchema)
        return GetSchemaResult(schema, schema_id, {}, metadata)

    async def get_schema_info_by_id(self, profile: Profile, schema_id: str) -> AnonCredsSchemaInfo:
        """Name, version and issuer of a schema."""
        schema, _ = await self._fetch(schema_id, AnonCredsSchema)
        return AnonCredsSchemaInfo(schema.issuer_id, schema.name, schema.version)

    async def get_credential_definition(self, profile: Profile, credential_definition_id: str) -> GetCredDefResult:
        """Fetch a credential definition."""
        cred_def, metadata = await self._fetch(credential_definition_id, CredDef)
        return GetCredDefResult(credential_definition_id, cred_def, {}, metadata)

    async def get_revocation_registry_definition(
        self, profile: Profile, revocation_registry_id: str
    ) -> GetRevRegDefResult:
        """Fetch a revocation registry definition."""
        definition, metadata = await self._fetch(revocation_registry_id, RevRegDef)
        return GetRevRegDefResult(definition, revocation_registry_id, {}, metadata)

    async def get_revocation_list(
        self,
        profile: Profile,
        revocation_registry_id: str,
        timestamp_from: int | None = 0,
        timestamp_to: int | None = None,
    ) -> GetRevListResult:
        """Fetch the status list that is valid at `timestamp_to`, or now."""
        at = int(time.time()) if timestamp_to is None else int(timestamp_to)
        answer = await self._resolved(self._client.status_list(revocation_registry_id, at))
        return GetRevListResult(_rev_list(answer["resource"]), {}, answer.get("resourceMetadata", {}))

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
        """Publish a revocation registry definition with the URL of its status lists."""
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
        """Publish a registry's first status list, valid from now: AnonCreds gives it no timestamp."""
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

    async def _fetch(self, identifier: str, model: type[Any]) -> tuple[Any, dict[str, Any]]:
        async def make() -> tuple[Any, dict[str, Any]]:
            answer = await self._resolved(self._client.object(identifier))
            made = model.deserialize(answer["resource"])
            return _keep_json(made, answer["resource"]), answer.get("resourceMetadata", {})

        return await self._models.get(identifier, make)

    async def _resolved(self, answer: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        """Await an answer of the registry, with its errors as ACA-Py's."""
        try:
            return await answer
        except NotFoundError as err:
            raise AnonCredsObjectNotFound(str(err)) from err
        except (ResolutionError, ValueError, KeyError) as err:
            raise AnonCredsResolutionError(str(err)) from err

    async def _publish(self, kind: str, did: str, resource: dict[str, Any]) -> str:
        self._check_may_publish()
        object_id = ObjectId.build(did, kind, resource)
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
            await self._client.publish_status_list(rev_list.rev_reg_def_id, _rev_list_json(rev_list))
        except ResolutionError as err:
            raise AnonCredsRegistrationError(str(err)) from err

    def _check_may_publish(self) -> None:
        if not self._may_publish:
            raise AnonCredsRegistrationError(
                "this agent can only resolve did:web AnonCreds objects; to register them, set DIDWEB_ANONCREDS_TOKEN"
            )
