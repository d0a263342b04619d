"""Leaves out ``nest_asyncio``, which makes every asyncio task pure Python and does not work with uvloop."""

from __future__ import annotations

from controller.acapy_patches.patch import Patch


def leave_out_nest_asyncio() -> None:
    """Make ``nest_asyncio.apply`` do nothing, before ACA-Py imports it."""
    import nest_asyncio

    nest_asyncio.apply = lambda loop=None: None


NESTED_LOOPS = Patch(
    name="nested_loops",
    reason=(
        "ACA-Py's JSON-LD document loader calls nest_asyncio.apply() when it is imported, which replaces asyncio's "
        "tasks and futures by their pure Python versions. AnonCreds needs no JSON-LD."
    ),
    upstream="https://github.com/openwallet-foundation/acapy/issues/2941 (open)",
    written_for={"acapy-agent": "1.7.0", "nest-asyncio": "1.6.0"},
    originals={
        "acapy_agent.vc.ld_proofs.document_loader": "1f858f02bf9fa1f6",
        "nest_asyncio:apply": "2e586e62adc8db7e",
    },
    apply=leave_out_nest_asyncio,
)
