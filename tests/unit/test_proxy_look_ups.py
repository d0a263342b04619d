"""The patch ``proxy_look_ups``: agents' requests go where they are addressed, whatever the environment says."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ASKS = """
    import asyncio, sys
    from aiohttp import web
    import nest_asyncio

    nest_asyncio.apply = lambda loop=None: None
    from acapy_agent.transport.outbound.http import HttpTransport
    from acapy_agent.transport.outbound.ws import WsTransport
    from acapy_agent.utils.http import fetch

    from controller.acapy_patches import registry

    assert registry.apply(sys.argv[1:]).applied == sys.argv[1:]


    async def main():
        took = []

        async def answer(request):
            took.append(f"{request.method} {request.headers.get('Authorization')}")
            return web.Response(text="answer")

        server = web.Server(answer)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = "http://127.0.0.1:%d/" % runner.addresses[0][1]
        posts, sockets = HttpTransport(), WsTransport()
        await posts.start()
        await sockets.start()
        try:
            print(await fetch(url, max_attempts=1))
            async with posts.client_session.post(url, data=b"message") as response:
                print(await response.text())
            async with sockets.client_session.get(url) as response:
                print(await response.text())
        except Exception as error:
            print(type(error).__name__)
        finally:
            await posts.stop()
            await sockets.stop()
            await runner.cleanup()
        print(took)


    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("patches", "said"),
    [
        (["proxy_look_ups"], ["answer", "answer", "answer", "['GET None', 'POST None', 'GET None']"]),
        ([], ["FetchError", "[]"]),
    ],
)
def test_neither_proxy_nor_login_of_the_environment_is_used(
    tmp_path: Path, patches: list[str], said: list[str]
) -> None:
    """Without the patch they would be, if agents had an environment that names them."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    environment = os.environ | {"HOME": str(tmp_path), "HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": ""}
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(ASKS), *patches]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == said
