"""How the reference services start, fail to start, and end without leaving anything."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from reference_services import ReferenceServices

from stampede.machine.ports import free_ports

pytestmark = pytest.mark.timeout(180)


def test_busy_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        command = [sys.executable, "-m", "reference", "--dir", str(tmp_path), "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0
    assert f"Port {port} is in use" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_agents_that_die_at_start_show_their_log(tmp_path: Path) -> None:
    broken = {**os.environ, "PYTHONPATH": str(tmp_path)}
    (tmp_path / "acapy_agent").mkdir()
    (tmp_path / "acapy_agent" / "__init__.py").write_text("raise ImportError('this agent is broken')")
    command = [sys.executable, "-m", "reference", "--dir", str(tmp_path / "ref"), "--port", str(free_ports())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=broken)
    assert ended.returncode != 0
    assert "this agent is broken" in ended.stderr
    assert not (tmp_path / "ref" / "services.json").exists()


def leaves_nothing(end: Callable[[ReferenceServices], None], folder: Path, *arguments: str) -> ReferenceServices:
    """Start, end in the given way, and see that no agent and no wallet is left."""
    running = ReferenceServices(folder, *arguments)
    services = running.ready()
    wallets = (folder / "wallets").resolve()
    agents = [psutil.Process(pid) for pid in services["agents"].values()]
    assert wallets.is_dir()
    assert len(agents) == 3
    end(running)
    _, alive = psutil.wait_procs(agents, timeout=10)
    assert not alive
    return running


def test_a_killed_gateway_leaves_no_agent_and_a_stop_after_that_nothing_at_all(tmp_path: Path) -> None:
    def kill(running: ReferenceServices) -> None:
        running.process.kill()
        running.process.wait(10)

    def stop(running: ReferenceServices) -> None:
        started = time.monotonic()
        assert running.stop(signal.SIGINT) == 0
        assert time.monotonic() - started < 10

    leaves_nothing(kill, tmp_path)
    orphaned = (tmp_path / "wallets").resolve()
    leaves_nothing(stop, tmp_path)
    assert not orphaned.exists()
    assert not (tmp_path / "services.json").exists()
    assert not (tmp_path / "wallets").exists()


def test_ends_with_its_leader(tmp_path: Path) -> None:
    leader = subprocess.Popen(["sleep", "600"])

    def end(running: ReferenceServices) -> None:
        leader.kill()
        assert running.process.wait(15) == 0

    leaves_nothing(end, tmp_path, "--die-with", str(leader.pid))
    leader.wait()
