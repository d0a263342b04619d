"""What a provider refuses is said in one sentence, and nothing is left that costs money, or it is named."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleet.playbooks import REPOSITORY, Played
from providers import Aws, Hetzner, Provider, environment
from users import User, new_user, without_secrets

REFUSED: dict[str, list[tuple[dict[str, Any], str]]] = {
    "aws": [
        ({"cloud_type": "huge.one"}, "huge.one.*; cloud_type must be a kind that cloud_region has"),
        (
            {"cloud_image": "ami-00000000"},
            "cloud_image must be an AMI of cloud_region|cloud_image is ami-00000000, which",
        ),
        (
            {"cloud_subnet": "subnet-00000000"},
            "cloud_subnet is subnet-00000000, which eu-central-1 does not have; it must be a subnet",
        ),
    ],
    "hetzner": [
        ({"cloud_type": "huge1"}, "cloud_type is huge1, which Hetzner does not have; it must be a type of server"),
        (
            {"cloud_type": "cpx31"},
            "cloud_type is cpx31, which Hetzner does not offer in fsn1 now; .* type, or cloud_region one of ash$",
        ),
        ({"cloud_type": "cx33"}, "cloud_type is cx33, which Hetzner does not offer in fsn1 now; .* another type$"),
        ({"cloud_image": "999"}, "cloud_image is 999, which Hetzner does not have; it must be an image"),
        ({"cloud_image": "debian-99"}, "cloud_image is debian-99, which Hetzner does not have; it must be an image"),
        ({"cloud_subnet": "outside"}, "cloud_subnet is outside, which the project does not have"),
    ],
}


def error_of(played: Played) -> str:
    """The one sentence of a playbook that failed."""
    assert played.code != 0 and "Traceback" not in played.output, played.output
    found = re.findall(r"^\[ERROR\] localhost: (.*)$", without_secrets(played.output), re.MULTILINE)
    assert len(found) == 1, played.output
    return str(found[0])


@pytest.fixture
def user(provider: Provider, user_of: Callable[..., User]) -> User:
    provider.fail()
    return user_of(provider)


def test_what_the_provider_does_not_have(user: User) -> None:
    for wrong, sentence in REFUSED[user.provider.name]:
        assert re.search(sentence, error_of(user.play("cloud-up", **wrong)))
        assert user.provider.left() == [] and not user.keys("mine").exists()


def test_a_location_that_there_is_not(provider: Provider, user_of: Callable[..., User]) -> None:
    if not isinstance(provider, Hetzner):
        return
    provider.fail()
    user = user_of(provider, cloud_region="fsn9")
    listed = user.inventory / "hcloud.yml"
    listed.write_text(listed.read_text().replace("fsn1", "fsn9"))
    said = error_of(user.play("cloud-up"))
    assert "cloud_region is fsn9, which Hetzner does not have; it must be one of ash, fsn1" in said


def test_a_private_address_in_a_public_subnet(provider: Provider, user_of: Callable[..., User]) -> None:
    if not isinstance(provider, Aws):
        return
    provider.fail()
    provider.give_public_addresses(True)
    try:
        said = error_of(user_of(provider).play("cloud-up"))
    finally:
        provider.give_public_addresses(False)
    assert "which gives each instance a public address; it must be a subnet that does not" in said
    assert said.startswith("cloud_address is private, and cloud_subnet is subnet-") and provider.left() == []


def test_the_address_in_one_of_several_networks(tmp_path: Path, collections: Path) -> None:
    provider = Hetzner()
    user = new_user(provider, tmp_path / "laptop", collections, "mine")
    labels = {"stampede_fleet": "mine", "stampede_host": "load-001", "stampede_expires": "1"}
    made = {"name": "a", "networks": [2, 1], "labels": labels | {"stampede_address": "private"}}
    provider.api.answer("POST", "/v1/servers", made)
    listed = user.inventory / "hcloud.yml"
    words = [Path(sys.executable).with_name("ansible-inventory"), "-i", listed, "--host", "load-001"]
    text = listed.read_text()
    try:
        for file, address in (
            (text, "10.2.0.2"),
            (text.replace("# network: my-network", "network: inside"), "10.1.0.2"),
        ):
            listed.write_text(file)
            given = environment(provider, user.home, collections)
            found = json.loads(
                subprocess.run(words, env=given, check=True, capture_output=True, cwd=REPOSITORY).stdout
            )
            assert found["ansible_host"] == found["stampede_agent_host"] == address
    finally:
        provider.close()


def test_wrong_credentials_and_none(user: User) -> None:
    provider = user.provider
    right, advice = provider.environment, "set HCLOUD_TOKEN to a token|set AWS_PROFILE, or"
    nothing = {name: value for name, value in right.items() if "ENDPOINT" in name}
    wrong = nothing | ({"HCLOUD_TOKEN": "wrong"} if isinstance(provider, Hetzner) else {"AWS_PROFILE": "nobody"})
    try:
        for playbook, credentials in {"cloud-up": nothing, "run-test": wrong, "teardown": wrong}.items():
            provider.environment = credentials
            said = error_of(user.play(playbook))
            assert re.search(advice, said) and "could not be listed: " in said
    finally:
        provider.environment = right


def test_a_collection_that_is_not_installed(user: User, tmp_path: Path) -> None:
    said = error_of(replace(user, collections=tmp_path).play("cloud-status"))
    assert re.search(r"Ansible's collection (amazon.aws|hetzner.hcloud) is not installed", said)
    assert "ansible galaxy collection install -r " in said


def test_an_api_that_is_out_of_order(user: User) -> None:
    provider = user.provider
    provider.fail(503)
    assert re.search("play it again later", error_of(user.play("cloud-up")))
    provider.fail()
    right = provider.environment
    closed = {name: "http://127.0.0.1:9/v1" if "ENDPOINT" in name else value for name, value in right.items()}
    provider.environment = closed
    try:
        assert "check cloud_region and that this machine reaches" in error_of(user.play("cloud-up"))
    finally:
        provider.environment = right


def test_an_api_that_does_not_answer(user: User) -> None:
    """Hetzner's client would wait for ever; that of AWS gives up by itself, after minutes."""
    provider = user.provider
    if not isinstance(provider, Hetzner):
        return
    right = provider.environment
    with socket.create_server(("127.0.0.1", 0)) as silent:
        provider.environment = right | {"HCLOUD_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}/v1"}
        try:
            said = error_of(user.play("cloud-status"))
        finally:
            provider.environment = right
    assert "could not be listed: it did not answer in time; check cloud_region and that this machine reaches" in said


def test_a_credential_that_no_provider_takes(user: User) -> None:
    """As from a file with the line ends of Windows. It is not shown."""
    provider = user.provider
    right = provider.environment
    name = "HCLOUD_TOKEN" if isinstance(provider, Hetzner) else "AWS_SECRET_ACCESS_KEY"
    provider.environment = right | {name: right[name] + "\r"}
    try:
        for playbook in ("cloud-status", "run-test"):
            said = error_of(user.play(playbook))
            assert f"{name} has a space, a line break or the like in it; it must be the" in said
            assert right[name] not in said
    finally:
        provider.environment = right


def test_limits_that_are_misspelt_or_too_short(user: User) -> None:
    """They bound the cost, so that none is left out of account."""
    for wrong, right in {"cloud_tll": "cloud_ttl", "cloud_max_host": "cloud_max_hosts"}.items():
        said = error_of(user.play("cloud-up", "--check", **{wrong: "30m"}))
        assert said == f"{wrong} is not a Stampede variable; did you mean {right}?"
    said = error_of(user.play("cloud-up", "--check", cloud_ttl="5m"))
    assert re.search("cloud_ttl is 5 min; it must be .* min or more, since a run of these settings", said)
    assert error_of(user.play("cloud-up", "--check", stampede_duration="3h")).startswith("cloud_ttl is 3 h; it must")
    unknown = user.play("cloud-up", "--check", stampede_holders="many")
    assert unknown.code == 0 and "not known whether cloud_ttl is enough" in unknown.output, unknown.output
    assert user.provider.left() == []


def test_a_quota_that_is_full_half_way(user: User, user_of: Callable[..., User]) -> None:
    """The hosts that could be made are named. Neither somebody else nor another machine adds to them; their owner
    ends them from anywhere, and when their time is over a timer does."""
    provider = user.provider
    provider.fail(after=1)
    told_all = user.play("cloud-up", "-vvv", recap=True)
    assert told_all.code != 0 and "lower cloud_hosts" in without_secrets(told_all.output), told_all.output
    said = error_of(user.play("cloud-up"))
    assert re.search(
        r"lower cloud_hosts.*\. 1 of 2 hosts is there and costs money: load-00[12] \(\S+, running\);", said
    )
    provider.fail()

    other = user_of(provider, machine="another", cloud_owner="bert")
    said = error_of(other.play("cloud-up"))
    assert re.search(
        r"cloud_name is mine, which is in use: load-00\d .* owned by tester, and cloud_owner is bert", said
    )
    elsewhere = user_of(provider, machine="third")

    # What a timer plays: it ends hosts whose time is over, of one's own alone, and asks for no results.
    provider.let_expire()
    assert other.play("cloud-down", cloud_expired=True).code == 0 and len(provider.instances()) == 1
    provider.power_off()
    said = error_of(elsewhere.play("cloud-down"))
    assert re.search(r"whether load-00\d \(\S+, (off|stopped)\) has results .* power on what is off", said), said
    down = elsewhere.play("cloud-down", cloud_expired=True)
    assert down.code == 0 and re.search(r"To end: load-00\d", down.output), down.output
    assert provider.left() == []


def test_an_api_that_fails_when_hosts_are_there(user: User) -> None:
    """Those that cost money are named, being made or ended. (At AWS a 503 is retried for minutes.)"""
    provider = user.provider
    with user.playing("cloud-up") as up:
        up.until("Await the hosts", 300)
        provider.fail(403)
        played = up.end()
    assert re.search(r"\. 2 of 2 hosts are .*there and cost money: load-001.*, load-002", error_of(played))
    provider.fail()
    said = error_of(user.play("cloud-down"))  # nobody is at the addresses of these hosts
    assert re.search(r"whether load-001 \(.*, load-002 \(.* have results", said), said
    with user.playing("cloud-down", stampede_discard_runs=True) as down:
        down.until(r"To end: load-001, load-002", 300)
        provider.fail(403)
        played = down.end()
    assert re.search(r"Perhaps still there, and at your expense: load-001 \(", error_of(played)), played.output
    provider.fail()
    provider.keep_some()
    said = error_of(user.play("cloud-down", stampede_discard_runs=True))
    assert re.search(r"\. Still there, and at your expense: [^;]+; play it again", said), said
    assert provider.left() != []
    provider.fail()
    assert user.play("cloud-down", stampede_discard_runs=True).code == 0 and provider.left() == []


def test_what_has_the_names_of_a_fleet_and_is_none_of_it(user: User) -> None:
    """It is neither adopted nor removed."""
    provider = user.provider
    with provider.strangers("mine"):
        there = provider.left()
        for words in ((), ("--check",)):
            said = error_of(user.play("cloud-up", *words))
            assert "is there already, and is not tester's of fleet mine by its" in said
            assert "stampede-mine (lt-" in said or not isinstance(provider, Aws)
        assert there and provider.left() == there
        assert user.play("cloud-down").code == 0 and provider.left() == there


def test_a_part_of_a_fleet(user: User) -> None:
    for playbook, option, part in (
        ("cloud-up", "--limit", "localhost"),
        ("cloud-status", "--tags", "provision"),
        ("cloud-down", "--skip-tags", "all"),
    ):
        said = error_of(user.play(playbook, option, part))
        assert said.startswith(f"{option} is {part}; it must be left out, since the settings say which fleet")


def test_what_it_would_cost(user: User) -> None:
    """--check asks the provider and makes nothing."""
    checked = user.play("cloud-up", "--check")
    assert checked.code == 0 and "2 hosts x 3 h x 0.0595 = 0.36 at most" in checked.output, checked.output
    assert user.provider.left() == []


def test_the_options_of_an_instance(provider: Provider, user_of: Callable[..., User]) -> None:
    """Spare capacity, IMDSv2, encrypted disks, a host that shuts down ends, and SSH from one network alone."""
    if not isinstance(provider, Aws):
        return
    provider.fail()
    user = user_of(provider, cloud_spot=True, cloud_agents_from=["10.0.0.0/8"], cloud_hosts=1)
    with user.playing("cloud-up") as up:
        up.until(r"\* Know the hosts by their keys", 300)
        (host,) = [each for each in provider.described() if each["State"]["Name"] == "running"]
        assert host["MetadataOptions"]["HttpTokens"] == "required"
        assert provider.market() == "spot" and provider.ends_by_shutdown(host["InstanceId"])
        assert all(volume["Encrypted"] for volume in provider.volumes())
        assert provider.open_to() == {22: ["192.0.2.1/32"], 8600: ["10.0.0.0/8"]}
    assert user.play("cloud-down", stampede_discard_runs=True).code == 0
    assert provider.left() == []
