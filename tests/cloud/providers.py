"""Two clouds on this machine: EC2 by moto, and a fake of Hetzner's API. Each is asked here without Ansible."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import boto3
from hetzner_api import TOKEN, HetznerApi
from software import moto

from stampede.machine.ports import free_ports

REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@dataclass(frozen=True)
class Instance:
    """A host as its provider knows it."""

    id: str
    name: str
    address: str
    user_data: str


class Provider(Protocol):
    """A cloud of one's own."""

    name: str
    environment: dict[str, str]
    """By which Ansible finds it."""
    settings: dict[str, Any]
    """The ``cloud_*`` variables of it."""

    def instances(self) -> dict[str, Instance]:
        """What runs, by its id."""

    def end(self, id: str) -> None:
        """End a host, as the provider does when it shuts down, or as somebody does in the console."""

    def power_off(self) -> None:
        """Power all hosts off, which keeps their disks."""

    @contextmanager
    def strangers(self, fleet: str) -> Iterator[None]:
        """There is what has names of a fleet, or its tag with another owner's, and is none of it."""

    def left(self) -> list[str]:
        """All that there is of anybody."""

    def let_expire(self) -> None:
        """Have the time of all hosts be over."""

    def fail(self, status: int = 0, after: int = -1) -> None:
        """Answer all requests with ``status``, or refuse hosts from the one after ``after`` others on."""

    def keep_some(self) -> None:
        """Refuse to remove some of what a fleet has."""

    def close(self) -> None:
        """Leave nothing running."""


class Aws:
    """EC2, with a subnet."""

    name = "aws"

    def __init__(self, network: str = "10.99.7") -> None:
        folder = moto()
        self.port = free_ports()
        script = Path(__file__).with_name("ec2_server.py")
        self._server = subprocess.Popen(
            [folder / "bin/python", script, str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        url = f"http://127.0.0.1:{self.port}"
        self.environment = CREDENTIALS | {"AWS_ENDPOINT_URL": url}
        self._ec2: Any = boto3.client("ec2", region_name=REGION, endpoint_url=url, **credentials())
        self._await_server()
        self._vpc = self._ec2.create_vpc(CidrBlock=f"{network}.0/24")["Vpc"]["VpcId"]
        subnet = self._ec2.create_subnet(VpcId=self._vpc, CidrBlock=f"{network}.0/24")["Subnet"]["SubnetId"]
        self.settings = {
            "cloud_provider": "aws",
            "cloud_region": REGION,
            "cloud_type": "c7a.xlarge",
            "cloud_subnet": subnet,
            "cloud_image": self._ec2.describe_images()["Images"][0]["ImageId"],
            "cloud_address": "private",
            "cloud_price": 0.0595,
        }

    def _await_server(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self._ec2.describe_regions()
            except Exception:
                assert time.monotonic() < deadline and self._server.poll() is None, "moto did not start"
                time.sleep(0.3)
            else:
                return

    def instances(self) -> dict[str, Instance]:
        wanted = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        found = [i for r in self._ec2.describe_instances(Filters=wanted)["Reservations"] for i in r["Instances"]]
        return {each["InstanceId"]: self._instance(each) for each in found}

    def _instance(self, found: dict[str, Any]) -> Instance:
        told = self._ec2.describe_instance_attribute(InstanceId=found["InstanceId"], Attribute="userData")
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        data = base64.b64decode(told["UserData"]["Value"]).decode()
        return Instance(found["InstanceId"], tags["stampede_host"], found["PrivateIpAddress"], data)

    def end(self, id: str) -> None:
        self._ec2.terminate_instances(InstanceIds=[id])

    @contextmanager
    def strangers(self, fleet: str) -> Iterator[None]:
        made = [
            self._ec2.create_security_group(GroupName=name, Description="-", VpcId=self._vpc)["GroupId"]
            for name in (f"stampede-{fleet}", "of-bert")
        ]
        tags = {"stampede_fleet": fleet, "stampede_owner": "bert"}
        self._ec2.create_tags(Resources=made[1:], Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
        template = {"LaunchTemplateName": f"stampede-{fleet}", "LaunchTemplateData": {"InstanceType": "t3.nano"}}
        self._ec2.create_launch_template(**template)
        yield
        self._ec2.delete_launch_template(LaunchTemplateName=f"stampede-{fleet}")
        for group in made:
            self._ec2.delete_security_group(GroupId=group)

    def power_off(self) -> None:
        self._ec2.stop_instances(InstanceIds=[*self.instances()])

    def left(self) -> list[str]:
        ec2 = self._ec2
        groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [self._vpc]}])["SecurityGroups"]
        return [
            *self.instances(),
            *(volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]),
            *(
                interface["NetworkInterfaceId"]
                for interface in ec2.describe_network_interfaces()["NetworkInterfaces"]
            ),
            *(group["GroupName"] for group in groups if group["GroupName"] != "default"),
            *(key["KeyName"] for key in ec2.describe_key_pairs()["KeyPairs"]),
            *(each["LaunchTemplateName"] for each in ec2.describe_launch_templates()["LaunchTemplates"]),
        ]

    def described(self) -> list[dict[str, Any]]:
        """All that EC2 says of the instances, with the options of their metadata."""
        found = self._ec2.describe_instances()["Reservations"]
        return [instance for reservation in found for instance in reservation["Instances"]]

    def give_public_addresses(self, given: bool) -> None:
        """Whether instances of the subnet get public addresses unasked, as in an account's default subnets."""
        subnet = self.settings["cloud_subnet"]
        self._ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": given})

    def market(self) -> str:
        """On which market the launch template has instances bought; moto does not say that of an instance."""
        (template,) = self._ec2.describe_launch_templates()["LaunchTemplates"]
        found = self._ec2.describe_launch_template_versions(LaunchTemplateId=template["LaunchTemplateId"])
        options = found["LaunchTemplateVersions"][-1]["LaunchTemplateData"]["InstanceMarketOptions"]
        return str(options["MarketType"])

    def ends_by_shutdown(self, id: str) -> bool:
        """Whether an instance that shuts itself down is gone then, with what it costs."""
        told = self._ec2.describe_instance_attribute(InstanceId=id, Attribute="instanceInitiatedShutdownBehavior")
        return bool(told["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate")

    def volumes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ec2.describe_volumes()["Volumes"]
        return found

    def open_to(self) -> dict[int, list[str]]:
        """Who may reach which ports, by the first of them."""
        groups = self._ec2.describe_security_groups(Filters=[{"Name": "tag-key", "Values": ["stampede_fleet"]}])
        rules = [rule for group in groups["SecurityGroups"] for rule in group["IpPermissions"]]
        return {rule["FromPort"]: [each["CidrIp"] for each in rule["IpRanges"]] for rule in rules}

    def let_expire(self) -> None:
        self._ec2.create_tags(Resources=[*self.instances()], Tags=[{"Key": "stampede_expires", "Value": "1000"}])

    def fail(self, status: int = 0, after: int = -1) -> None:
        fault: dict[str, Any] = {}
        if status:
            code = "InternalError" if status >= 500 else "UnauthorizedOperation"
            fault = {"operation": "*", "code": code, "status": status, "message": "The request was not fulfilled"}
        elif after >= 0:
            limit = {"code": "VcpuLimitExceeded", "status": 400, "message": "You have requested more vCPU capacity"}
            fault = {"operation": "RunInstances", "after": after} | limit
        self._have(fault)

    def keep_some(self) -> None:
        refusal = {"code": "UnauthorizedOperation", "status": 403, "message": "You are not authorized"}
        self._have({"operation": "TerminateInstances"} | refusal)

    def _have(self, fault: dict[str, Any]) -> None:
        url = f"http://127.0.0.1:{self.port}/faults"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(fault).encode()), timeout=10):
            pass

    def close(self) -> None:
        self._server.kill()
        self._server.wait()


def credentials() -> dict[str, str]:
    return {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


class Hetzner:
    """A project at Hetzner."""

    name = "hetzner"

    def __init__(self, network: str = "10.99.7") -> None:
        self.api = HetznerApi(f"{network}.11")
        self.environment = {"HCLOUD_TOKEN": TOKEN, "HCLOUD_ENDPOINT": self.api.url}
        self.settings = {
            "cloud_provider": "hetzner",
            "cloud_region": "fsn1",
            "cloud_type": "cpx32",
            "cloud_image": "debian-13",
        }

    def instances(self) -> dict[str, Instance]:
        with self.api.lock:
            servers = list(self.api.tables["servers"].values())
        return {
            str(row["id"]): Instance(
                str(row["id"]), row["labels"]["stampede_host"], row["public_net"]["ipv4"]["ip"], row["user_data"]
            )
            for row in servers
            if row["status"] == "running"
        }

    def end(self, id: str) -> None:
        with suppress(KeyError):
            self.api.end(int(id))

    @contextmanager
    def strangers(self, fleet: str) -> Iterator[None]:
        names = {"servers": f"{fleet}-load-001", "firewalls": f"stampede-{fleet}", "ssh_keys": f"stampede-{fleet}"}
        with self.api.lock:
            for kind, name in names.items():
                assert self.api.answer("POST", f"/v1/{kind}", {"name": name, "public_key": ""})[0] == 201
            for kind in ("firewalls", "ssh_keys"):
                labels = {"stampede_fleet": fleet, "stampede_owner": "bert"}
                told = {"name": "of-bert", "public_key": "", "labels": labels}
                assert self.api.answer("POST", f"/v1/{kind}", told)[0] == 201
        yield
        with self.api.lock:
            for kind in names:
                self.api.tables[kind].clear()

    def power_off(self) -> None:
        with self.api.lock:
            for row in self.api.tables["servers"].values():
                row["status"] = "off"

    def left(self) -> list[str]:
        kinds = ("servers", "ssh_keys", "firewalls", "placement_groups", "primary_ips")
        return [f"{kind} {row['name']}" for kind in kinds for row in self.api.tables[kind].values()]

    def let_expire(self) -> None:
        with self.api.lock:
            for row in self.api.tables["servers"].values():
                row["labels"] = row["labels"] | {"stampede_expires": "1000"}

    def fail(self, status: int = 0, after: int = -1) -> None:
        self.api.fault, self.api.quota, self.api.kept = status, after if after >= 0 else 100, ""

    def keep_some(self) -> None:
        self.api.kept = "ssh_keys"

    def close(self) -> None:
        self.api.close()


PROVIDERS = {"aws": Aws, "hetzner": Hetzner}


def environment(provider: Provider, home: Path, collections: Path) -> dict[str, str]:
    """What a playbook sees: the provider, and no other credentials of this machine."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HCLOUD_"))}
    more = {"HOME": str(home), "ANSIBLE_COLLECTIONS_PATH": str(collections), "LC_ALL": "C.UTF-8"}
    return others | more | {"AWS_EC2_METADATA_DISABLED": "true", "ANSIBLE_NOCOLOR": "1"} | provider.environment
