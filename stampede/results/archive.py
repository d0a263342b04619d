"""The tar file in which a load host sends its results.

The host may be anybody's by now, so nothing is taken for granted: the file must hold the regular files that the host
has announced, each once and undamaged, and nothing else. Headers are read one by one, not by ``tarfile.extractall``:
its filter ``data`` lets links escape before Python 3.13.4, and it reads headers of any size into memory.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stampede import wording

SUMS = "SHA256SUMS"
MOST_FILES = 10_000
MOST_BYTES = 64 << 30
"""Of an archive. The journal of a million steps has about 30 MB."""
LARGEST_RATIO, RATIO_MATTERS_FROM = 200, 1 << 28
"""How many times its size a compressed file may unpack to, once that is more than so many bytes. A journal unpacks to
about 10 times its size, zeros to 1000 times."""
DEFLATES_LIMIT = 1040
"""Nothing that gzip packs unpacks to more times its size (RFC 1951)."""
DEEPEST, LONGEST_NAME = 4, 100
LONGEST_PROBLEM = 500
BLOCK = 512
"""Bytes of a header in a tar file; contents are padded to a multiple of it."""
CHUNK = 1 << 20
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)


class Damaged(Exception):
    """An archive is not what it must be; the message says in what."""


@dataclass(frozen=True)
class Packed:
    """A tar file on a host, made by ``plugins/modules/stampede_pack.py``."""

    tar: str
    size: int
    """In bytes."""
    sums: Mapping[str, str]
    """The SHA-256 of each file in it, by its name."""
    problems: tuple[str, ...]
    """A sentence about each file that could not be read to its end."""

    @classmethod
    def announced(cls, values: Mapping[str, Any], spools: list[str]) -> Packed:
        """What a host says that it has packed, below one of ``spools``. Raises Damaged."""
        tar, size, sums, problems = (values.get(name) for name in ("tar", "size", "sums", "problems"))
        if not (isinstance(tar, str) and any(_is_below(tar, spool) for spool in spools)):
            raise Damaged(f"The host offers {_shown(tar)}; it must be a file in a folder {' or '.join(spools)}…")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MOST_BYTES:
            raise Damaged(f"The host offers {_shown(size)} bytes; it must be a whole number from 0 to {MOST_BYTES}")
        if not isinstance(sums, Mapping) or len(sums) > MOST_FILES:
            raise Damaged(f"The host offers {_shown(sums)}; it must be up to {MOST_FILES} files with their SHA-256")
        for name, digest in sums.items():
            if why := wrong_name(name):
                raise Damaged(f"The host offers the file {_shown(name)}; {why}")
            if not (isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest)):
                raise Damaged(f"The SHA-256 of {name} is {_shown(digest)}; it must be 64 hexadecimal digits")
        if not isinstance(problems, list | tuple) or len(problems) > MOST_FILES:
            raise Damaged(f"The host names the problems {_shown(problems)}; it must be a list of sentences")
        return cls(
            str(tar),
            int(size),
            {str(name): str(digest) for name, digest in sums.items()},
            tuple(wording.printable(str(problem)[:LONGEST_PROBLEM]) for problem in problems),
        )


def wrong_name(name: object) -> str:
    """What the name of a file within a host's results must be; empty when it is."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or "\\" in name:
        return f"it must be a printable name of up to {LONGEST_NAME} characters, without a backslash"
    parts = name.split("/")
    if len(parts) > DEEPEST or any(part in ("", ".", "..") for part in parts):
        return f"it must be a path within the folder, of up to {DEEPEST} parts"
    return "that is the name of the list itself" if parts[0].lower() == SUMS.lower() else ""


def unpack(tar: Path, dest: Path, packed: Packed) -> None:
    """Unpack into the new folder ``dest``, compare each file's SHA-256, and write all to disk (fsync).

    Raises Damaged, and OSError for ``dest``.
    """
    dest.mkdir()
    missing = dict(packed.sums)
    with tar.open("rb") as archive:
        if (found := os.fstat(archive.fileno()).st_size) != packed.size:
            raise Damaged(
                f"What arrived from the host is damaged: it has {found} bytes, and the host said {packed.size}"
            )
        for member in members(archive, packed.size):
            if member.name not in missing:
                fault = "twice" if member.name in packed.sums else "without having announced it"
                raise Damaged(f"The host sends {_shown(member.name)} {fault}")
            _write(archive, member, dest, missing.pop(member.name))
    if missing:
        raise Damaged(f"{min(missing)} did not arrive from the host")
    (dest / SUMS).write_text("".join(f"{value}  {name}\n" for name, value in sorted(packed.sums.items())))


def members(archive: BinaryIO, size: int) -> Iterator[tarfile.TarInfo]:
    """The header of each file in an archive of ``size`` bytes, with the archive at the file's content.

    Raises Damaged for whatever is no regular file.
    """
    while len(block := archive.read(BLOCK)) == BLOCK and block != bytes(BLOCK):
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise Damaged(f"What arrived from the host is damaged: {wording.printable(str(error))}") from error
        if member.type not in (*PLAIN, tarfile.XHDTYPE):
            raise Damaged(f"The host sends {_shown(member.name)}, which is no regular file")
        start = archive.tell()
        if not 0 <= member.size <= size - start:
            raise Damaged(f"The host sends {_shown(member.name)} with {member.size} bytes, more than there are")
        if member.type != tarfile.XHDTYPE:  # what pax has to add to the next header; it is not needed
            yield member
        archive.seek(start - (-member.size // BLOCK) * BLOCK)


def _write(archive: BinaryIO, member: tarfile.TarInfo, dest: Path, wanted: str) -> None:
    """Write a file whose place must be free. Raises Damaged, OSError."""
    path, digest, left = dest / member.name, hashlib.sha256(), member.size
    expansion = Expansion(member.name, member.size)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except (FileExistsError, NotADirectoryError):
        raise Damaged(f"The host sends {_shown(member.name)} to the place of another of its files") from None
    with os.fdopen(target, "wb") as content:
        while left and (chunk := archive.read(min(left, CHUNK))):
            left -= len(chunk)
            digest.update(chunk)
            expansion.add(chunk)
            content.write(chunk)
        content.flush()
        os.fsync(content.fileno())
    if digest.hexdigest() != wanted:
        raise Damaged(
            f"{member.name} arrived damaged: its SHA-256 is {digest.hexdigest()}, on its host it was {wanted}"
        )


class Expansion:
    """How far a file unpacks, if it is one of gzip's. What is unpacked is not kept."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._limit = max(RATIO_MATTERS_FROM, LARGEST_RATIO * size)
        self._count = 0
        matters = name.endswith(".gz") and size * DEFLATES_LIMIT > RATIO_MATTERS_FROM
        self._unpacking: Any = zlib.decompressobj(wbits=31) if matters else None

    def add(self, chunk: bytes) -> None:
        """The next part of the file. Raises Damaged when it unpacks too far; other faults are for its reader."""
        while chunk and self._unpacking:
            if self._unpacking.eof:
                raise Damaged(f"The host sends {self._name}, which is several files of gzip in one")
            try:
                self._count += len(self._unpacking.decompress(chunk, CHUNK))
            except zlib.error:
                self._unpacking = None
                return
            if self._count > self._limit:
                raise Damaged(
                    f"{self._name} unpacks to more than {self._limit >> 20} MiB, {LARGEST_RATIO} times its size; "
                    "shorten the file on its host, then collect again"
                )
            chunk = self._unpacking.unused_data or self._unpacking.unconsumed_tail


def _is_below(path: str, spool: str) -> bool:
    """Whether a path is a file in a folder whose path begins with ``spool``."""
    rest = path.removeprefix(spool)
    return path.startswith(spool) and bool(re.fullmatch(r"[A-Za-z0-9_]{1,64}/[A-Za-z0-9_]{1,32}\.tar", rest))


def _shown(value: object) -> str:
    """A host's word as it can be shown: on one line, and not at length."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
