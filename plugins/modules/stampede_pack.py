#!/usr/bin/python
"""Pack files of a host for their collection. Runs on the host, on its plain Python.

The files belong to a user without rights, and this module may run as root. So it works by descriptors: it follows no
link within the folder, and takes nothing that is not of the folder's owner.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stampede_pack
short_description: pack files of a folder into one tar file
description:
  - Made for M(stampede_collect). The tar file is made where the host has the most room, as a disk may be full.
options:
  folder:
    description: Folder whose files are packed. Links are left out, and what does not belong to the folder's owner.
    type: path
    required: true
  compress:
    description: Patterns of files within O(folder) that are compressed with gzip.
    type: list
    elements: str
    default: []
  keep:
    description: Patterns of files within O(folder) that are packed as they are.
    type: list
    elements: str
    default: []
  unit:
    description: Unit of systemd whose journal is packed too, as C(logs/journald.log.gz); none when empty.
    type: str
    default: ""
  spools:
    description: Beginnings of the path of a new folder for the tar file. What is there by such a name is removed.
    type: list
    elements: path
    required: true
  reader:
    description: Number of the user who alone may read the tar file; V(-1) leaves its owner.
    type: int
    default: -1
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Pack journal and logs
  stampede_pack:
    folder: /var/lib/stampede/runs/r1
    compress: [journal.lp, "logs/*"]
    spools: ["/var/tmp/stampede-collect-r1@", "/dev/shm/stampede-collect-r1@"]
"""

RETURN = r"""
tar:
  description: The tar file.
  type: path
  returned: success
size:
  description: Its size in bytes.
  type: int
  returned: success
sums:
  description: The SHA-256 of each packed file, by its name.
  type: dict
  returned: success
problems:
  description: A sentence about each file that could not be read to its end.
  type: list
  elements: str
  returned: success
"""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
NO_FILES = (errno.ELOOP, errno.ENOENT, errno.ENXIO)
"""Of links, of what is gone by now, and of sockets."""
LONGEST_NAME = 96
"""Bytes; a header of the tar file holds 100."""
LARGEST_FILE = 16 << 30
"""Bytes; packing more would take longer than anybody waits. The journal of a million steps has 300 MB."""
LEVEL = 1
"""Of zlib: on a journal 6 takes two and a half times as long and saves a sixth of the bytes."""
BLOCK = 1 << 20
TAR = "collected.tar"
JOURNALD = "logs/journald.log"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "compress": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "list", "elements": "str", "default": []},
            "unit": {"type": "str", "default": ""},
            "spools": {"type": "list", "elements": "path", "required": True},
            "reader": {"type": "int", "default": -1},
        }
    )
    args = module.params
    try:
        tar, sums, problems = pack_for(
            args["reader"], Path(args["folder"]), args["compress"], args["keep"], args["unit"], args["spools"]
        )
    except NotPacked as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=True, tar=str(tar), size=tar.stat().st_size, sums=sums, problems=problems)


class NotPacked(Exception):
    """The files cannot be packed; the message says why."""


def pack_for(
    reader: int, folder: Path, compress: list[str], keep: list[str], unit: str, spools: list[str]
) -> tuple[Path, dict[str, str], list[str]]:
    """A tar file that ``reader`` may read, the SHA-256 of the files in it, and what could not be read.

    Raises NotPacked, and then leaves nothing.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise NotPacked(f"{folder} is no folder: there is nothing to collect")
    clear(spools)  # left by a collection that was killed
    place = roomiest([Path(prefix) for prefix in spools])
    if place is None:
        raise NotPacked(f"{folder} cannot be packed: none of {', '.join(spools)} can be written")
    try:
        spool = Path(tempfile.mkdtemp(dir=place.parent, prefix=place.name))
        try:
            sums, problems = pack(folder, compress, keep, unit, spool / TAR)
            hand_over(spool, reader)
        except BaseException:
            shutil.rmtree(spool, ignore_errors=True)
            raise
    except OSError as error:
        free = shutil.disk_usage(place.parent).free / 1e6
        raise NotPacked(
            f"{folder} cannot be packed: {error.strerror} in {place.parent}, which has the most room here, "
            f"{free:.0f} MB; free some, then collect again"
        ) from error
    return spool / TAR, sums, problems


def clear(spools: list[str]) -> None:
    for prefix in map(Path, spools):
        for left in prefix.parent.glob(f"{prefix.name}*"):
            shutil.rmtree(left, ignore_errors=True)


def roomiest(spools: list[Path]) -> Path | None:
    usable = [spool for spool in spools if os.access(spool.parent, os.W_OK)]
    return max(usable, key=lambda spool: shutil.disk_usage(spool.parent).free, default=None)


def hand_over(spool: Path, reader: int) -> None:
    for path in (*spool.iterdir(), spool):
        os.chown(path, reader, -1, follow_symlinks=False)


def pack(
    folder: Path, compress: list[str], keep: list[str], unit: str, target: Path
) -> tuple[dict[str, str], list[str]]:
    """The SHA-256 of the packed files by name, and what could not be read. OSError when ``target`` has no room."""
    sums: dict[str, str] = {}
    problems: list[str] = []
    draft = target.with_name("draft")
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:

        def add(name: str, modified: float) -> None:
            entry = tarfile.TarInfo(name)
            entry.mtime = int(modified)
            with draft.open("rb") as content:
                entry.size = os.fstat(content.fileno()).st_size
                sums[name] = hashlib.file_digest(content, "sha256").hexdigest()
                content.seek(0)
                tar.addfile(entry, content)
            draft.unlink()

        for name, source in files(folder, keep, problems):
            with draft.open("wb") as sink:
                problems += copy(folder / name, source, sink)
            add(name, os.fstat(source.fileno()).st_mtime)
        for name, source in files(folder, compress, problems):
            with gzip_file(draft) as packed:
                problems += copy(folder / name, source, packed)
            add(f"{name}.gz", os.fstat(source.fileno()).st_mtime)
        if unit:
            with gzip_file(draft) as packed:
                problems += copy_journald(unit, packed)
            add(f"{JOURNALD}.gz", draft.stat().st_mtime)
    return sums, problems


def files(folder: Path, patterns: list[str], problems: list[str]) -> Iterator[tuple[str, BinaryIO]]:
    """Name within the folder, and content, of the regular files that match; ``problems`` gets what is left out."""
    wanted = [re.compile(regular_expression(pattern)) for pattern in patterns]
    top = os.open(folder, FOLDER)
    try:
        owner = os.fstat(top).st_uid
        for where, subfolders, names, place in os.fwalk(".", dir_fd=top):
            subfolders.sort()
            for base in sorted(names):
                name = str(PurePosixPath(where, base))
                if not any(expression.fullmatch(name) for expression in wanted):
                    continue
                try:
                    file = os.open(base, FILE, dir_fd=place)
                except OSError as error:
                    if error.errno not in NO_FILES:
                        problems.append(f"{folder / name} cannot be read: {error.strerror}")
                    continue
                with os.fdopen(file, "rb", buffering=0) as source:
                    if why_not := left_out(os.fstat(file), owner, name):
                        problems.append(f"{folder / name} {why_not}")
                    elif stat.S_ISREG(os.fstat(file).st_mode):
                        yield name, source
    finally:
        os.close(top)


def regular_expression(pattern: str) -> str:
    """Of the names that a pattern matches: ``*`` is part of a name, ``**/`` any folders."""
    parts = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return "".join(parts.get(part) or re.escape(part) for part in re.split(r"(\*\*/|\*)", pattern))


def left_out(found: os.stat_result, owner: int, name: str) -> str:
    """Why a regular file is left out; empty when it is not."""
    if not stat.S_ISREG(found.st_mode):
        return ""
    if found.st_size > LARGEST_FILE:
        return f"is left out: it has {found.st_size} bytes, more than {LARGEST_FILE}"
    if found.st_uid != owner:
        return "is left out: it does not belong to the folder's owner"
    if len(os.fsencode(name)) > LONGEST_NAME or not name.isprintable():
        return f"is left out: a name must be printable and have up to {LONGEST_NAME} bytes"
    return ""


@contextmanager
def gzip_file(path: Path) -> Iterator[gzip.GzipFile]:
    """Without name and time: the same content makes the same file."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed:
        yield packed


def copy(file: Path, source: BinaryIO, sink: BinaryIO | gzip.GzipFile) -> list[str]:
    """Copy as far as the file can be read; a damaged disk may hold a part of a journal, and that counts."""
    while True:
        try:
            block = source.read(BLOCK)
        except OSError as error:
            return [f"{file} can be read only as far as byte {source.tell()}: {error.strerror}"]
        if not block:
            return []
        sink.write(block)


def copy_journald(unit: str, sink: gzip.GzipFile) -> list[str]:
    words = ["journalctl", "--quiet", "--no-pager", "--output=short-iso-precise", "--unit", unit]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        shutil.copyfileobj(process.stdout, sink, BLOCK)
    return [f"journalctl failed, as {JOURNALD} tells"] if process.returncode else []


if __name__ == "__main__":
    main()
