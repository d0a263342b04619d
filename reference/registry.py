"""The AnonCreds object registry: the HTTP server of the did:web AnonCreds method, with objects in files."""

import json
from bisect import bisect_right, insort
from pathlib import Path
from typing import Any

from aiohttp import web

from .didweb_anoncreds.identifiers import KINDS, object_hash


class StatusLists:
    """The versions of a revocation registry's status list, each valid from its timestamp to the next one's."""

    def __init__(self, folder: Path) -> None:
        """Versions are stored in `folder`, one file each; `latest` is the newest."""
        self._folder = folder
        self._timestamps: list[int] = []
        self.latest: dict[str, Any] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, resource: dict[str, Any]) -> None:
        """Add a version. Raises ValueError when a different one has the same second."""
        timestamp = int(resource["timestamp"])
        if timestamp in self._timestamps:
            if self._read(timestamp) != resource:
                raise ValueError(f"a different status list with the same second ({timestamp}) is already published")
            return
        self._path(timestamp).write_text(json.dumps(resource))
        insort(self._timestamps, timestamp)
        if timestamp == self._timestamps[-1]:
            self.latest = resource

    def at(self, timestamp: int) -> dict[str, Any] | None:
        """The version valid at `timestamp`, as the method's response; None when the first one is later."""
        position = bisect_right(self._timestamps, timestamp)
        if not position:
            return None
        before = str(self._timestamps[position - 2]) if position > 1 else ""
        after = str(self._timestamps[position]) if position < len(self._timestamps) else ""
        return {
            "resource": self._read(self._timestamps[position - 1]),
            "resourceMetadata": {"previousVersionId": before, "nextVersionId": after},
        }

    def _path(self, timestamp: int) -> Path:
        return self._folder / f"{timestamp}.json"

    def _read(self, timestamp: int) -> dict[str, Any]:
        resource: dict[str, Any] = json.loads(self._path(timestamp).read_text())
        return resource


class Registry:
    """Schemas, credential definitions, revocation registry definitions and status lists.

    Anyone may read; publishing needs the token. An object must have the hash that its URL names.
    """

    PREFIX = "/registry"

    def __init__(self, folder: Path, token: str) -> None:
        """Keep objects as files under `folder`."""
        self._folder = folder
        self._token = token
        self._status_lists: dict[str, StatusLists] = {}
        for kind in KINDS:
            (folder / kind).mkdir(parents=True, exist_ok=True)

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes, all below PREFIX."""
        kinds = "|".join(KINDS)
        path = f"{self.PREFIX}/{{kind:{kinds}}}/{{id:[1-9A-HJ-NP-Za-km-z]+}}"
        status = f"{self.PREFIX}/statusList/{{id:[1-9A-HJ-NP-Za-km-z]+}}/{{timestamp:[0-9]+}}"
        return [
            web.get(path, self._get_object),
            web.put(path, self._put_object),
            web.get(status, self._get_status_list),
            web.put(status, self._put_status_list),
        ]

    def revocation_status(self, rev_reg_id: str, cred_rev_id: int) -> bool | None:
        """Whether the newest status list revokes the credential; None when it has no such index."""
        lists = self._status_lists.get(rev_reg_id.rsplit("/", 1)[-1])
        newest = lists.latest if lists else None
        if newest is None or not 0 < cred_rev_id < len(newest["revocationList"]):
            return None
        return bool(newest["revocationList"][cred_rev_id] == 1)

    async def _get_object(self, request: web.Request) -> web.StreamResponse:
        path = self._object_path(request)
        if not path.is_file():
            raise web.HTTPNotFound(text=f"no such {request.match_info['kind']}")
        return web.Response(body=path.read_bytes(), content_type="application/json")

    async def _put_object(self, request: web.Request) -> web.StreamResponse:
        self._check_token(request)
        body = await request.json()
        if object_hash(body["resource"]) != request.match_info["id"]:
            raise web.HTTPBadRequest(text="the object's hash is not the one in the URL")
        self._object_path(request).write_text(json.dumps(body))
        if request.match_info["kind"] == "revRegDef":
            self._lists(request)
        return web.json_response({}, status=201)

    async def _get_status_list(self, request: web.Request) -> web.StreamResponse:
        lists = self._status_lists.get(request.match_info["id"])
        answer = lists.at(int(request.match_info["timestamp"])) if lists else None
        if answer is None:
            raise web.HTTPNotFound(text="no status list of this registry was valid then")
        return web.json_response(answer)

    async def _put_status_list(self, request: web.Request) -> web.StreamResponse:
        self._check_token(request)
        if request.match_info["id"] not in self._status_lists:
            raise web.HTTPNotFound(text="no such revocation registry")
        try:
            self._lists(request).add((await request.json())["resource"])
        except ValueError as err:
            raise web.HTTPConflict(text=str(err)) from err
        return web.json_response({}, status=201)

    def _lists(self, request: web.Request) -> StatusLists:
        name = request.match_info["id"]
        if name not in self._status_lists:
            self._status_lists[name] = StatusLists(self._folder / "statusList" / name)
        return self._status_lists[name]

    def _object_path(self, request: web.Request) -> Path:
        return self._folder / request.match_info["kind"] / f"{request.match_info['id']}.json"

    def _check_token(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            raise web.HTTPForbidden(text="publishing needs the registry's token")
