"""Removes a tails file whose download failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller.acapy_patches.patch import Patch


def remove_incomplete_files() -> None:
    """Wrap the download of a tails file."""
    from acapy_agent.anoncreds.revocation.revocation import AnonCredsRevocation

    retrieve = AnonCredsRevocation.retrieve_tails

    async def retrieve_or_remove(self: Any, rev_reg_def: Any) -> Any:
        try:
            return await retrieve(self, rev_reg_def)
        except BaseException:
            Path(self.get_local_tails_path(rev_reg_def)).unlink(missing_ok=True)
            raise

    AnonCredsRevocation.retrieve_tails = retrieve_or_remove


TAILS_FILES = Patch(
    name="tails_files",
    reason=(
        "ACA-Py keeps the empty or partial file of a download that failed and uses it from then on, so that all "
        "further proofs with that revocation registry fail."
    ),
    upstream=(
        "https://github.com/openwallet-foundation/acapy/issues/1196 (closed: it was corrected for a wrong hash, not "
        "for a connection that breaks)"
    ),
    written_for={"acapy-agent": "1.7.0"},
    originals={
        "acapy_agent.anoncreds.revocation.revocation:AnonCredsRevocation.retrieve_tails": "2c18e022a96259c1",
        "acapy_agent.anoncreds.revocation.revocation:AnonCredsRevocation.get_local_tails_path": "3974bf7cbd80d34d",
    },
    apply=remove_incomplete_files,
)
