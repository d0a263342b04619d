"""Collecting the files of a load host into the results: in one transfer, each checked against its SHA-256.

A host's results are replaced when all of its files have arrived undamaged, and else stay as they were.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stampede.results.archive import SUMS, Damaged, Packed, unpack

PLACES = ("/var/tmp", "/tmp", "/dev/shm")  # noqa: S108 (folders of unforeseeable names are made in them)
"""Where a host may pass files to the user of the connection. One of them has room though its disk is full."""


class NotCollected(Exception):
    """Files could not be collected; the message says which and why."""


class TransferFailed(Exception):
    """A file was not fetched from its host; the message is that of the transfer program."""


class HostUnreachable(Exception):
    """The connection to the host is lost."""


class Host(Protocol):
    """What a collection needs of a load host. Each method may raise HostUnreachable."""

    def pack(self, spools: list[str]) -> Packed:
        """Pack the files into a new folder whose path begins with one of ``spools``. Raises NotCollected, Damaged."""

    def fetch(self, source: str, target: Path) -> None:
        """Copy a file to this machine. Raises TransferFailed, or OSError."""

    def clear(self, prefixes: list[str], folders: list[str], *, collected: bool) -> str:
        """Remove ``folders``, and every path that begins with one of ``prefixes``.

        Where all was ``collected``, systemd need not remember a failure either. Returns an error message, or an empty
        text.
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
    except BaseException as problem:
        _clear(host, spools, [], collected=False)
        if isinstance(problem, Damaged):
            raise NotCollected(str(problem)) from problem
        raise
    warnings = list(packed.problems)
    folders = []
    if remove and warnings:
        warnings.append(f"{folder} stays on the host, because not all of it could be read")
    elif remove:
        folders.append(str(folder))
        changed = True
    return Collected(changed, sorted(packed.sums), warnings + _clear(host, spools, folders, collected=True))


def _clear(host: Host, prefixes: list[str], folders: list[str], *, collected: bool) -> list[str]:
    """Remove paths on the host; returns warnings."""
    try:
        error = host.clear(prefixes, folders, collected=collected)
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
        with _size_limit(tar, packed.size):
            host.fetch(packed.tar, tar)
        unpack(tar, work / "new", packed)
        return _replace(dest, work)


@contextmanager
def _size_limit(file: Path, size: int) -> Iterator[None]:
    """Let this process, and those that it starts, write no file of more than about ``size`` bytes.

    A host may send without end, and a program such as sftp receives it. Raises Damaged when ``file`` has more.
    """
    former, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = size + 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    try:
        yield
    except (OSError, TransferFailed) as error:
        if file.exists() and file.stat().st_size > size:
            raise Damaged(f"The host sends more than the {size} bytes that it has announced") from error
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (former, hard))


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
        "the files stay on their host. Free some, then collect them with stampede collect"
    )


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
