"""Bad input gives one clear sentence per problem, a failed playbook, and nothing is started.

Each test goes through ansible-playbook (or make) as a user would.
"""

import http.server
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from stampede.machine.ports import free_ports

REPOSITORY = Path(__file__).resolve().parents[2]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


@dataclass
class Refusal:
    """A playbook's end, and the sentences that it gave as errors."""

    code: int
    sentences: list[str]
    output: str


class User:
    """Someone who starts a run with work folder and results in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_id = re.sub(r"[^A-Za-z0-9]", "-", f"{folder.name[:40]}-{os.getpid()}")

    def runs(self, *options: str, **variables: Any) -> Refusal:
        first_port = free_ports(1 + (os.cpu_count() or 1))
        settings = {
            "stampede_run_id": self.run_id,
            "stampede_work_dir": str(self.folder / "work"),
            "stampede_results_dir": str(self.folder / "results"),
            # Tests must not mind another run on this machine.
            "stampede_reference_port": first_port,
            "stampede_agent_port": first_port + 1,
        } | {f"stampede_{name}": value for name, value in variables.items()}
        done = subprocess.run(
            [
                ANSIBLE_PLAYBOOK,
                "-i",
                "inventory/local",
                "playbooks/run-test.yml",
                "-e",
                json.dumps(settings),
                *options,
            ],
            cwd=REPOSITORY,
            env=os.environ | {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        output = done.stdout + done.stderr
        return Refusal(done.returncode, re.findall(r"^\[ERROR\] local: (.*)$", output, re.MULTILINE), output)

    def refused(self, *options: str, **variables: Any) -> str:
        """The one sentence that a run is refused with, once it is clear that nothing was started."""
        refusal = self.runs(*options, **variables)
        assert refusal.code != 0, refusal.output
        assert len(refusal.sentences) == 1, refusal.output
        print(refusal.sentences[0])
        assert "Traceback" not in refusal.output
        self.has_started_nothing()
        return refusal.sentences[0]

    def has_started_nothing(self) -> None:
        assert not (self.folder / "work").exists()
        assert not (self.folder / "results").exists()
        assert not (REPOSITORY / ".stampede/services" / self.run_id).exists()
        assert not [process for process in psutil.process_iter(["cmdline"]) if self._is_theirs(process)]

    def _is_theirs(self, process: psutil.Process) -> bool:
        return any(self.run_id in word for word in process.info["cmdline"] or ())

    def script(self, text: str) -> str:
        file = self.folder / "my_script.py"
        file.write_text(text)
        return str(file)


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


class AnyService(http.server.BaseHTTPRequestHandler):
    """Answers everything, so that a probe has nothing to say against it but its certificate."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    do_HEAD = do_POST = do_OPTIONS = do_GET

    def log_message(self, *args: object) -> None:
        pass


@dataclass
class Server:
    port: int
    ca_file: Path

    def services(self) -> Mapping[str, Any]:
        url = f"https://localhost:{self.port}"
        return {
            "issuer": {
                "invitation": {"url": f"{url}/issuer/invitation"},
                "revocation": {"url": f"{url}/issuer/revocation"},
            },
            "verifier": {"invitation": {"url": f"{url}/verifier/invitation"}},
        }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An HTTPS server whose certificate no default trust store knows."""
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), AnyService) as httpd:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        threading.Thread(target=httpd.serve_forever, args=[0.01], daemon=True).start()
        yield Server(httpd.server_address[1], ca_file)
        httpd.shutdown()


def test_a_script_with_a_syntax_error(user: User) -> None:
    script = user.script("async def script(holder):\n    await holder.connect('issuer'\n    return\n")
    sentence = user.refused(script=script)
    assert f"{script} line 2" in sentence and "'(' was never closed" in sentence and "valid Python" in sentence


def test_a_script_that_asks_for_an_unknown_service(user: User) -> None:
    script = user.script("async def script(holder):\n    await holder.connect('isuer')\n")
    sentence = user.refused(script=script)
    assert f"{script} line 2" in sentence and "'isuer'" in sentence and "issuer" in sentence.replace("isuer", "")
    assert "verifier" in sentence or "did you mean issuer" in sentence


def test_a_script_that_is_not_there(user: User) -> None:
    sentence = user.refused(script="issue_present_revok")
    assert "stampede_script is 'issue_present_revok'" in sentence
    assert "did you mean issue_present_revoke?" in sentence


def test_a_longer_shortest_wait_than_the_longest(user: User) -> None:
    sentence = user.refused(wait_min=5, wait_max=2)
    assert "stampede_wait_min is 5" in sentence and "stampede_wait_max, which is 2" in sentence
    assert "must be at most" in sentence


def test_no_holders(user: User) -> None:
    sentence = user.refused(holders=0)
    assert sentence == "stampede_holders is 0; it must be a whole number of 1 or more"


def test_an_invalid_url(user: User) -> None:
    sentence = user.refused(services={"issuer": {"invitation": {"url": "issuer/invitation"}}})
    assert "stampede_services.issuer.invitation.url is 'issuer/invitation'" in sentence
    assert "must be a URL such as https://" in sentence


def test_a_host_that_may_not_be_loaded(user: User) -> None:
    url = "https://issuer.example.org/invitation"
    sentence = user.refused(reference_services=False, services={"issuer": {"invitation": {"url": url}}})
    assert sentence == (
        f"stampede_services.issuer.invitation.url is '{url}', but issuer.example.org is not among the hosts that "
        "may be loaded; if it is yours to load, add it to stampede_allowed_targets"
    )


def test_an_untrusted_certificate(user: User, server: Server) -> None:
    refusal = user.runs(reference_services=False, services=server.services(), mediator_did="", agent_plugins=[])
    assert refusal.code != 0 and refusal.sentences, refusal.output
    sentence = refusal.sentences[0]
    assert f"https://localhost:{server.port}/issuer/invitation" in sentence
    assert "certificate" in sentence and "stampede_ca_file" in sentence
    user.has_started_nothing()


def test_a_service_that_nobody_listens_for(user: User) -> None:
    port = free_ports(1)
    services = {"issuer": {"invitation": {"url": f"https://localhost:{port}/invitation"}}}
    script = user.script("async def script(holder):\n    await holder.connect('issuer')\n")
    sentence = user.refused(reference_services=False, services=services, script=script, mediator_did="")
    assert f"https://localhost:{port}/invitation" in sentence and "stampede_services.issuer" in sentence


def test_an_unresolvable_mediator(user: User, server: Server) -> None:
    did = f"did:web:localhost%3A{free_ports(1)}:mediator"
    sentence = user.refused(
        reference_services=False, services=server.services(), mediator_did=did, ca_file=str(server.ca_file)
    )
    assert f"stampede_mediator_did is '{did}'" in sentence and "did.json" in sentence


def test_a_threshold_about_a_step_that_the_script_never_does(user: User) -> None:
    sentence = user.refused(thresholds=["errors < 1 %", "present_prof p95 response_time < 2 s"])
    assert (
        "stampede_thresholds[1] is 'present_prof p95 response_time < 2 s'; 'present_prof' is not a step " in sentence
    )
    assert sentence.endswith("; did you mean present_proof?")


def test_metrics_without_a_host_for_them(user: User) -> None:
    sentence = user.refused(metrics="install")
    assert sentence.startswith("stampede_metrics is install, but the inventory has no host in the group metrics; add")
    assert sentence.endswith("one, or use an existing server with stampede_metrics: existing")


def test_an_unknown_variable(user: User) -> None:
    sentence = user.refused(holder=5)
    assert sentence == "stampede_holder is not a Stampede variable; did you mean stampede_holders?"


@pytest.mark.parametrize("variable", ["stampede_reference_port", "stampede_agent_port"])
def test_a_busy_port(user: User, variable: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        sentence = user.refused(agents=1, **{variable.removeprefix("stampede_"): port})
    assert f"{variable} is {port}" in sentence and f"port {port} " in sentence
    assert " is taken on " in sentence and f"(pid {os.getpid()})" in sentence
    assert f"set {variable} to another port" in sentence


def test_results_that_cannot_be_written(user: User) -> None:
    (user.folder / "file").write_text("")
    folder = user.folder / "file" / "sub"
    sentence = user.refused(results_dir=str(folder))
    assert f"stampede_results_dir is '{folder}'" in sentence and "cannot be written" in sentence
    assert "name a folder in which you may make files" in sentence


def test_a_run_that_has_been_made_before(user: User) -> None:
    made = user.folder / "earlier" / user.run_id
    made.mkdir(parents=True)
    sentence = user.refused(results_dir=str(made.parent))
    assert sentence.startswith(f"stampede_run_id is '{user.run_id}', but {made} is there already; choose another")


def test_each_of_several_problems_has_its_sentence(user: User) -> None:
    thresholds = {"thresholds": ["p95 < 2"], "abort_on_thresholds": "perhaps"}
    refusal = user.runs(holders="many", wait_min=5, wait_max=2, seeds=3, **thresholds)
    assert refusal.code != 0 and len(refusal.sentences) == 5, refusal.output
    user.has_started_nothing()


def test_a_secret_is_told_to_nobody(user: User) -> None:
    refusal = user.runs("-vvv", holders=0, secrets={"token": "s3cret-word"})
    assert refusal.code != 0 and "s3cret-word" not in refusal.output


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3.11"
    old.write_text("#!/bin/sh\necho 3.11.7\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "run", f"PYTHON={old}"], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )
    sentence = done.stderr.splitlines()[0]
    assert done.returncode != 0
    assert sentence == f"PYTHON={old} is Python 3.11.7; it must be Python 3.13 or newer."
    assert "Stampede\n" not in done.stdout
