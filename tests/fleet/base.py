"""The base tree that all hosts share, read-only: made once by debootstrap and kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from .commands import FleetError, install_missing, run

NEEDED = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nft": "nftables",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""Commands of this machine with which the tree is made and hosts are booted from it, and their packages."""
RELEASE = "trixie"
PACKAGES = (
    "acl,ca-certificates,dbus,iproute2,libfaketime,openssh-server,procps,python3,python3-apt,python3-venv,"
    "sudo,systemd,systemd-sysv"
)
DEBS = ("chrony", "influxdb", "postgresql")
"""What the roles install: in an APT repository that each host has on its own disk, as it reaches no other."""
CLOUD_INIT_OFF = "etc/cloud/cloud-init.disabled"
"""File by which cloud-init does nothing; tests of clouds remove it from their hosts."""
ADMIN = "admin"
"""The hosts' user, who may become root."""


def cache_folder() -> Path:
    """Where the base tree lies: it outlives a checkout of the repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stampede"


def base_tree(tell: Callable[[str], None]) -> Path:
    """The path of the base tree, which is made when it is not there, as is what this machine needs to boot hosts from
    it. Raises FleetError."""
    recipe = hashlib.sha256(f"{RELEASE} {PACKAGES} {Path(__file__).read_text()}".encode()).hexdigest()[:12]
    tree = cache_folder() / f"debian-{RELEASE}-{recipe}"
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install_missing(NEEDED)
        if not tree.exists():
            for stale in cache_folder().glob(f"debian-{RELEASE}-*"):
                if not in_use(stale):
                    shutil.rmtree(stale)
            tell(f"making the base tree {tree} (about two minutes, once)")
            draft = tree.with_name(f"{tree.name}.draft")
            try:
                make(draft)
                draft.rename(tree)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return tree


def in_use(tree: Path) -> bool:
    """Whether the tree is beneath a host that is up."""
    return any(f"lowerdir={tree}," in line for line in Path("/proc/mounts").read_text().splitlines())


def make(tree: Path) -> None:
    """Debian with systemd, sshd, Python and an administrator. Raises FleetError."""
    try:
        run(
            *("debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE),
            *(str(tree), *filter(None, [os.environ.get("STAMPEDE_DEBIAN_MIRROR")])),
        )
    except FleetError as error:
        raise FleetError(
            f"{error}; see {tree}/debootstrap/debootstrap.log. The base tree comes from Debian's own mirror; "
            "STAMPEDE_DEBIAN_MIRROR names another"
        ) from None
    run("chroot", tree, "apt-get", "update", "-q")
    # debootstrap cannot: one of its dependencies is virtual.
    run("chroot", tree, "apt-get", "install", "-q", "-y", "--no-install-recommends", "cloud-init")
    make_repository(tree)
    run("chroot", tree, "useradd", "--create-home", "--shell", "/bin/bash", ADMIN)
    sudoers = tree / "etc/sudoers.d" / ADMIN
    sudoers.write_text(f"{ADMIN} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # each host gets its own
    (tree / "etc/machine-id").write_text("")
    # Only a host of a cloud has a cloud-init, which goes by what its seed says; its network is set up from outside.
    (tree / CLOUD_INIT_OFF).touch()
    settings = tree / "etc/cloud/cloud.cfg.d/90-tests.cfg"
    settings.write_text("network: {config: disabled}\ndatasource_list: [NoCloud]\n")
    # Not for a host whose network is set up from outside and which has no terminal.
    for unit in ("systemd-networkd.service", "console-getty.service", "apt-daily.timer", "apt-daily-upgrade.timer"):
        link = tree / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")


def make_repository(tree: Path) -> None:
    """Put DEBS, and what they need beyond the tree, into /srv/debs, APT's one source then. Raises FleetError."""
    debs = tree / "srv/debs"
    archives = tree / "var/cache/apt/archives"
    run("chroot", tree, "apt-get", "clean")  # of what was fetched before
    run("chroot", tree, "apt-get", "install", "-q", "-y", "--no-install-recommends", "--download-only", *DEBS)
    debs.mkdir()
    paragraphs = []
    for fetched in sorted(archives.glob("*.deb")):
        deb = Path(shutil.move(fetched, debs))
        control = run("chroot", tree, "dpkg-deb", "--field", f"/srv/debs/{deb.name}").strip()
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        paragraphs.append(f"{control}\nFilename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n")
    (debs / "Packages").write_text("\n".join(paragraphs))
    (tree / "etc/apt/sources.list").write_text("deb [trusted=yes lang=none] file:/srv/debs ./\n")
    shutil.rmtree(tree / "var/lib/apt/lists")
    run("chroot", tree, "apt-get", "update", "-q")
