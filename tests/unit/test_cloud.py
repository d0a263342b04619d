"""Fleets in clouds: what is right of their settings, what there is of them, and what providers' errors mean."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stampede.cloud import keys, plan
from stampede.cloud.faults import explain
from stampede.cloud.hosts import by_number, from_mapping, of_ec2, of_hetzner
from stampede.cloud.settings import checked_fleet, checked_name
from stampede.schema.errors import BadInput
from stampede.schema.settings.variables import CloudVariables

REPOSITORY = Path(__file__).resolve().parents[2]
AWS = REPOSITORY / "inventory/aws"
NOW = 1_800_000_000.0


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """A fleet at AWS that may be made."""
    defaults = yaml.safe_load((REPOSITORY / "roles/cloud/defaults/main.yml").read_text())
    return defaults | {
        "cloud_owner": "anna",
        "cloud_region": "eu-central-1",
        "cloud_type": "c7a.xlarge",
        "cloud_image": "ami-1",
        "cloud_subnet": "subnet-1",
        "cloud_ssh_from": ["203.0.113.7/32"],
        "cloud_keys_dir": str(tmp_path),
    }


def sentences(settings: dict[str, Any], source: Path = AWS, run_seconds: float = 0.0) -> list[str]:
    with pytest.raises(BadInput) as raised:
        checked_fleet(settings, [str(source)], run_seconds)
    return raised.value.sentences


def test_the_shipped_inventories_are_of_the_default_fleets(settings: dict[str, Any]) -> None:
    assert checked_fleet(settings, [str(AWS)], 600).hosts == 3
    hetzner = settings | {"cloud_provider": "hetzner", "cloud_region": "fsn1", "cloud_subnet": ""}
    assert checked_fleet(hetzner, [str(REPOSITORY / "inventory/hetzner")], 0).type == "c7a.xlarge"
    assert checked_name(settings, [str(AWS / "aws_ec2.yml")]).name == "stampede"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"hosts": 11}, "cloud_hosts is 11; it must be at most 10, which is cloud_max_hosts"),
        ({"hosts": 0}, "cloud_hosts is 0; it must be a whole number from 1 to 999"),
        ({"ttl": "soon"}, "cloud_ttl is 'soon'; it must be a number of seconds or a duration such as"),
        ({"spot": True, "provider": "hetzner"}, "cloud_spot is true; it must be false"),
        ({"ssh_from": []}, "cloud_ssh_from is empty; it must list the network"),
        ({"ssh_from": ["0.0.0.0/0"]}, "0.0.0.0/0']; it must not be all addresses there are"),
        ({"ssh_from": ["128.0.0.0/1", "0.0.0.0/1"]}, "it must not be all addresses there are"),
        ({"ssh_from": ["here"]}, "cloud_ssh_from[0] is 'here'; it must be an IPv4 network"),
        ({"ssh_from": ["203.0.113.7"]}, "cloud_ssh_from[0] is '203.0.113.7'; it must be an IPv4 network"),
        ({"ssh_from": ["2001:db8::/64"]}, "cloud_ssh_from[0] is '2001:db8::/64'; it must be an IPv4 network"),
        ({"agents_from": ["10.1.2.3/8"]}, "cloud_agents_from[0] is '10.1.2.3/8'; it must be an IPv4 network"),
        ({"user": "root"}, "cloud_user is root; it must be another user"),
        ({"owner": ""}, "cloud_owner is ''; it must be"),
        ({"name": "Mine"}, "cloud_name is 'Mine'; it must be 1 to 40 of a-z"),
        ({"name": "other"}, "it must be ['other'], as cloud_name is other"),
        ({"region": "us-east-1"}, "regions of "),
        ({"region": ""}, "cloud_region is not set; it must be such as eu-central-1"),
        ({"image": ""}, "cloud_image is not set; it must be the id of an AMI"),
        ({"subnet": ""}, "cloud_subnet is not set; it must be the id of a subnet"),
        ({"provider": "hetzner"}, "is for amazon.aws.aws_ec2; cloud_provider is hetzner"),
        ({"provider": "gcp"}, "cloud_provider is 'gcp'; it must be one of aws, hetzner"),
        ({"ssh_from": ["203.0.113.0/0.0.0.255"]}, "cloud_ssh_from[0] is '203.0.113.0/0.0.0.255'; it must be an IPv4"),
        ({"ssh_from": ["10.0.0.0/08"]}, "cloud_ssh_from[0] is '10.0.0.0/08'; it must be an IPv4 network"),
        ({"keys_dir": "keys"}, "cloud_keys_dir is 'keys'; it must be an absolute path, or one that begins with ~/"),
        (
            {"keys_dir": "/home/anna b/keys"},
            "it must be an absolute path, or one that begins with ~/, without blanks",
        ),
        ({"keys_dir": "~nobody-here/keys"}, "cloud_keys_dir is '~nobody-here/keys'; it must be an absolute path"),
        ({"keys_dir": ""}, "cloud_keys_dir is ''; it must"),
    ],
)
def test_a_wrong_setting(settings: dict[str, Any], wrong: dict[str, Any], sentence: str) -> None:
    said = sentences(settings | {f"cloud_{name}": value for name, value in wrong.items()})
    assert len(said) == 1 and sentence in said[0], said


def test_no_region_of_no_provider(settings: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as raised:
        checked_name(settings | {"cloud_provider": "gcp", "cloud_region": ""}, [str(AWS)])
    assert raised.value.sentences == ["cloud_provider is 'gcp'; it must be one of aws, hetzner"]


def test_a_user_may_be_called_as_yaml_calls_truths(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    for name in ("hosts/load-001", "hosts/load-001.pub", "id_ed25519.pub"):
        (tmp_path / name).write_text("a key")
    names = {"cloud_keys": str(tmp_path), "cloud_host": "load-001", "cloud_expires": NOW, "cloud_grace": 900}
    told = f"src={REPOSITORY}/roles/cloud/templates/user-data.yml.j2 dest={tmp_path}/user-data"
    variables = json.dumps(settings | names | {"cloud_user": "no"})
    subprocess.run(
        [sys.executable, "-m", "ansible", "adhoc", "localhost", "-m", "template", "-a", told, "-e", variables],
        check=True,
    )
    assert yaml.safe_load((tmp_path / "user-data").read_text())["users"][0]["name"] == "no"


def test_a_private_address_needs_a_network(settings: dict[str, Any]) -> None:
    hetzner = settings | {"cloud_provider": "hetzner", "cloud_region": "fsn1", "cloud_address": "private"}
    source = REPOSITORY / "inventory/hetzner"
    (said,) = sentences(hetzner | {"cloud_subnet": ""}, source)
    assert said.startswith("cloud_address is private, and cloud_subnet is empty; it must be the name of the private")
    assert checked_fleet(hetzner | {"cloud_subnet": "inside"}, [str(source)], 0).subnet == "inside"


def test_hosts_live_longer_than_the_run(settings: dict[str, Any]) -> None:
    settings["cloud_ttl"] = "20m"
    assert checked_fleet(settings, [str(AWS)], 600).ttl == 1200
    assert sentences(settings, run_seconds=1200) == [
        "cloud_ttl is 20 min; it must be 30 min or more, since a run of these settings keeps the hosts for 20 min, "
        "and they are made and prepared before"
    ]


def test_an_inventory_without_a_cloud(settings: dict[str, Any], tmp_path: Path) -> None:
    assert sentences(settings, REPOSITORY / "inventory/local") == [
        "The inventory has no file of amazon.aws.aws_ec2; name one that has, such as -i inventory/aws"
    ]
    (tmp_path / "aws_ec2.yml").write_text("plugin: [")
    assert "cannot be read: " in sentences(settings, tmp_path)[0]


def instance(number: int, owner: str = "anna", state: str = "running", **tags: str) -> dict[str, Any]:
    labels = {"stampede_fleet": "stampede", "stampede_host": f"load-{number:03}", "stampede_owner": owner}
    return {
        "instance_id": f"i-{number}",
        "state": {"name": state},
        "instance_type": "c7a.xlarge",
        "private_ip_address": f"10.0.0.{number}",
        "tags": labels | {"stampede_expires": "1800003600"} | tags,
    }


def test_the_inventory_plugin_of_the_collection_is_enabled_as_its_pages_say(tmp_path: Path) -> None:
    """Only then is a cloud that cannot be asked one sentence: here by the lack of the provider's collection."""
    collection = tmp_path / "ansible_collections/stampede/vc"
    collection.mkdir(parents=True)
    spec = importlib.util.spec_from_file_location("build_collection", REPOSITORY / "bin/build_collection.py")
    assert spec and spec.loader
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    builder.generate(collection)
    pages = (REPOSITORY / "docs/installing.md", collection / "README.md")
    [enabled] = {
        words for page in pages for words in re.findall(r"`(ANSIBLE_INVENTORY_ENABLED=[^`]+)`", page.read_text())
    }
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "adhoc", "-i", AWS, "localhost", "-m", "debug", "-a", "var=cloud_fault"],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWS_"))},
            **dict([enabled.split("=", 1)]),
            "ANSIBLE_COLLECTIONS_PATH": str(tmp_path),
            "PYTHONPATH": str(REPOSITORY),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"The hosts of {AWS / 'aws_ec2.yml'} could not be listed: " in done.stdout, done.stdout + done.stderr


def test_hosts_are_in_the_order_of_their_numbers() -> None:
    found = of_ec2(
        [instance(10), instance(2), instance(1, state="terminated"), instance(3, stampede_expires="never")]
    )
    assert [host.name for host in found] == ["load-002", "load-003", "load-010"]
    assert [host.expires for host in found] == [1_800_003_600, 0, 1_800_003_600]
    assert from_mapping(json.loads(json.dumps(dataclasses.asdict(found[0])))) == found[0]
    assert sorted(["load-10", "load-2", "a", "load-1"], key=by_number) == ["a", "load-1", "load-2", "load-10"]
    server = {"id": 7, "status": "running", "server_type": "cpx32", "labels": {}, "ipv4_address": None}
    assert of_hetzner([server])[0].label == "a host without a name (7, running)"
    networks = [{"name": "others", "ip": "10.2.0.2"}, {"name": "inside", "ip": "10.1.0.2"}]
    assert of_hetzner([server | {"private_networks_info": networks}])[0].private == "10.2.0.2,10.1.0.2"


def fleet(settings: dict[str, Any]) -> CloudVariables:
    return checked_fleet(settings, [str(AWS)], 0)


def keep_keys(settings: dict[str, Any], mark: str = "stampede at aws in eu-central-1\n") -> Path:
    """A folder of keys as cloud-up.yml leaves it."""
    folder = Path(settings["cloud_keys_dir"])
    (folder / keys.HOSTS).mkdir(parents=True)
    for name in ("id_ed25519", "id_ed25519.pub", "known_hosts", "hosts/load-001", "hosts/load-001.pub"):
        (folder / name).write_text("a key")
    if mark:
        (folder / keys.MARK).write_text(mark)
    return folder


def test_of_the_folder_of_keys_goes_what_was_made(settings: dict[str, Any], tmp_path: Path) -> None:
    folder = keep_keys(settings | {"cloud_keys_dir": str(tmp_path / "keys")})
    assert keys.taken(fleet(settings | {"cloud_keys_dir": str(folder)})) == []
    (folder / "notes").write_text("of somebody's")
    assert keys.remove(fleet(settings | {"cloud_keys_dir": str(folder)}))
    assert [file.name for file in folder.iterdir()] == ["notes"]
    (folder / "notes").unlink()
    keep_keys(settings | {"cloud_keys_dir": str(folder)})
    assert keys.remove(fleet(settings | {"cloud_keys_dir": str(folder)})) and not folder.exists()
    assert not keys.remove(fleet(settings | {"cloud_keys_dir": str(folder)}))


@pytest.mark.parametrize(
    ("mark", "sentence"),
    [
        ("", ", which has files that are of no fleet; it must be a folder of its own"),
        ("stampede at aws in us-east-1", ", which has the keys of fleet stampede at aws in us-east-1; it must be"),
    ],
)
def test_a_folder_of_other_keys_is_left_alone(settings: dict[str, Any], mark: str, sentence: str) -> None:
    folder = keep_keys(settings, mark)
    there = sorted(folder.rglob("*"))
    assert not keys.remove(fleet(settings)) and sorted(folder.rglob("*")) == there
    with pytest.raises(BadInput) as raised:
        plan.plan(fleet(settings), [], 0, NOW)
    assert str(raised.value).startswith(f"cloud_keys_dir is {folder}{sentence}")


def test_a_home_folder_may_be_meant(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", settings["cloud_keys_dir"])
    assert keys.folder_of(fleet(settings | {"cloud_keys_dir": "~/keys"})) == Path(settings["cloud_keys_dir"], "keys")


def test_each_hour_that_has_begun_is_charged_at_hetzner(settings: dict[str, Any]) -> None:
    long = replace(fleet(settings), provider="hetzner", ttl=5400.0)
    assert "3 hosts x 2 h x 0.2 = 1.20 at most" in plan.plan(long, [], 0.2, NOW).text


def test_what_is_missing_and_what_it_costs(settings: dict[str, Any]) -> None:
    keep_keys(settings)
    there = of_ec2([instance(2)])
    found = plan.plan(fleet(settings), there, 0.2, NOW)
    assert found.missing == ["load-001", "load-003"] and found.expires == NOW + 3 * 3600
    assert "3 hosts x 3 h x 0.2 = 1.80 at most" in found.text and "2 to be made" in found.text
    assert "cloud_price is not set" in plan.plan(fleet(settings), there, 0, NOW).text


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        ([instance(1, owner="bert")], "load-001 (i-1, running) is owned by bert, and cloud_owner is anna"),
        ([instance(4)], "Fleet stampede has load-004 (i-4, running) already, and cloud_hosts is 3"),
        ([instance(5, stampede_host="")], "has a host without a name (i-5, running) already"),
        (
            [instance(1), instance(9, stampede_host="load-001")],
            "load-001 was made 2 times: load-001 (i-1, running), load-001 (i-9, running); end all but one",
        ),
        ([instance(1, state="stopped")], "load-001 (i-1, stopped) is not running"),
        ([instance(1)], "was made elsewhere: its keys are not in "),
    ],
)
def test_a_fleet_that_cannot_become_what_is_asked_for(
    settings: dict[str, Any], there: list[dict[str, Any]], sentence: str
) -> None:
    if "elsewhere" not in sentence:
        keep_keys(settings)
    with pytest.raises(BadInput) as raised:
        plan.plan(fleet(settings), of_ec2(there), 0, NOW)
    assert len(raised.value.sentences) == 1 and sentence in str(raised.value)


def test_what_has_a_name_of_the_fleet_but_not_its_tags_is_not_adopted(settings: dict[str, Any]) -> None:
    ours = {"stampede_fleet": "stampede", "stampede_owner": "anna"}
    group = {"group_name": "stampede-stampede", "group_id": "sg-1", "tags": ours}
    server = {"name": "stampede-load-001", "id": "7", "labels": ours | {"stampede_host": "load-001"}}
    assert plan.taken(fleet(settings), [group, server]) == []
    theirs = [group | {"tags": {}}, server | {"labels": ours | {"stampede_owner": "bert"}}]
    first, second = plan.taken(fleet(settings), theirs)
    assert first.startswith("stampede-stampede (sg-1) is there already, and is not anna's of fleet stampede")
    assert second.startswith("stampede-load-001 (7) is there already")


def test_hosts_that_are_off_may_have_results() -> None:
    there = of_ec2([instance(1), instance(2, state="stopped"), instance(3, state="pending")])
    assert plan.unknown(there, ["load-001", "load-002"]) == []
    (said,) = plan.unknown(there, ["load-001"])
    assert said.startswith("Nobody knows whether load-002 (i-2, stopped) has results") and "power on" in said
    (said,) = plan.unknown(there, ["load-002"])
    assert "load-001 (i-1, running) has" in said and "power on" not in said


def test_what_a_fleet_that_failed_costs(settings: dict[str, Any]) -> None:
    assert plan.remains(fleet(settings), [], "no").endswith(
        "Nothing of fleet stampede is there, so that nothing costs money"
    )
    said = plan.remains(fleet(settings), of_ec2([instance(1), instance(2)]), "The quota is full")
    assert said.startswith(
        "The quota is full. 2 of 3 hosts are there and cost money: load-001 (i-1, running), load-002 "
    )


def test_hosts_that_nobody_could_ask_about_may_cost_money(settings: dict[str, Any]) -> None:
    said = plan.remains(fleet(settings), of_ec2([instance(1)]), "no", ["load-001", "load-002"])
    assert said.startswith("no. 2 of 3 hosts are or may be there and cost money: load-001 (i-1, running), load-002;")
    assert plan.not_ended([], "no") == "no"
    ended = of_ec2([instance(1)])
    assert "no. Perhaps still there, and at your expense: load-001 (i-1, running);" in plan.not_ended(ended, "no")
    assert plan.not_ended(ended, "no", []) == "no"
    assert "no. Still there, and at your expense: sg-1;" in plan.not_ended(ended, "no", ["sg-1"])


def test_the_status_of_a_fleet(settings: dict[str, Any]) -> None:
    lines = plan.status(fleet(settings), of_ec2([instance(1), instance(2, stampede_expires="1")]), NOW)
    assert [line.split() for line in lines] == [
        ["host", "kind", "address", "state", "time", "left", "owner"],
        ["load-001", "c7a.xlarge", "10.0.0.1", "running", "1", "h", "anna"],
        ["load-002", "c7a.xlarge", "10.0.0.2", "running", "over", "anna"],
    ]


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Failed to describe instances: Unable to locate credentials", "AWS_PROFILE"),
        (
            "An error occurred (AuthFailure) when calling the RunInstances operation: AWS was not able to",
            "AWS_PROFILE",
        ),
        (
            "An error occurred (VcpuLimitExceeded) when calling the RunInstances operation: You have",
            "lower cloud_hosts",
        ),
        (
            "An error occurred (InvalidSubnetID.NotFound) when calling the DescribeSubnets operation: no",
            "cloud_subnet",
        ),
        ("An error occurred (InvalidInstanceType) when calling the DescribeInstanceTypes operation: x", "cloud_type"),
        ('Could not connect to the endpoint URL: "https://ec2.nowhere.amazonaws.com/"', "check cloud_region"),
        ("Required config 'api_token' for 'hcloud' inventory plugin not provided.", "HCLOUD_TOKEN"),
        ("server limit exceeded (resource_limit_exceeded)", "lower cloud_hosts"),
        ("an internal error occurred (server_error)", "play it again later"),
        ("couldn't resolve module/action 'amazon.aws.ec2_instance'", "ansible galaxy collection install"),
        ("An error occurred (RequestLimitExceeded) when calling the RunInstances operation: slow", "play it again"),
        ("An error occurred (VcpuLimitExceeded) when calling the RunInstances operation: x", "lower cloud_hosts"),
        ("server location disabled (resource_unavailable)", "choose another cloud_type or cloud_region"),
        (
            "(AuthFailure.ServiceLinkedRoleCreationNotPermitted) when calling RunInstances",
            "iam:CreateServiceLinkedRole",
        ),
        ("(Unsupported): Your requested instance type is not supported in your requested Availability Zone", "zone"),
        ("The architecture 'arm64' of the specified instance type does not match that of the AMI", "processors"),
        (
            "An error occurred (InvalidBlockDeviceMapping) when calling the RunInstances operation: x",
            "cloud_disk must be as large",
        ),
        ("server is locked (locked)", "another action on it"),
        ("token is only allowed to perform GET requests (token_readonly)", "may read and write"),
    ],
)
def test_what_an_error_means(said: str, advice: str) -> None:
    found = explain(said)
    assert advice in found and "\n" not in found and "An error occurred" not in found


def test_the_first_item_that_failed_speaks_for_a_loop() -> None:
    assert explain({"results": [{"failed": False}, {"failed": True, "msg": "no\n room"}]}) == "no room"
    assert explain({"msg": "x" * 1000}) == "x" * 300 + "..."
    assert explain({}) == "it failed and did not say why"


def test_a_controller_cannot_reach_the_metadata_service() -> None:
    """Where a host's user data can be read, with its private key in it; at AWS by IPv6, too."""
    unit = (REPOSITORY / "roles/controller/templates/stampede-run@.service.j2").read_text()
    service = unit.partition("[Service]\n")[2]
    denied = [line.partition("=")[2] for line in service.splitlines() if line.startswith("IPAddressDeny=")]
    assert {"169.254.169.254", "fd00:ec2::254"} <= set(" ".join(denied).split())
    assert "" not in denied and "IPAddressAllow=" not in service, "either would take it back"
