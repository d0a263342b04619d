"""Bring files of a folder on a host home: compressed, in one transfer, each checked against its SHA-256.

``folder`` on the host; ``compress`` and ``keep`` are lists of patterns within it; with ``unit`` also what systemd's
journal has of that unit. ``dest`` is a folder on the control node, which is replaced when all of it has arrived
undamaged, and else stays as it was. The host's files stay as they are; with ``remove: true`` the folder is removed
from the host once all of it is home.

Returns ``collected``, and ``files``: their names within ``dest``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from stampede.machine.processes import cleaning_up_when_interrupted

PLACES = ("/var/tmp", "/tmp", "/dev/shm")  # noqa: S108 (folders of unforeseeable names are made in them)
"""Where a host may pass files to the user of the connection. One of them has room though its disk is full."""
SUMS = "SHA256SUMS"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"folder", "compress", "keep", "unit", "dest", "remove"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            return result | {"changed": True, "collected": False}
        try:
            with cleaning_up_when_interrupted():
                return result | self._collect(self._task.args, task_vars)
        except NotCollected as problem:
            return result | {"failed": True, "collected": False, "msg": str(problem)}

    def _collect(self, args: Mapping[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        folder, dest = Path(args["folder"]), Path(args["dest"])
        spools = [f"{place}/stampede-collect-{folder.name}@" for place in PLACES]
        leftovers = [f"{shlex.quote(spool)}*" for spool in spools]
        try:
            packed = self._pack(args, spools, task_vars)
            changed = self._bring_home(packed, dest)
        except AnsibleConnectionFailure:
            raise  # another attempt to reach the host would only cost another timeout
        except BaseException:
            self._remove(leftovers)
            raise
        warnings = list(packed["problems"])
        if boolean(args.get("remove", False)):
            if warnings:
                warnings.append(f"{folder} stays on the host, because not all of it could be read")
            else:
                leftovers.append(shlex.quote(str(folder)))
                changed = True
        warnings += self._remove(leftovers)
        return {"changed": changed, "collected": True, "files": sorted(packed["sums"]), "warnings": warnings}

    def _pack(self, args: Mapping[str, Any], spools: list[str], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        # Root reads the folder, the connection's user fetches what is packed.
        reader = self._low_level_execute_command("id -u", sudoable=False)["stdout"]
        # A module unpacks itself into a temporary folder first, for which a full disk has no room.
        self._task.environment = [*(self._task.environment or []), {"TMPDIR": PLACES[-1]}]
        packed: dict[str, Any] = self._execute_module(
            module_name="stampede_pack",
            module_args={
                "folder": args["folder"],
                "compress": args.get("compress", []),
                "keep": args.get("keep", []),
                "unit": args.get("unit", ""),
                "spools": spools,
                "reader": int(reader),
            },
            task_vars=task_vars,
        )
        if packed.get("failed"):
            raise NotCollected(packed.get("module_stderr") or packed["msg"])
        return packed

    def _bring_home(self, packed: Mapping[str, Any], dest: Path) -> bool:
        """Whether anything is new. Raises NotCollected and leaves what was there when something is amiss."""
        with work_folder(dest) as work:
            tar = work / "collected.tar"
            needed = 2 * packed["size"]  # the tar file and what is in it
            if (free := shutil.disk_usage(work).free) < needed:
                raise NotCollected(no_room(dest, f"{needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free"))
            self._connection.fetch_file(packed["tar"], str(tar))
            unpack(tar, work / "new", packed["sums"])
            return replace(dest, work)

    def _remove(self, words: list[str]) -> list[str]:
        """Remove quoted paths on the host; returns what there is to say about it."""
        try:
            done = self._low_level_execute_command(f"rm -rf -- {' '.join(words)}")
        except AnsibleConnectionFailure as error:
            return [f"{' '.join(words)} may still be on the host: {error}"]
        return [f"Not all could be removed from the host: {done['stderr'].strip()}"] if done["rc"] else []


class NotCollected(Exception):
    """Files could not be brought home; the message says which and why."""


@contextmanager
def work_folder(dest: Path) -> Iterator[Path]:
    """A folder beside ``dest``, removed in the end. Raises NotCollected when it cannot be written."""
    work = dest.with_name(f".{dest.name}.collecting")
    shutil.rmtree(work, ignore_errors=True)  # what a collection left that was killed
    try:
        work.mkdir(parents=True)
        yield work
    except OSError as error:
        raise NotCollected(
            no_room(dest) if is_full(error) else f"{dest} cannot be written: {error.strerror or error}"
        ) from error
    except AnsibleConnectionFailure:
        raise
    except AnsibleError as error:  # what sftp said
        raise NotCollected(no_room(dest) if is_full(error) else str(error)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def is_full(error: Exception) -> bool:
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)


def no_room(dest: Path, figures: str = "") -> str:
    return (
        f"There is no space left on this machine for {dest}{figures and f' ({figures})'}; "
        "the files stay on their host. Free some, then play playbooks/collect.yml"
    )


def unpack(tar: Path, dest: Path, sums: Mapping[str, str]) -> None:
    """Unpack, look at each file's SHA-256 and see that the disk holds it. Raises NotCollected, or OSError."""
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


def replace(dest: Path, work: Path) -> bool:
    """Put ``work``/new in the place of ``dest``, whole. False: the same was there already."""
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
