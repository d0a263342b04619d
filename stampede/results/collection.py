"""Collecting the files of a load host into the results: in one transfer, each checked against its SHA-256.

A host's results are replaced when all of its files have arrived undamaged, and else stay as they were.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PLACES = ("/var/tmp", "/tmp", "/dev/shm")  # noqa: S108 (folders of unforeseeable names are made in them)
"""Where a host may pass files to the user of the connection. One of them has room though its disk is full."""
SUMS = "SHA256SUMS"


class NotCollected(Exception):
    """Files could not be collected; the message says which and why."""


class TransferFailed(Exception):
    """A file was not fetched from its host; the message is that of the transfer program."""


class HostUnreachable(Exception):
    """The connection to the host is lost."""


@dataclass(frozen=True)
class Packed:
    """A tar file on the host, made by ``plugins/modules/stampede_pack.py``."""

    tar: str
    size: int
    """In bytes."""
    sums: Mapping[str, str]
    """The SHA-256 of each file in it, by its name."""
    problems: tuple[str, ...]
    """A sentence about each file that could not be read to its end."""


class Host(Protocol):
    """What a collection needs of a load host. Each method may raise HostUnreachable."""

    def pack(self, spools: list[str]) -> Packed:
        """Pack the files into a new folder whose path begins with one of ``spools``. Raises NotCollected."""

    def fetch(self, source: str, target: Path) -> None:
        """Copy a file to this machine. Raises TransferFailed, or OSError."""

    def remove(self, prefixes: list[str], folders: list[str]) -> str:
        """Remove ``folders``, and every path that begins with one of ``prefixes``.

        Returns an error message, or an empty text.
        """


@dataclass(frozen=True)
class Collected:
    """What came of a collection."""

    changed: bool
    """Whether the results are new, or the host's folder was removed."""
    files: list[str]
    """Names of the collected files, sorted."""
    warnings: list[str]


def collect(host: Host, folder: Path, dest: Path, *, remove: bool = False) -> Collected:
    """Collect the files of ``folder`` on the host into ``dest``, a folder of this machine.

    With ``remove`` the host's folder is removed once all of it was collected. Raises NotCollected when that was not
    possible, and HostUnreachable when the connection is lost before all files have arrived.
    """
    spools = [f"{place}/stampede-collect-{folder.name}@" for place in PLACES]
    try:
        packed = host.pack(spools)
        changed = _fetch(host, packed, dest)
    except HostUnreachable:
        raise  # another attempt to reach the host would only cost another timeout
    except BaseException:
        _remove(host, spools)
        raise
    warnings = list(packed.problems)
    folders = []
    if remove and warnings:
        warnings.append(f"{folder} stays on the host, because not all of it could be read")
    elif remove:
        folders.append(str(folder))
        changed = True
    return Collected(changed, sorted(packed.sums), warnings + _remove(host, spools, folders))


def _remove(host: Host, prefixes: list[str], folders: list[str] | None = None) -> list[str]:
    """Remove paths on the host; returns warnings."""
    folders = folders or []
    try:
        error = host.remove(prefixes, folders)
    except HostUnreachable as lost:
        return [f"{', '.join([*(f'{prefix}*' for prefix in prefixes), *folders])} may still be on the host: {lost}"]
    return [f"Not everything could be removed from the host: {error}"] if error else []


def _fetch(host: Host, packed: Packed, dest: Path) -> bool:
    """Fetch, check and put in place. Returns whether anything is new. Raises NotCollected, HostUnreachable."""
    with _work_folder(dest) as work:
        tar = work / "collected.tar"
        needed = 2 * packed.size  # the tar file and what is in it
        if (free := shutil.disk_usage(work).free) < needed:
            raise NotCollected(_no_room(dest, f"{needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free"))
        host.fetch(packed.tar, tar)
        _unpack(tar, work / "new", packed.sums)
        return _replace(dest, work)


@contextmanager
def _work_folder(dest: Path) -> Iterator[Path]:
    """A folder beside ``dest``, removed in the end. Raises NotCollected when it cannot be written."""
    work = dest.with_name(f".{dest.name}.collecting")
    shutil.rmtree(work, ignore_errors=True)  # left by a collection that was killed
    try:
        work.mkdir(parents=True)
        yield work
    except OSError as error:
        raise NotCollected(
            _no_room(dest) if _is_full(error) else f"{dest} cannot be written: {error.strerror or error}"
        ) from error
    except TransferFailed as error:
        raise NotCollected(_no_room(dest) if _is_full(error) else str(error)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _is_full(error: Exception) -> bool:
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)


def _no_room(dest: Path, figures: str = "") -> str:
    return (
        f"There is no space left on this machine for {dest}{figures and f' ({figures})'}; "
        "the files stay on their host. Free some, then play playbooks/collect.yml"
    )


def _unpack(tar: Path, dest: Path, sums: Mapping[str, str]) -> None:
    """Unpack, compare each file's SHA-256, and write the files to disk (fsync). Raises NotCollected, or OSError."""
    try:
        with tarfile.open(tar) as archive:
            archive.extractall(dest, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise NotCollected(f"What arrived from the host is damaged: {error}") from error
    for name, wanted in sums.items():
        try:
            with (dest / name).open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
                os.fsync(content.fileno())
        except FileNotFoundError:
            raise NotCollected(f"{name} did not arrive from the host") from None
        if found != wanted:
            raise NotCollected(f"{name} arrived damaged: its SHA-256 is {found}, on its host it was {wanted}")
    dest.mkdir(exist_ok=True)
    (dest / SUMS).write_text("".join(f"{value}  {name}\n" for name, value in sorted(sums.items())))


def _replace(dest: Path, work: Path) -> bool:
    """Replace ``dest`` by ``work``/new, as a whole. Returns False when the same was there already."""
    new, former = work / "new", work / "former"
    same = (dest / SUMS).exists() and (dest / SUMS).read_bytes() == (new / SUMS).read_bytes()
    if dest.exists():
        dest.rename(former)
    try:
        new.rename(dest)
    except BaseException:
        if former.exists():
            former.rename(dest)
        raise
    return not same
