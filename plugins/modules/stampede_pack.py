#!/usr/bin/python
"""Pack files of a folder on a host into one tar file, where the host has the most room: a disk may be full.

Runs on the host, on its plain Python. ``compress`` and ``keep`` are patterns within ``folder``; what systemd's
journal has of ``unit`` is added as logs/journald.log. The tar file is for the user with the number ``reader`` alone
and lies in a folder that begins as one of ``spools`` does. Returns it as ``tar``, its ``size``, the SHA-256 of each
packed file as ``sums``, and as ``problems`` a sentence about each file that could not be read to its end.
"""

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
    folder = Path(args["folder"])
    if not folder.is_dir():
        module.fail_json(msg=f"{folder} is no folder: there is nothing to collect")
    clear(args["spools"])  # what a collection left that was killed
    place = roomiest([Path(prefix) for prefix in args["spools"]])
    if not place:
        module.fail_json(msg=f"{folder} cannot be packed: none of {', '.join(args['spools'])} can be written")
    try:
        spool = Path(tempfile.mkdtemp(dir=place.parent, prefix=place.name))
        try:
            sums, problems = pack(folder, args["compress"], args["keep"], args["unit"], spool / TAR)
            hand_over(spool, args["reader"])
        except BaseException:
            shutil.rmtree(spool, ignore_errors=True)
            raise
    except OSError as error:
        free = shutil.disk_usage(place.parent).free / 1e6
        module.fail_json(
            msg=f"{folder} cannot be packed: {error.strerror} in {place.parent}, which has the most room here, "
            f"{free:.0f} MB; free some, then collect again"
        )
    size = (spool / TAR).stat().st_size
    module.exit_json(changed=True, tar=str(spool / TAR), size=size, sums=sums, problems=problems)


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
            with gzip_file(draft) as sink:
                problems += copy(file, sink)
            add(f"{file.relative_to(folder)}.gz", file)
        if unit:
            with gzip_file(draft) as sink:
                problems += copy_journald(unit, sink)
            add(f"{JOURNALD}.gz", draft)
    return sums, problems


def files(folder: Path, patterns: list[str]) -> Iterator[Path]:
    """The plain files within the folder: no link that its owner laid leads out of it."""
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
