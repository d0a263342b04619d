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
from ansible_playbook import REPOSITORY, ansible_playbook

from stampede.machine.ports import free_ports


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
        run_test = ("-i", "inventory/local", "playbooks/run-test.yml")
        done = ansible_playbook(*run_test, "-e", json.dumps(settings), *options)
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
        sentence = user.refused(agents=1, mediator_pickup="none", **{variable.removeprefix("stampede_"): port})
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


WRONG: dict[str, tuple[Any, str]] = {
    "weight": (float("nan"), "nan; it must be a number of 0 or more"),
    "fail_on_errors": ("maybe", "'maybe'; it must be true or false"),
    "reference_services": ("maybe", "'maybe'; it must be true or false"),
    "host_name": (["a"], "['a']; it must be 1 to 64 of"),
    "holders": (2**80, "1208925819614629174706176; it must be at most 1000000"),
    "iterations": (10**12, "1000000000000; it must be at most 1000000"),
    "duration": (1e300, "1e+300; it must be at most a year, 8784h"),
    "agent_port": (65536, "65536; it must be a whole number from 1 to 65535"),
    "python": ("/nowhere/python", "'/nowhere/python', but no such program is on this machine"),
    "thresholds": ("errors < 1 %", "'errors < 1 %'; it must be a list of texts"),
    "memory_max": ("much", "'much'; it must be a limit that systemd understands"),
    "secrets": (["hush"], "a list; it must be a mapping of names to texts"),
    "watch_interval": ("\u0663", "'\u0663'; it must be a number of seconds"),
    "agent_args": (["--a\nb"], "['--a\\nb']; it must be a list of texts"),
}
"""Values that no setting may have, and what is said of each."""


def test_values_of_wrong_shapes(user: User) -> None:
    refusal = user.runs("--check", **{name: value for name, (value, _) in WRONG.items()})
    assert refusal.code != 0
    expected = sorted(f"stampede_{name} is {said}" for name, (_, said) in WRONG.items())
    assert len(refusal.sentences) == len(expected), refusal.output
    for sentence, beginning in zip(sorted(refusal.sentences), expected, strict=True):
        assert sentence.startswith(beginning)
    assert "hush" not in refusal.output
    user.has_started_nothing()


@pytest.mark.parametrize("name", ["local", "dry_run"])
@pytest.mark.parametrize(("value", "said"), [("maybe", "'maybe'"), (["a"], "of type list")])
def test_what_playbooks_decide_by(user: User, name: str, value: Any, said: str) -> None:
    assert user.refused(**{name: value}) == f"stampede_{name} is {said}; it must be true or false"


def test_a_template_that_cannot_be_evaluated(user: User) -> None:
    sentence = user.refused("--check", wait_max="{{ nowhere }}")
    assert (
        sentence
        == "stampede_wait_max cannot be evaluated: 'nowhere' is undefined; it must be a template that renders"
    )


def test_what_yaml_makes_of_values(user: User) -> None:
    (user.folder / "values.yml").write_text(
        "stampede_run_id: 2026-11-22\n"
        "stampede_drain: !!binary aGVsbG8=\n"
        "stampede_services:\n"
        "  issuer: {invitation: {url: 'https://localhost/', body: .inf}}\n"
        "  verifier: {invitation: {url: 'https://localhost/', body: {a: [{b: 2026-01-01}]}}}\n"
        "  1: {invitation: {url: 'https://localhost/', body: {1: a}}}\n"
    )
    refusal = user.runs("--check", "-e", f"@{user.folder / 'values.yml'}")
    beginnings = [
        "stampede_drain is b'hello'; it must be a number of seconds",
        "stampede_run_id is 2026-11-22, which YAML takes for a date unless it is in quotes; it must be 1 to 64 of",
        "stampede_services.1.invitation.body has the key 1; it must be a text, in quotes",
        "stampede_services.issuer.invitation.body is inf; it must be something that JSON can express",
        "stampede_services.verifier.invitation.body['a'][0]['b'] is 2026-01-01, which YAML takes for a date unless",
    ]
    assert len(refusal.sentences) == len(beginnings), refusal.output
    for sentence, beginning in zip(sorted(refusal.sentences), beginnings, strict=True):
        assert sentence.startswith(beginning)
    user.has_started_nothing()


def test_the_variables_of_each_host(user: User) -> None:
    inventory = user.folder / "hosts.yml"
    hosts = {f"load-{number}": {} for number in range(1, 4)} | {
        "load-2": {"stampede_weight": "nan", "stampede_duration": "5m"},
        "load-3": {"stampede_agent_port": 9443, "stampede_agent_host": "{{ nowhere }}"},
    }
    services = {"issuer": {"invitation": {"url": "https://issuer.example.org/"}}}
    settings = {"services": services, "allowed_targets": ["*.example.org"], "reference_services": False}
    inventory.write_text(json.dumps({"load_hosts": {"hosts": hosts}}))
    refusal = user.runs("--check", "-i", str(inventory), "--limit", "load_hosts,!local", **settings)
    (sentence,) = refusal.sentences or re.findall(r"^\[ERROR\] load-1: (.*)$", refusal.output, re.MULTILINE)
    assert sentence.startswith("stampede_agent_host cannot be evaluated: 'nowhere' is undefined;")
    assert sentence.endswith(" (on load-3)")
    hosts["load-3"]["stampede_agent_host"] = "load-3.example.org"
    inventory.write_text(json.dumps({"load_hosts": {"hosts": hosts}}))
    refusal = user.runs("--check", "-i", str(inventory), "--limit", "load_hosts,!local", **settings)
    said = re.findall(r"^\[ERROR\] load-1: (.*)$", refusal.output, re.MULTILINE)
    assert said[0].startswith("stampede_weight is 'nan'; it must be a number of 0 or more") and len(said) == 2, said
    assert said[0].endswith(" (on load-2)")
    assert said[1] == ("stampede_duration is 0 on load-1, but '5m' on load-2; it must be the same on all load hosts")


@pytest.mark.parametrize("value", ["{{ stampede_secrets.token }}", "Bearer {{ stampede_secrets['token'] }}"])
def test_a_secret_that_a_template_reveals(user: User, value: str) -> None:
    request = {"url": "https://localhost/", "body": {"key": value}}
    sentence = user.refused("--check", secrets={"token": "s3cret-word"}, services={"issuer": {"invitation": request}})
    assert sentence.startswith(
        "stampede_services holds stampede_secrets.token in clear; it must have ${secret:token} in"
    )


def test_a_vaulted_value_that_would_be_written_down(user: User) -> None:
    password = user.folder / "password"
    password.write_text("open sesame")
    vault = Path(sys.executable).with_name("ansible-vault")
    command = [vault, "encrypt_string", "--vault-password-file", password, "--name", "token", "s3cret-word"]
    encrypted = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    file = user.folder / "values.yml"
    file.write_text(
        "stampede_services: {issuer: {invitation: {url: 'https://localhost/', body: {key: '${secret:token}'}}}}\n"
        "stampede_secrets:\n  " + encrypted.replace("\n", "\n  ").rstrip() + "\n"
    )
    script = user.script("async def script(holder):\n    await holder.connect('issuer')\n")
    vaulted = ("--check", "--vault-password-file", str(password), "-e", f"@{file}")
    assert user.runs(*vaulted, script=script, mediator_did="").code == 0
    file.write_text(
        "stampede_services:\n  issuer:\n    invitation:\n      url: https://localhost/\n      body:\n        "
        + encrypted.replace("\n", "\n        ").rstrip()
    )
    sentence = user.refused(*vaulted, script=script, mediator_did="")
    assert sentence.startswith(
        "stampede_services.issuer.invitation.body.token is encrypted with Ansible Vault, but would"
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("while True: pass\n", "line 1: the script was still here after"),
        ("raise SystemExit(0)\n", "line 1: SystemExit: 0; a script must not end the process"),
        ("import os\nos._exit(0)\n", ": its trial ended with the exit code 0"),
    ],
)
def test_a_script_that_would_end_or_keep_the_control_node(user: User, source: str, said: str) -> None:
    sentence = user.refused("--check", script=user.script(source))
    assert sentence.startswith(f"{user.folder}/my_script.py") and said in sentence


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


def test_a_plugin_that_acapy_does_not_take(user: User) -> None:
    assert user.refused(agent_plugins=["json"]) == (
        "stampede_agent_plugins has 'json', which ACA-Py does not take; it must be a package (a folder) with a "
        "function setup(), or with modules routes, message_types or definition"
    )


def test_a_package_that_cannot_be_built(user: User, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "nobody.knows"\n')
    sentence = user.refused(agent_packages=[str(tmp_path)], agent_plugins=["plugin"])
    assert sentence.startswith(f"stampede_agent_packages has {str(tmp_path)!r}, which cannot be built into a wheel: ")
    assert "No module named 'nobody'" in sentence
