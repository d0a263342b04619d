"""The HTTPS client of a did:web AnonCreds registry."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from .identifiers import SERVICE, ObjectId, did_document_url, object_hash

CACHED_STATUS_LISTS = 200


class ResolutionError(Exception):
    """An object could not be fetched, or does not match its identifier."""


class NotFoundError(ResolutionError):
    """The registry has no such object."""


class ImmutableCache[Value]:
    """Values that never change, each made once: concurrent callers share one attempt.

    A failure is not cached, so the next caller tries again.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._tasks: dict[str, asyncio.Future[Value]] = {}

    async def get(self, key: str, make: Callable[[], Awaitable[Value]]) -> Value:
        """The value of `key`, made by `make()` on the first call."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(make())
            task.add_done_callback(lambda done: self._forget_failure(key, done))
        return await asyncio.shield(task)

    def _forget_failure(self, key: str, task: asyncio.Future[Value]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._tasks.pop(key, None)


class RegistryClient:
    """Fetches and publishes objects with one HTTP session; immutable objects are cached."""

    def __init__(self, publishing_token: str = "", timeout: float = 30) -> None:
        """`publishing_token` is the registry's bearer token for publishing; `timeout` is in seconds."""
        self._token = publishing_token
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._objects: ImmutableCache[dict[str, Any]] = ImmutableCache()
        self._did_documents: ImmutableCache[dict[str, Any]] = ImmutableCache()
        self._status_lists: OrderedDict[tuple[str, int], dict[str, Any]] = OrderedDict()

    async def object(self, identifier: str) -> dict[str, Any]:
        """The response `{"resource": …, "resourceMetadata": …}` for this identifier, with its hash verified."""
        return await self._objects.get(identifier, lambda: self._fetch_object(identifier))

    async def status_list(self, rev_reg_def_id: str, timestamp: int) -> dict[str, Any]:
        """The status list that was valid at `timestamp` (whole seconds since 1970), with its metadata.

        It is cached once it is final: when it is requested by its own timestamp, or when a later list is known to
        begin after the requested time.
        """
        cached = self._status_lists.get((rev_reg_def_id, timestamp))
        if cached is not None:
            self._status_lists.move_to_end((rev_reg_def_id, timestamp))
            return cached
        definition = await self.object(rev_reg_def_id)
        endpoint = definition.get("resourceMetadata", {}).get("statusListEndpoint")
        if not endpoint:
            raise ResolutionError(f"{rev_reg_def_id} names no statusListEndpoint in its resourceMetadata")
        answer = await self._get(f"{endpoint}/{timestamp}")
        issuer = definition["resource"]["issuerId"]
        if answer["resource"].get("issuerId") != issuer:
            raise ResolutionError(f"status list of {rev_reg_def_id} is by another issuer than {issuer}")
        if self._is_final(answer, timestamp):
            self._status_lists[(rev_reg_def_id, timestamp)] = answer
            if len(self._status_lists) > CACHED_STATUS_LISTS:
                self._status_lists.popitem(last=False)
        return answer

    @staticmethod
    def _is_final(answer: dict[str, Any], timestamp: int) -> bool:
        following = str(answer.get("resourceMetadata", {}).get("nextVersionId") or "")
        own = answer["resource"].get("timestamp") == timestamp
        return own or (following.isdigit() and timestamp < int(following))

    async def publish(self, object_id: ObjectId, resource: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Publish the object in its issuer's registry."""
        url = await self._service(object_id) + object_id.relative_ref
        await self._put(url, {"resource": resource, "resourceMetadata": metadata})

    async def publish_status_list(self, rev_reg_def_id: str, resource: dict[str, Any]) -> None:
        """Add a version to the registry's status lists."""
        endpoint = (await self.object(rev_reg_def_id))["resourceMetadata"]["statusListEndpoint"]
        await self._put(f"{endpoint}/{resource['timestamp']}", {"resource": resource})

    async def registry_url(self, did: str) -> str:
        """Base URL of the AnonCreds registry that the DID's document names."""
        return await self._service(ObjectId(did, SERVICE, "/"))

    async def _fetch_object(self, identifier: str) -> dict[str, Any]:
        object_id = ObjectId.parse(identifier)
        answer = await self._get(await self._service(object_id) + object_id.relative_ref)
        resource = answer["resource"]
        if object_hash(resource) != object_id.hash:
            raise ResolutionError(f"{identifier}: the object's hash is {object_hash(resource)}, not the one named")
        if resource.get("issuerId") != object_id.did:
            raise ResolutionError(f"{identifier}: issuerId is {resource.get('issuerId')}, not the DID named")
        return answer

    async def _service(self, object_id: ObjectId) -> str:
        document = await self._did_documents.get(object_id.did, lambda: self._fetch_did_document(object_id.did))
        wanted = {f"{object_id.did}#{object_id.service}", f"#{object_id.service}"}
        for service in document.get("service", []):
            if service.get("id") in wanted:
                return str(service["serviceEndpoint"]).rstrip("/")
        raise ResolutionError(f"the document of {object_id.did} has no service #{object_id.service}")

    async def _fetch_did_document(self, did: str) -> dict[str, Any]:
        url = did_document_url(did)
        document = await self._json("GET", url)
        if document.get("id") != did:
            raise ResolutionError(f"{url} is the document of {document.get('id')}, not of {did}")
        return document

    async def _get(self, url: str) -> dict[str, Any]:
        answer = await self._json("GET", url)
        if not isinstance(answer.get("resource"), dict):
            raise ResolutionError(f"{url} answered no 'resource' object")
        return answer

    async def _put(self, url: str, body: dict[str, Any]) -> None:
        await self._json("PUT", url, json=body, headers={"Authorization": f"Bearer {self._token}"})

    async def _json(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.request(method, url, **options) as response:
                if response.status == 404:
                    raise NotFoundError(f"{url} answered 404: no such object")
                if response.status not in (200, 201):
                    raise ResolutionError(f"{url} answered {response.status}: {(await response.text())[:200]}")
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as err:
            raise ResolutionError(f"{url} could not be used: {err or type(err).__name__}") from err
        if not isinstance(answer, dict):
            raise ResolutionError(f"{url} answered no JSON object")
        return answer
