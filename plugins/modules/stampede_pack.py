#!/usr/bin/python
"""Pack files of a folder on a host into one tar file: some compressed, all with their SHA-256.

Runs on the host, on its plain Python.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "compress": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "list", "elements": "str", "default": []},
            "tar": {"type": "path", "required": True},
        }
    )
    folder = Path(module.params["folder"])
    if not folder.is_dir():
        module.fail_json(msg=f"{folder} is no folder: there is nothing to collect")
    names = pack(folder, module.params["compress"], module.params["keep"], Path(module.params["tar"]))
    module.exit_json(changed=True, files=names)


def pack(folder: Path, compress: list[str], keep: list[str], target: Path) -> list[str]:
    """Names of the packed files, as they are within the tar file. SHA256SUMS is their checksum list."""
    sums = {}
    with tarfile.open(target, "w") as tar:
        for pattern in keep:
            for file in sorted(folder.glob(pattern)):
                sums[add(tar, file, str(file.relative_to(folder)))] = digest(file)
        for pattern in compress:
            for file in sorted(folder.glob(pattern)):
                packed = target.with_name(target.name + ".gz")
                with file.open("rb") as source, gzip.open(packed, "wb", compresslevel=6) as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                sums[add(tar, packed, f"{file.relative_to(folder)}.gz")] = digest(packed)
                packed.unlink()
        lines = "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())).encode()
        entry = tarfile.TarInfo("SHA256SUMS")
        entry.size = len(lines)
        tar.addfile(entry, io.BytesIO(lines))
    return sorted(sums)


def add(tar: tarfile.TarFile, file: Path, name: str) -> str:
    entry = tar.gettarinfo(str(file), arcname=name)
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o644
    with file.open("rb") as content:
        tar.addfile(entry, content)
    return name


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    main()
