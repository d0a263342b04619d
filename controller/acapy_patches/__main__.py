"""``python -m controller.acapy_patches`` lists the patches, and which source they were written for has changed."""

from __future__ import annotations

import sys

from controller.acapy_patches.connectionless import CONNECTIONLESS
from controller.acapy_patches.http_requests import HTTP_REQUESTS
from controller.acapy_patches.outbound_messages import OUTBOUND_MESSAGES
from controller.acapy_patches.patch import SourceNotFound, fingerprint, installed_version
from controller.acapy_patches.registry import PATCHES


def main() -> int:
    """Print the list; the exit code is 1 when a patch does not fit what is installed."""
    changed = False
    for patch in (*PATCHES.values(), HTTP_REQUESTS, OUTBOUND_MESSAGES, CONNECTIONLESS):
        versions = (
            f"{name} {version} ({installed_version(name)} installed)" for name, version in patch.written_for.items()
        )
        print(f"{patch.name}: for {', '.join(versions)}; upstream: {patch.upstream}")
        for original, expected in patch.originals.items():
            try:
                found = fingerprint(original)
            except SourceNotFound:
                found = "not found"
            changed |= found != expected
            print(f"  {original}  {expected}" + ("" if found == expected else f"  CHANGED, now {found}"))
    return int(changed)


if __name__ == "__main__":
    sys.exit(main())
