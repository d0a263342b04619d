"""The tails server: holders need tails files to prove that a credential is not revoked."""

from hashlib import sha256
from pathlib import Path

import base58
from aiohttp import BodyPartReader, web


class TailsFiles:
    """A tails server: `PUT …/hash/{hash}` (multipart, as ACA-Py uploads) and `GET …/hash/{hash}`."""

    PREFIX = "/tails"

    def __init__(self, folder: Path) -> None:
        """Keep the files in `folder`."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes, all below PREFIX."""
        path = self.PREFIX + "/hash/{hash:[1-9A-HJ-NP-Za-km-z]+}"
        return [web.get(path, self._get), web.put(path, self._put)]

    async def _get(self, request: web.Request) -> web.StreamResponse:
        path = self._folder / request.match_info["hash"]
        if not path.is_file():
            raise web.HTTPNotFound(text="no such tails file")
        return web.FileResponse(path)

    async def _put(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["hash"]
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name != "tails":
                continue
            content = bytes(await part.read())
            if base58.b58encode(sha256(content).digest()).decode() != name:
                raise web.HTTPBadRequest(text="the file's hash is not the one in the URL")
            (self._folder / name).write_bytes(content)
            return web.json_response({"hash": name})
        raise web.HTTPBadRequest(text="expected a multipart field named 'tails'")
