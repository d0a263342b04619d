"""Patches of ACA-Py and its libraries: they fit what is installed, and what has changed is not patched."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.connector import BaseConnector
from requests.adapters import HTTPAdapter

from controller.acapy_patches import registry
from controller.acapy_patches.connectionless import CONNECTIONLESS
from controller.acapy_patches.http_requests import HTTP_REQUESTS
from controller.acapy_patches.made_up_parents import MADE_UP, leave_out
from controller.acapy_patches.outbound_messages import OUTBOUND_MESSAGES
from controller.acapy_patches.patch import Patch, SourceNotFound, fingerprint, installed_version
from controller.acapy_patches.storage.sqlite import TurnTaking
from controller.agents.egress_guard import REFUSED, GuardNotInstalled, TargetNotAllowed, install_egress_guard
from controller.agents.pool import AgentPool
from controller.services import invitation
from reference.agent_plugin.issuing import ISSUING
from reference.agent_plugin.pickup.sessions import POST_OFFICE
from stampede.schema.records import EventKind
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.targets import Targets

ALL = [*registry.PATCHES.values(), HTTP_REQUESTS, OUTBOUND_MESSAGES, CONNECTIONLESS, ISSUING, POST_OFFICE]
MODULE = """
# how it is
class Cache:
    def get(self, key):
        # looks it up
        return self.values[key]

    @property
    async def size(self):
        return len(self.values)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module ``stampede_patched.cache``, which may be changed."""
    (tmp_path / "stampede_patched").mkdir()
    (tmp_path / "stampede_patched/__init__.py").touch()
    module = tmp_path / "stampede_patched/cache.py"
    module.write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return module


@pytest.mark.parametrize("patch", ALL, ids=lambda patch: patch.name)
class TestAnUpgrade:
    """Fails for a patch whose package was upgraded: look at the change, adapt the patch or drop it, then update its
    fingerprints and versions (``python -m controller.acapy_patches``)."""

    def test_what_is_patched_is_what_the_patch_was_written_for(self, patch: Patch) -> None:
        assert patch.why_not() == ""

    def test_the_versions_are_the_installed_ones(self, patch: Patch) -> None:
        assert dict(patch.written_for) == {package: installed_version(package) for package in patch.written_for}

    def test_why_and_where_it_is_known_are_told(self, patch: Patch) -> None:
        assert patch.reason and patch.originals
        assert patch.upstream.startswith(("https://github.com/", "not reported upstream"))


def test_acapy_sends_requests_by_no_other_library() -> None:
    """Another one would pass the egress guard by."""
    spec = find_spec("acapy_agent")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    other = re.compile(r"^\s*(from|import) (http\.client|httpx|pycurl|urllib\.request|urllib3|websockets?)\b", re.M)
    files = [file for file in package.rglob("*.py") if "tests" not in file.relative_to(package).parts]
    assert len(files) > 500
    assert [file for file in files if other.search(file.read_text(encoding="utf-8"))] == []


class TestFingerprint:
    def test_changes_with_the_code(self, package: Path) -> None:
        whole, method = fingerprint("stampede_patched.cache"), fingerprint("stampede_patched.cache:Cache.get")
        package.write_text(MODULE.replace("len(self.values)", "len(self.values) + 1"))
        assert fingerprint("stampede_patched.cache:Cache.get") == method
        assert fingerprint("stampede_patched.cache") != whole
        package.write_text(MODULE.replace("self.values[key]", "self.values.get(key)"))
        assert fingerprint("stampede_patched.cache:Cache.get") != method

    def test_does_not_change_with_comments_and_blank_lines(self, package: Path) -> None:
        before = fingerprint("stampede_patched.cache:Cache")
        package.write_text(MODULE.replace("# looks it up", "# from memory\n\n"))
        assert fingerprint("stampede_patched.cache:Cache") == before

    def test_includes_decorators(self, package: Path) -> None:
        before = fingerprint("stampede_patched.cache:Cache.size")
        package.write_text(MODULE.replace("@property", "@cached_property"))
        assert fingerprint("stampede_patched.cache:Cache.size") != before

    @pytest.mark.parametrize(
        "original",
        [
            "stampede_nowhere",
            "stampede_patched.nowhere",
            "stampede_patched.cache:Cache.put",
            "stampede_patched.cache:x",
        ],
    )
    def test_of_what_does_not_exist(self, package: Path, original: str) -> None:
        with pytest.raises(SourceNotFound):
            fingerprint(original)

    def test_imports_nothing(self, package: Path) -> None:
        package.write_text(f"raise RuntimeError\n{MODULE}")
        fingerprint("stampede_patched.cache:Cache")


class TestApply:
    @pytest.fixture
    def applied(self, monkeypatch: pytest.MonkeyPatch, package: Path) -> list[str]:
        """Has two patches, ``first`` and ``second``, in place of all others; the names of those that were applied."""
        applied: list[str] = []

        def patch(name: str, original: str) -> Patch:
            originals = {original: fingerprint(original)}
            return Patch(name, "why", "not reported upstream", {"x": "1"}, originals, lambda: applied.append(name))

        first = patch("first", "stampede_patched.cache:Cache.size")
        second = patch("second", "stampede_patched.cache:Cache.get")
        monkeypatch.setattr(registry, "PATCHES", {"first": first, "second": second})
        return applied

    def test_the_named_ones_in_their_order(self, applied: list[str]) -> None:
        assert registry.apply(["second", "first"]).applied == applied == ["first", "second"]

    def test_none_that_is_not_named(self, applied: list[str]) -> None:
        assert registry.apply(["second"]).applied == applied == ["second"]

    def test_not_one_whose_original_has_changed(self, applied: list[str], package: Path) -> None:
        package.write_text(MODULE.replace("self.values[key]", "self.values.get(key)"))
        outcome = registry.apply(["first", "second"])
        assert outcome.applied == applied == ["first"]
        assert outcome.left_out == registry.left_out(["first", "second"])
        assert outcome.left_out == {
            "second": "it was written for x 1; installed: x none; stampede_patched.cache:Cache.get has changed"
        }

    def test_not_one_whose_original_is_gone(self, applied: list[str], package: Path) -> None:
        package.unlink()
        assert "stampede_patched.cache:Cache.get does not exist" in registry.apply(["second"]).left_out["second"]
        assert applied == []

    def test_an_unknown_name_is_an_error(self, applied: list[str]) -> None:
        with pytest.raises(ValueError, match=r"no patch 'third'; it must be one of first, second$"):
            registry.apply(["third"])
        assert applied == []


def test_a_run_announces_which_patches_its_agents_lack(
    variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[tuple[EventKind, str]] = []
    pool = AgentPool(
        Settings.from_variables(variables), tmp_path, lambda kind, text: announced.append((kind, text)), {}
    )
    pool._report_patches_left_out()
    assert announced == []
    changed = replace(registry.PATCHES["cache_scan"], originals={"acapy_agent.cache.in_memory:InMemoryCache": "x"})
    monkeypatch.setitem(registry.PATCHES, "cache_scan", changed)
    pool._report_patches_left_out()
    ((kind, text),) = announced
    assert kind is EventKind.PATCHES_LEFT_OUT
    assert text.startswith("the agents run without these patches: cache_scan (it was written for acapy-agent 1.7.0; ")


class TestEgressGuard:
    @pytest.fixture(autouse=True)
    def restored(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with monkeypatch.context() as context:
            context.setattr(BaseConnector, "connect", BaseConnector.connect)
            context.setattr(HTTPAdapter, "send", HTTPAdapter.send)
            yield

    def test_works_in_a_changed_library_and_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        originals = {**HTTP_REQUESTS.originals, "requests.adapters:HTTPAdapter.send": "another"}
        monkeypatch.setattr(
            "controller.agents.egress_guard.HTTP_REQUESTS", replace(HTTP_REQUESTS, originals=originals)
        )
        notice = install_egress_guard(Targets([]), tmp_path)
        assert notice.startswith("the egress guard works, but it was written for aiohttp ")
        assert notice.endswith("requests.adapters:HTTPAdapter.send has changed")

    async def test_it_holds_for_web_sockets_too(self, tmp_path: Path) -> None:
        install_egress_guard(Targets([]), tmp_path)
        async with aiohttp.ClientSession() as session:
            for scheme in ("ws", "wss"):
                with pytest.raises(TargetNotAllowed, match=r"elsewhere\.example\.org"):
                    await session.ws_connect(f"{scheme}://elsewhere.example.org/")
        assert "elsewhere.example.org" in (tmp_path / REFUSED).read_text()

    def test_without_effect_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        async def request(*args: object, **kwargs: object) -> None:
            raise aiohttp.ClientConnectionError("sent by another way")

        monkeypatch.setattr(aiohttp.ClientSession, "_request", request)
        with pytest.raises(GuardNotInstalled, match=r"stampede_allowed_targets does not allow: .* not intercepted"):
            install_egress_guard(Targets([]), tmp_path)


STARTING = """
import asyncio, types
from acapy_agent.admin.server import AdminServer
from acapy_agent.core.conductor import Conductor
from controller.acapy_patches.start_up import be_ready_when_started

async def serve(self): self.app._state["ready"] = True
async def start(self):
    await self.admin_server.start()
    print(state["ready"])

AdminServer.start, Conductor.start = serve, start
be_ready_when_started()
state = {}
server, conductor = AdminServer.__new__(AdminServer), Conductor.__new__(Conductor)
server.app, conductor.admin_server = types.SimpleNamespace(_state=state), server
asyncio.run(conductor.start())
print(state["ready"])
"""


def test_an_agent_is_ready_when_it_has_started_and_not_before() -> None:
    """In a process of its own, which ACA-Py changes when it is imported."""
    done = subprocess.run([sys.executable, "-c", STARTING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def launch(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The launcher with an ACA-Py that only says that it was started."""
    commands = tmp_path / "acapy_agent/commands"
    commands.mkdir(parents=True)
    (tmp_path / "acapy_agent/__init__.py").touch()
    (commands / "__init__.py").touch()
    (commands / "start.py").write_text("def execute(argv):\n    print('started', *argv)\n")
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    return subprocess.run(
        [sys.executable, "-m", "controller.agents.launcher", "start", "--flag"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_agent_of_another_version_starts_and_names_the_patches_it_lacks(tmp_path: Path) -> None:
    ended = launch(tmp_path, STAMPEDE_PATCHES="cache_scan askar_errors", STAMPEDE_ALLOWED_TARGETS="[]")
    assert (ended.returncode, ended.stdout) == (0, "started --flag\n"), ended.stderr
    assert ended.stderr == (
        "stampede: the patch cache_scan was left out: it was written for acapy-agent 1.7.0; installed: acapy-agent "
        "1.7.0; acapy_agent.cache.in_memory:InMemoryCache does not exist\n"
    )


def test_an_agent_without_a_working_guard_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "requests.py").write_text("class RequestException(Exception): pass\ndef get(*_, **__): pass\n")
    ended = launch(tmp_path, STAMPEDE_ALLOWED_TARGETS="[]")
    assert ended.returncode != 0 and ended.stdout == ""
    assert ended.stderr.startswith(
        "stampede: this agent does not start, because it could send requests to hosts that "
    )
    assert ended.stderr.count("\n") == 1


async def test_writers_take_turns_and_a_deadlock_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TurnTaking, "TIMEOUT", 0.05)
    turns, order = TurnTaking(), []

    async def write(name: str) -> None:
        async with turns.turn():
            order.append(name)
            async with turns.turn():  # a session within its own transaction
                await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(write("a"), write("b"))
    assert order == ["a", "a", "b", "b"]
    async with turns.turn():
        await asyncio.create_task(write("waits in vain"))
    assert order[-2:] == ["waits in vain"] * 2


@pytest.mark.parametrize(
    ("parent", "sent"), [(f"{MADE_UP}1", {"thid": "t"}), ("theirs", {"thid": "t", "pthid": "theirs"})]
)
async def test_an_answer_names_no_invitation_that_was_never_there(
    monkeypatch: pytest.MonkeyPatch, parent: str, sent: Any
) -> None:
    from acapy_agent.core.oob_processor import OobMessageProcessor

    async def find(self: Any, profile: Any, outbound_message: Any) -> Any:
        outbound_message.payload = json.dumps({"~thread": {"thid": "t", "pthid": parent}})
        return "target"

    monkeypatch.setattr(OobMessageProcessor, "find_oob_target_for_outbound_message", find)
    leave_out()
    message = SimpleNamespace(payload="")
    found = await OobMessageProcessor.find_oob_target_for_outbound_message(None, None, message)  # type: ignore[arg-type]
    assert (found, json.loads(message.payload)) == ("target", {"~thread": sent})
    assert invitation.MADE_UP == MADE_UP
