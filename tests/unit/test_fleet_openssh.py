"""Commands on a load host over a real sshd: whom OpenSSH trusts, how it gets there, and what is left afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ssh_servers import IPV6, USER, SSHServer, load_host, password_server

from stampede.fleet import remote_shell, ssh_connection
from stampede.fleet.inventory import LoadHost
from stampede.fleet.remote_shell import LocalShell, SSHShell, shell_of
from stampede.fleet.snapshot import Refused, Unreachable
from stampede.fleet.ssh_connection import ControlMasters
from stampede.machine.home import HOME
from stampede.schema.errors import BadInput


@pytest.fixture
def masters() -> Iterator[ControlMasters]:
    with ControlMasters() as masters:
        yield masters


def say(masters: ControlMasters, host: LoadHost, word: str = "here") -> str:
    return SSHShell(host, masters).run(f"echo {word}")


class TestTrust:
    """OpenSSH's own: each of these works as with ``ssh``."""

    def test_a_key_that_is_known(self, sshd: SSHServer, masters: ControlMasters) -> None:
        assert say(masters, sshd.host()) == "here"

    def test_hashed_entries(self, sshd: SSHServer, masters: ControlMasters) -> None:
        host = sshd.host()
        subprocess.run(["ssh-keygen", "-H", "-f", sshd.folder / "known_hosts"], check=True, capture_output=True)
        assert "127.0.0.1" not in (sshd.folder / "known_hosts").read_text()
        assert say(masters, host) == "here"

    @pytest.mark.parametrize("pattern", ["[127.0.0.*]:*", "*", "!nobody,[127.*]:*"])
    def test_wildcard_entries(self, sshd: SSHServer, masters: ControlMasters, pattern: str) -> None:
        known = sshd.known_hosts(f"{pattern} {sshd.public('host_key')}\n")
        assert say(masters, sshd.host(ssh_common_args=f"-o UserKnownHostsFile={known}")) == "here"

    def test_a_pattern_that_excludes_the_host(self, sshd: SSHServer, masters: ControlMasters) -> None:
        known = sshd.known_hosts(f"*,!127.*,![127.* {sshd.public('host_key')}\n")
        with pytest.raises(Refused, match="its host key is not in "):
            say(masters, sshd.host(ssh_common_args=f"-o UserKnownHostsFile={known}"))

    def test_host_key_alias(self, sshd: SSHServer, masters: ControlMasters) -> None:
        known = sshd.known_hosts(f"the-fleet {sshd.public('host_key')}\n")
        options = f"-o UserKnownHostsFile={known}"
        assert say(masters, sshd.host(ssh_common_args=f"{options} -o HostKeyAlias=the-fleet")) == "here"
        with pytest.raises(Refused, match=f"^its host key is not in {known}$"):
            say(masters, sshd.host(ssh_common_args=options))

    def test_certificates(self, sshd: SSHServer, masters: ControlMasters) -> None:
        known = sshd.known_hosts(f"@cert-authority load-* {sshd.public('authority')}\n")
        options = f"-o UserKnownHostsFile={known} -o HostKeyAlias="
        assert say(masters, sshd.host(ssh_common_args=f"{options}load-1")) == "here"
        with pytest.raises(Refused, match="its host key is not in "):  # it is for load-1 only
            say(masters, sshd.host(ssh_common_args=f"{options}load-2"))
        sshd.known_hosts(f"@cert-authority load-* {sshd.public('other_key')}\n")
        with pytest.raises(Refused, match="its host key is not in "):
            say(masters, sshd.host(ssh_common_args=f"{options}load-1"))

    def test_a_command_that_knows_keys(self, sshd: SSHServer, masters: ControlMasters) -> None:
        known = sshd.known_hosts(f"{sshd.address} {sshd.public('host_key')}\n")
        options = "-o UserKnownHostsFile=/dev/null -o KnownHostsCommand="
        assert say(masters, sshd.host(ssh_common_args=f"{options}'/bin/cat {known}'")) == "here"
        with pytest.raises(Refused, match=r"^its host key is not in the output of /bin/true$"):
            say(masters, sshd.host(ssh_common_args=f"{options}/bin/true"))

    def test_a_key_on_first_use_where_the_inventory_says_so(self, sshd: SSHServer, masters: ControlMasters) -> None:
        known = sshd.known_hosts("")
        options = f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking="
        assert say(masters, sshd.host(ssh_common_args=f"{options}accept-new")) == "here"
        assert sshd.public("host_key") in known.read_text()
        sshd.known_hosts(f"{sshd.address} {sshd.public('other_key')}\n")
        with pytest.raises(Refused, match=f"^its host key is not the one in {known}, line 1$"):
            say(masters, sshd.host(ssh_common_args=f"{options}accept-new"))

    @pytest.mark.parametrize("strict", ["ask", "yes"])
    def test_nobody_is_asked_about_an_unknown_key(
        self, sshd: SSHServer, masters: ControlMasters, strict: str
    ) -> None:
        known = sshd.known_hosts("# nobody\n")
        options = f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking={strict}"
        with pytest.raises(Refused, match=f"^its host key is not in {known}$"):
            say(masters, sshd.host(ssh_common_args=options))
        assert known.read_text() == "# nobody\n"

    def test_another_key_is_refused(self, sshd: SSHServer, masters: ControlMasters) -> None:
        known = sshd.known_hosts(f"# comment\n{sshd.address} {sshd.public('other_key')}\n")
        with pytest.raises(Refused, match=f"^its host key is not the one in {known}, line 2$"):
            say(masters, sshd.host(ssh_common_args=f"-o UserKnownHostsFile={known}"))

    def test_a_revoked_key_is_refused(self, sshd: SSHServer, masters: ControlMasters) -> None:
        key = sshd.public("host_key")
        known = sshd.known_hosts(f"{sshd.address} {key}\n@revoked * {key}\n")
        with pytest.raises(Refused, match=r"^its host key is revoked$"):
            say(masters, sshd.host(ssh_common_args=f"-o UserKnownHostsFile={known}"))

    def test_ansible_may_leave_keys_unchecked(self, sshd: SSHServer, masters: ControlMasters) -> None:
        known = sshd.known_hosts("")
        options = f"-o UserKnownHostsFile={known}"
        assert say(masters, sshd.host(ssh_common_args=options, host_key_checking=False)) == "here"


class TestWay:
    @pytest.mark.skipif(not IPV6, reason="this machine has no ::1")
    def test_by_an_ipv6_address(self, sshd: SSHServer, masters: ControlMasters) -> None:
        known = sshd.known_hosts(f"[::1]:{sshd.port} {sshd.public('host_key')}\n")
        options = f"-o UserKnownHostsFile={known}"
        assert say(masters, sshd.host(host="::1", ssh_common_args=options)) == "here"
        sshd.known_hosts("# nobody\n")
        with pytest.raises(Refused, match=f"^its host key is not in {known}$"):
            say(masters, sshd.host(host="::1", ssh_common_args=options))

    def test_through_a_jump_host(self, sshd: SSHServer, masters: ControlMasters) -> None:
        host = sshd.host()
        config = sshd.folder / "jump_config"
        config.write_text(
            f"Host bastion\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {USER}\n"
            f"  UserKnownHostsFile {sshd.folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
            f"  IdentityFile {sshd.folder}/user_key\n  IdentitiesOnly yes\n"
        )
        through = {"ssh_args": f"-F {config} -J bastion"}
        known = host.variables["ansible_ssh_common_args"]
        before = sshd.log.count("Accepted publickey")
        assert say(masters, sshd.host(ssh_common_args=known, **through)) == "here"
        assert sshd.log.count("Accepted publickey") == before + 2

        config.write_text(config.read_text().replace("user_key", "other_key"))
        with pytest.raises(Refused, match=f"^its jump host does not accept the login: {USER}@127.0.0.1: Perm"):
            say(masters, sshd.host(ssh_common_args=f"{known} -o HostName=localhost", **through))
        config.write_text(config.read_text().replace(f"{sshd.folder}/known_hosts", "/dev/null"))
        with pytest.raises(Refused, match=r"^the host key of its jump host is not known here$"):
            say(masters, sshd.host(ssh_common_args=known, **through))

    def test_by_a_command(self, sshd: SSHServer, masters: ControlMasters) -> None:
        relay = "import os,socket,sys,threading;s=socket.create_connection((sys.argv[1],int(sys.argv[2])))"
        relay += (
            ";threading.Thread(target=lambda:[s.sendall(d) for d in iter(lambda:os.read(0,9999),b'')],daemon=True)"
        )
        relay += ".start();[os.write(1,d) for d in iter(lambda:s.recv(9999),b'')]"
        file = sshd.folder / "relay.py"
        file.write_text(relay)
        arguments = f"-F none -o IdentitiesOnly=yes -o 'ProxyCommand={sys.executable} {file} %h %p'"
        assert say(masters, sshd.host(ssh_args=arguments)) == "here"

    def test_by_the_user_s_configuration(self, sshd: SSHServer, masters: ControlMasters) -> None:
        sshd.host()
        config = sshd.folder / "config"
        config.write_text(
            f"Match host fleet-one\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {USER}\n  RemoteCommand false\n"
            f"  RequestTTY force\n  HostKeyAlias {sshd.address}\n  UserKnownHostsFile {sshd.folder}/known_hosts\n"
            f"  IdentityFile {sshd.folder}/user_key\n  LocalForward 1 127.0.0.1:1\n  ExitOnForwardFailure yes\n"
        )
        assert say(masters, load_host(host="fleet-one", ssh_args=f"-F {config}", become=False)) == "here"

    def test_is_kept_for_the_next_command(self, sshd: SSHServer, masters: ControlMasters) -> None:
        shell = SSHShell(sshd.host(ssh_args="-F none -o ControlMaster=auto -o ControlPersist=60s"), masters)
        before = sshd.log.count("Accepted publickey")
        assert [shell.run(f"echo {number}") for number in range(3)] == ["0", "1", "2"]
        assert sshd.log.count("Accepted publickey") == before + 1


class TestLogin:
    def test_with_another_key_is_refused(self, sshd: SSHServer, masters: ControlMasters) -> None:
        host = sshd.host(ssh_private_key_file=str(sshd.folder / "other_key"))
        with pytest.raises(Refused, match=rf"^it does not accept the login of {USER}: Permission denied \(publickey"):
            say(masters, host)

    def test_with_a_key_that_has_a_passphrase_asks_nobody(self, sshd: SSHServer, masters: ControlMasters) -> None:
        key = sshd.folder / "locked_key"
        key.write_bytes((sshd.folder / "user_key").read_bytes())
        key.chmod(0o600)
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "hush-hush", "-f", key], check=True, capture_output=True)
        for password in ("", "hush-hush"):
            with pytest.raises(Refused, match="it does not accept the login"):
                say(masters, sshd.host(ssh_private_key_file=str(key), password=password))

    def test_with_a_password(self, sshd: SSHServer, masters: ControlMasters, tmp_path: Path) -> None:
        password = "hush'$HOME \\n%s"
        with password_server(password, sshd.folder / "host_key") as (port, offered):
            known = sshd.known_hosts(f"[127.0.0.1]:{port} {sshd.public('host_key')}\n")
            variables = {"port": port, "ssh_common_args": f"-o UserKnownHostsFile={known}"}
            shell = SSHShell(sshd.host(password=password, **variables), masters)
            assert shell.run("echo here") == "here" and offered == [password]
            words = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
            assert any("-N -T" in line for line in words) and not any("hush" in line for line in words)
            (folder,) = {Path(line.split("-S ")[1].split()[0]).parent for line in words if "-S " in line}
            assert folder.stat().st_mode & 0o777 == 0o700
            files = [file for file in folder.iterdir() if file.is_file()]
            assert files and not any(b"hush" in file.read_bytes() for file in files)

            for wrong in ("another", ""):
                with pytest.raises(Refused, match=rf"^it does not accept the login of {USER}: Permission denied"):
                    say(masters, sshd.host(ssh_pass=wrong, **variables))
            assert offered == [password, "another"]

    def test_a_password_is_not_for_the_jump_host(self, sshd: SSHServer, masters: ControlMasters) -> None:
        with password_server("hush", sshd.folder / "host_key") as (port, offered):
            known = sshd.known_hosts(f"* {sshd.public('host_key')}\n")
            config = sshd.folder / "config"
            config.write_text(
                f"Host *\n  UserKnownHostsFile {known}\nHost bastion\n  HostName localhost\n  Port {port}\n"
            )
            options = f"-F {config} -J {USER}@bastion"
            with pytest.raises(Refused, match=f"^its jump host does not accept the login: {USER}@localhost: "):
                say(masters, sshd.host(password="hush", ssh_args=options, ssh_common_args=""))
            assert "hush" not in offered


class TestRoot:
    def test_by_sudo_with_a_password(self, sshd: SSHServer, masters: ControlMasters) -> None:
        sudo = sshd.folder / "sudo"
        sudo.write_text(
            "#!/bin/sh\n"
            'while [ "$1" != -p ]; do shift; done; printf %s "$2" >&2; read -r answer\n'
            '[ "$answer" = open ] || { printf "\\nsudo: 1 incorrect password attempt\\n" >&2; exit 1; }\n'
            'shift 4; echo "for $0" >&2; exec "$@"\n'
        )
        sudo.chmod(0o755)
        variables = {"become": True, "become_exe": str(sudo)}
        shell = SSHShell(sshd.host(become_password="open", **variables), masters)
        assert shell.run("echo here; echo there") == "here\nthere"
        assert shell.run("echo again") == "again"
        with pytest.raises(Unreachable, match=r"^sudo: 1 incorrect password attempt$"):
            SSHShell(sshd.host(become_password="shut", **variables), masters).run("echo here")

    def test_on_this_machine(self, masters: ControlMasters, monkeypatch: pytest.MonkeyPatch) -> None:
        shell = shell_of(load_host(connection="local", become=False), masters)
        assert isinstance(shell, LocalShell) and shell.run("echo here") == "here"
        with pytest.raises(Unreachable, match=r"^nothing there$"):
            shell.run("echo nothing there >&2; false")
        monkeypatch.setattr(remote_shell, "COMMAND_LIMIT", 0.1)
        with pytest.raises(Unreachable, match=r"^no answer for 0\.1 s$"):
            shell.run("sleep 20")

    def test_by_other_connections_than_ssh_is_refused(self, masters: ControlMasters) -> None:
        assert isinstance(shell_of(load_host(connection="ansible.builtin.ssh"), masters), SSHShell)
        with pytest.raises(BadInput, match=r"^ansible_connection of load-1 is 'winrm'; load hosts are reached by"):
            shell_of(load_host(connection="winrm"), masters)


class TestFailure:
    def test_of_a_command_has_its_last_words(self, sshd: SSHServer, masters: ControlMasters) -> None:
        shell = SSHShell(sshd.host(), masters)
        with pytest.raises(Unreachable, match=r"^systemd is not here$"):
            shell.run("echo first >&2; echo systemd is not here >&2; exit 3")
        with pytest.raises(Unreachable, match=r"^the command ended with 255$"):
            shell.run("exit 255")
        assert shell.run("echo here") == "here"

    def test_nobody_listens(self, sshd: SSHServer, masters: ControlMasters) -> None:
        with pytest.raises(Unreachable, match=r"^connect to host .* port 9: Connection refused$") as refusal:
            say(masters, sshd.host(port=9))
        assert not isinstance(refusal.value, Refused)

    def test_a_connection_that_was_lost_comes_back(self, sshd: SSHServer, masters: ControlMasters) -> None:
        shell = SSHShell(sshd.host(), masters)
        assert shell.run("echo here") == "here"
        sshd.stop()
        for _ in range(2):
            with pytest.raises(Unreachable) as lost:
                shell.run("echo here")
            assert not isinstance(lost.value, Refused) and str(lost.value)
        sshd.start()
        assert shell.run("echo back") == "back"

    def test_a_command_takes_too_long(
        self, sshd: SSHServer, masters: ControlMasters, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shell = SSHShell(sshd.host(), masters)
        assert shell.run("echo here") == "here"
        monkeypatch.setattr(remote_shell, "COMMAND_LIMIT", 1)
        with pytest.raises(Unreachable, match=r"^no answer for 1 s$"):
            shell.run("sleep 600")
        monkeypatch.undo()
        assert shell.run("echo back") == "back"

    def test_a_host_falls_silent(
        self, sshd: SSHServer, masters: ControlMasters, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shell = SSHShell(sshd.host(), masters)
        assert shell.run("echo here") == "here"
        monkeypatch.setattr(remote_shell, "COMMAND_LIMIT", 1)
        monkeypatch.setattr(ssh_connection, "COMMAND_LIMIT", 1)
        silent = sshd.processes()
        for process in silent:
            process.suspend()
        try:
            for _ in range(2):  # first in the connection that there was, then in a new one
                with pytest.raises(Unreachable, match=r"^no answer for 1 s$"):
                    shell.run("echo here")
        finally:
            for process in silent:
                process.resume()
        monkeypatch.undo()
        assert shell.run("echo back") == "back"


def ours(folder: Path) -> list[str]:
    """The command lines of processes that were started for that folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has just ended
            found.append(" ".join(process.cmdline()))
    return [line for line in found if str(folder) in line]


class TestNothingIsLeft:
    def test_when_it_is_closed(self, sshd: SSHServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ssh_connection.tempfile, "tempdir", str(tmp_path.parent)[:60])
        before = psutil.Process().children(recursive=True)

        def run_for_long() -> None:
            with pytest.raises(Unreachable):
                hosts[2].run("sleep 600")

        with ControlMasters() as masters:
            hosts = [SSHShell(sshd.host(), masters) for _ in range(3)]
            running = threading.Thread(target=run_for_long)
            running.start()
            assert [shell.run("echo here") for shell in hosts[:2]] == ["here", "here"]
            (folder,) = {file.parent for file in [master.socket for master in masters._masters]}
            assert len(psutil.Process().children(recursive=True)) > len(before)
        running.join(20)
        assert not running.is_alive() and not folder.exists()
        deadline = time.monotonic() + 10  # the server's processes notice in their own time
        while (left := set(psutil.Process().children(recursive=True)) - set(before)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left
        with pytest.raises(Unreachable, match="its connection was closed"):
            hosts[0].run("echo here")

    def test_nothing_is_started_for_hosts_that_are_not_asked(self, sshd: SSHServer) -> None:
        before = psutil.Process().children()
        with ControlMasters() as masters:
            SSHShell(sshd.host(), masters)
            assert not set(psutil.Process().children()) - set(before)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_when_it_is_killed(self, sshd: SSHServer, tmp_path: Path, number: int) -> None:
        host = sshd.host()
        code = (
            "import sys; from pathlib import Path; from stampede.fleet.inventory import LoadHost\n"
            "from stampede.fleet.remote_shell import ControlMasters, SSHShell\n"
            "with ControlMasters() as masters:\n"
            f"    shell = SSHShell(LoadHost('load-1', False, Path('/runs'), {dict(host.variables)!r}), masters)\n"
            "    print(shell.run('echo here'), flush=True)\n"
            "    print(masters._folder, flush=True)\n"
            "    shell.run('sleep 600')\n"
        )
        watcher = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=HOME
        )
        assert watcher.stdout and watcher.stdout.readline() == "here\n"
        folder = Path(watcher.stdout.readline().strip())
        assert folder.is_dir()
        assert len(ours(folder)) >= 2
        os.kill(watcher.pid, number)
        watcher.wait(60)
        watcher.stdout.close()
        deadline = time.monotonic() + 60
        while (left := ours(folder)) or folder.exists():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def test_a_host_that_does_not_stop_talking_is_not_listened_to(sshd: SSHServer, masters: ControlMasters) -> None:
    shell = SSHShell(sshd.host(), masters)
    with pytest.raises(Unreachable, match="it answered with more than 4,000,000 bytes"):
        shell.run("cat /dev/zero")
    assert shell.run("echo here") == "here"


def test_many_hosts_at_once(sshd: SSHServer, masters: ControlMasters) -> None:
    shells = [SSHShell(sshd.host(), masters) for _ in range(8)]
    said: dict[int, str] = {}

    def ask(number: int) -> None:
        said[number] = shells[number].run(f"echo {number}")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(shells))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {number: str(number) for number in range(len(shells))}
