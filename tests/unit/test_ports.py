"""Ports that are held are found free by nobody else, and can be listened on."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import pytest

from stampede.machine import ports
from stampede.machine.ports import HeldPorts, free_ports


def test_what_is_held_is_found_free_by_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldPorts(2)
    monkeypatch.setattr(ports, "RANGE", range(held.first, held.first + 1))
    with pytest.raises(OSError, match="no 1 free ports"):
        free_ports()
    held.release()
    assert free_ports() == held.first


async def test_a_server_of_asyncio_listens_on_what_is_held() -> None:
    held = HeldPorts()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", held.first)
    reader, writer = await asyncio.open_connection("127.0.0.1", held.first)
    assert await reader.read() == b""
    writer.close()
    server.close()
    await server.wait_closed()
    held.release()


def test_another_process_listens_on_what_is_held_with_aiohttp_and_uvloop() -> None:
    held = HeldPorts()
    source = f"""
import asyncio, uvloop
from aiohttp import web
async def main():
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", {held.first}).start()
    await runner.cleanup()
uvloop.run(main())
"""
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)
    held.release()


def test_what_somebody_listens_on_cannot_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(ports, "RANGE", range(port, port + 1))
        with pytest.raises(OSError, match="no 1 free ports"):
            HeldPorts()
