"""Load hosts from an inventory, and SSH as Ansible's variables and OpenSSH's own configuration want it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stampede.fleet.inventory import WORK_DIR, LoadHost, load_hosts
from stampede.fleet.openssh import SSHOptions
from stampede.fleet.remote_shell import SSHShell
from stampede.fleet.ssh_connection import ControlMasters
from stampede.machine.home import HOME
from stampede.schema.errors import BadInput

VAULTED = """!vault |
          $ANSIBLE_VAULT;1.1;AES256
          62313365396662343061393464336163383764373764613633653634306231386433626436623361
          6134333665353966363534333632666535333761666131620a663537646436643839616531643561
          63396265333963386166373632626539326166353965363262633030333630313338646335303630
          3438626666666137650a353638643435666633633964366338633066623234616432373231333331
          6564
"""


def inventory(folder: Path, text: str) -> list[str]:
    file = folder / "hosts.yml"
    file.write_text(text)
    return [str(file)]


def load_host(**variables: Any) -> LoadHost:
    return LoadHost("load-1", False, Path(WORK_DIR), {f"ansible_{name}": value for name, value in variables.items()})


class TestInventory:
    def test_takes_the_load_hosts_and_templates_what_is_wanted_of_them(self, tmp_path: Path) -> None:
        first, second = load_hosts(
            inventory(
                tmp_path,
                "load_hosts:\n"
                "  hosts: {load-1: {number: 11}, load-2: {number: 12}}\n"
                "  vars: {ansible_host: '10.0.0.{{ number }}', ansible_user: admin, stampede_work_dir: /srv/runs}\n"
                "services: {hosts: {services-1: {}}}\n",
            )
        )
        assert (first.name, second.name) == ("load-1", "load-2")
        assert second.variables["ansible_host"] == "10.0.0.12" and second.variables["ansible_user"] == "admin"
        assert not first.local and first.work_dir == Path("/srv/runs")

    def test_the_local_one_s(self) -> None:
        (host,) = load_hosts([str(HOME / "inventory/local")])
        assert host.local and host.work_dir == HOME / ".stampede/runs"

    def test_runs_lie_where_the_role_has_them(self, tmp_path: Path) -> None:
        defaults = yaml.safe_load((HOME / "roles/run/defaults/main.yml").read_text())
        (host,) = load_hosts(inventory(tmp_path, "load_hosts: {hosts: {load-1: {}}}"))
        assert str(host.work_dir) == defaults["stampede_work_dir"]

    def test_needs_no_vault_s_password(self, tmp_path: Path) -> None:
        (tmp_path / "group_vars/all").mkdir(parents=True)
        (tmp_path / "group_vars/all/vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6231\n")
        (tmp_path / "group_vars/all/all.yml").write_text(f"stampede_secrets:\n  token: {VAULTED}")
        (host,) = load_hosts(inventory(tmp_path, "load_hosts: {hosts: {load-1: {ansible_host: 10.0.0.1}}}"))
        assert host.variables["ansible_host"] == "10.0.0.1"

    def test_says_which_variable_is_vaulted_that_is_needed(self, tmp_path: Path) -> None:
        (tmp_path / "group_vars").mkdir()
        (tmp_path / "group_vars/all.yml").write_text(f"ansible_become_password: {VAULTED}")
        with pytest.raises(
            BadInput, match=r"^ansible_become_password of load-1 cannot be evaluated: .*; .* is vaulted"
        ):
            load_hosts(inventory(tmp_path, "load_hosts: {hosts: {load-1: {}}}"))

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("others: {hosts: {h1: {}}}", "has no host in the group load_hosts"),
            ("load_hosts: {hosts: [", "cannot be read: YAML parsing failed"),
        ],
    )
    def test_that_is_none_gives_one_sentence(
        self, tmp_path: Path, text: str, sentence: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(BadInput) as refusal:
            load_hosts(inventory(tmp_path, text))
        assert sentence in str(refusal.value) and str(tmp_path) in str(refusal.value)
        assert capfd.readouterr() == ("", "")

    def test_that_is_not_there(self) -> None:
        with pytest.raises(BadInput, match="-i is 'nowhere/hosts'; it must be an inventory"):
            load_hosts(["nowhere/hosts"])


class TestOptions:
    def test_are_those_that_ansible_gives_to_openssh(self, tmp_path: Path) -> None:
        config = tmp_path / "config"
        config.write_text(
            f"Include {tmp_path}/more\nHost bastion\n  Port 2200\nHost 10.0.0.*\n  User nobody\n  Port 23\n"
        )
        (tmp_path / "more").write_text("Host 10.0.0.1\n  HostName load-1.example.org\n")
        options = SSHOptions.of_host(
            load_host(
                host="10.0.0.1",
                user="admin",
                ssh_private_key_file="~/.ssh/fleet",
                ssh_common_args=f"-F {config} -o UserKnownHostsFile='/etc/fleet/known hosts' -o IdentitiesOnly=yes",
                ssh_extra_args="-o ProxyJump=me@bastion:2222",
            )
        )
        # Ansible's variables come before the configuration, whose files may include others.
        assert (options.hostname, options.user, options.port) == ("load-1.example.org", "admin", 23)
        assert options.effective["identitiesonly"] == ["yes"]
        assert options.effective["identityfile"][0] == "~/.ssh/fleet"
        assert options.effective["proxyjump"] == ["me@bastion:2222"]

    def test_the_inventory_s_port_wins(self) -> None:
        options = SSHOptions.of_host(load_host(port=2022, ssh_common_args="-o Port=9", ssh_args="-4"))
        assert options.words[1] == "-4" and options.port == 2022
        assert options.words[-1] == "load-1"

    def test_several_jumps_and_a_command_instead(self) -> None:
        options = SSHOptions.of_host(load_host(ssh_args="-F none -J one,two"))
        assert options.effective["proxyjump"] == ["one,two"]
        options = SSHOptions.of_host(load_host(ssh_args="-F none -o ProxyCommand='nc %h %p'"))
        assert options.effective["proxycommand"] == ["nc %h %p"]

    def test_names_with_spaces(self) -> None:
        options = SSHOptions.of_host(load_host(ssh_private_key_file="/etc/the fleet/key", ssh_args="-F none"))
        assert options.effective["identityfile"][0] == "/etc/the fleet/key"

    def test_a_password_is_not_one_of_them(self) -> None:
        options = SSHOptions.of_host(load_host(ssh_pass="hush", ssh_pkcs11_provider="/usr/lib/token.so"))
        assert options.password == "hush" and options.pin
        assert not any("hush" in word for word in options.words)
        assert options.effective["pkcs11provider"] == ["/usr/lib/token.so"]

    def test_that_openssh_does_not_take_are_shown(self) -> None:
        with pytest.raises(
            BadInput, match=r"The SSH options of load-1 cannot be used \(ssh .*NoSuchOption=1.*\): .*"
        ):
            SSHOptions.of_host(load_host(ssh_args="-F none -o NoSuchOption=1"))

    def test_a_client_that_is_not_installed(self) -> None:
        with pytest.raises(BadInput, match="The command no-such-ssh is not installed"):
            SSHOptions.of_host(load_host(ssh_executable="no-such-ssh"))

    def test_another_way_to_become_root_must_be_one_of_ansible_s(self) -> None:
        with pytest.raises(BadInput, match="ansible_become_method of load-1 is 'wish'"):
            SSHShell(load_host(become_method="wish"), ControlMasters())


def test_the_load_host_s_command_needs_nothing_of_the_control_node() -> None:
    code = "import sys, controller.cli; print({'ansible', 'fabric', 'rich', 'jinja2'} & set(sys.modules))"
    done = subprocess.run(
        [HOME / ".venv/bin/python", "-c", code], capture_output=True, text=True, check=True, cwd=HOME
    )
    assert done.stdout == "set()\n"
