"""Runs with real agents on machines as people have them: IPv6, proxies, authorities in a folder, little memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_playbook import Playbook
from reference_services import ReferenceServices, reference_services

IPV6 = Path("/proc/net/if_inet6").exists() and " lo\n" in Path("/proc/net/if_inet6").read_text()
SHORT = {"holders": 2, "iterations": 1, "wait_min": 0, "wait_max": 0.1, "presentations_max": 1}
DEAD = "http://127.0.0.1:9"
SMALL_MEMORY = 'mount -t tmpfs -o size=2m tmpfs /dev/shm && exec "$@"'


@pytest.fixture
def services_at_ipv6(tmp_path: Path) -> Iterator[ReferenceServices]:
    if not IPV6:
        pytest.skip("this machine has no ::1")
    with reference_services(tmp_path / "reference", "--public-host", "::1") as services:
        yield services


def with_services(folder: Path, services: ReferenceServices) -> Playbook:
    return Playbook(folder, {f"stampede_{name}": value for name, value in services.variables().items()})


def test_everything_at_an_ipv6_address(tmp_path: Path, services_at_ipv6: ReferenceServices) -> None:
    settings = services_at_ipv6.settings
    assert settings["services"]["issuer"]["invitation"]["url"].startswith("https://[::1]:")
    user = with_services(tmp_path, services_at_ipv6)
    code, output = user.run(**SHORT, mediator_pickup="none", agent_host="[::1]", agent_bind="::1")
    assert code == 0 and "Passed: no step failed" in output, output
    steps = {record["step"] for record in user.journal()}
    assert {"connect_to_mediator", "receive_credential", "present_proof", "receive_revocation_notification"} <= steps


def test_past_dead_proxies_and_with_authorities_in_a_folder_only(
    tmp_path: Path, reference: ReferenceServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tails files come over another library than messages do, and neither is told of the services' authority."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    authorities = tmp_path / "authorities"
    authorities.mkdir()
    shutil.copy(reference.settings["ca_file"], authorities / "services.pem")
    subprocess.run(["openssl", "rehash", authorities], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_DIR", str(authorities))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "no-bundle.pem"))
    for name in [name for name in os.environ if name.lower() == "no_proxy"]:
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, DEAD)
    user = with_services(tmp_path, reference)
    code, output = user.run(**SHORT, ca_file="")
    assert code == 0 and "Passed: no step failed" in output, output
    assert "are set, but a run uses no proxy" in output
    (run_dir,) = (tmp_path / "work").iterdir()
    assert (run_dir / "trust.pem").read_text().count("BEGIN CERTIFICATE") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small /dev/shm")
def test_a_small_dev_shm_is_told_before_anything_starts(tmp_path: Path) -> None:
    user = Playbook(tmp_path, {})
    user.start(holders=40, within=["unshare", "-m", "sh", "-c", SMALL_MEMORY, "sh"])
    code, output = user.end()
    assert code != 0
    assert "[ERROR] local: stampede_holders is 40, but /dev/shm has 2.1 MB left, but the wallets" in output, output
    assert not user.run_dir.exists()


def test_without_home_in_the_environment(
    tmp_path: Path, reference: ReferenceServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    code, output = with_services(tmp_path, reference).run(**SHORT)
    assert code == 0 and "Passed: no step failed" in output, output


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null/nowhere")
    user = Playbook(tmp_path, {})
    code, output = user.run()
    assert code != 0 and not user.run_dir.exists()
    assert "[ERROR] local: HOME is '/dev/null/nowhere', but /dev/null/nowhere/.ansible cannot be written" in output
    assert "Traceback" not in output
