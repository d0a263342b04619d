#!/usr/bin/python
"""Pack files of a host for their collection. Runs on the host, on its plain Python."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stampede_pack
short_description: pack files of a folder into one tar file
description:
  - Made for M(stampede_collect). The tar file is made where the host has the most room, as a disk may be full.
options:
  folder:
    description: Folder whose files are packed. Links that lead out of it are left out.
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
    if not folder.is_dir():
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
    for path in (spool, *spool.iterdir()):
        os.chown(path, reader, -1)


def pack(
    folder: Path, compress: list[str], keep: list[str], unit: str, target: Path
) -> tuple[dict[str, str], list[str]]:
    """The SHA-256 of the packed files by name, and what could not be read. OSError when ``target`` has no room."""
    sums: dict[str, str] = {}
    problems = []
    draft = target.with_name("draft")
    with tarfile.open(target, "w") as tar:

        def add(name: str, time_of: Path) -> None:
            entry = tarfile.TarInfo(name)
            entry.mtime = time_of.stat().st_mtime
            with draft.open("rb") as content:
                entry.size = os.fstat(content.fileno()).st_size
                sums[name] = hashlib.file_digest(content, "sha256").hexdigest()
                content.seek(0)
                tar.addfile(entry, content)
            draft.unlink()

        for file in files(folder, keep):
            with draft.open("wb") as sink:
                problems += copy(file, sink)
            add(str(file.relative_to(folder)), file)
        for file in files(folder, compress):
            with gzip_file(draft) as packed:
                problems += copy(file, packed)
            add(f"{file.relative_to(folder)}.gz", file)
        if unit:
            with gzip_file(draft) as packed:
                problems += copy_journald(unit, packed)
            add(f"{JOURNALD}.gz", draft)
    return sums, problems


def files(folder: Path, patterns: list[str]) -> Iterator[Path]:
    """The regular files within the folder that match; links that lead out of it are left out."""
    inside = folder.resolve()
    for pattern in patterns:
        for file in sorted(folder.glob(pattern)):
            if file.is_file() and file.resolve().is_relative_to(inside):
                yield file


@contextmanager
def gzip_file(path: Path) -> Iterator[gzip.GzipFile]:
    """Without name and time: the same content makes the same file."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed:
        yield packed


def copy(file: Path, sink: BinaryIO | gzip.GzipFile) -> list[str]:
    """Copy as far as the file can be read; a damaged disk may hold a part of a journal, and that counts."""
    try:
        source = file.open("rb", buffering=0)
    except OSError as error:
        return [f"{file} cannot be read: {error.strerror}"]
    with source:
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
