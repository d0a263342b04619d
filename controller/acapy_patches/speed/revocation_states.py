"""A credential's revocation state is updated from the last one, not calculated anew for each proof."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from controller.acapy_patches.patch import Patch

MOST_KEPT = 2000
"""Credentials whose state is kept, those that were used last: more than an agent's holders have. A state takes 1 to
2 KB, and its status list a bit for each credential of the registry."""


def update_states() -> None:
    """Have ACA-Py's AnonCreds holder keep revocation states."""
    from acapy_agent.anoncreds.holder import AnonCredsHolder, AnonCredsHolderError
    from anoncreds import AnoncredsError

    states = RevocationStates()

    async def create_revocation_state(
        self: Any, cred_rev_id: str, rev_reg_def: dict[str, Any], rev_list: dict[str, Any], tails_file_path: str
    ) -> str:
        try:
            state = await asyncio.get_running_loop().run_in_executor(
                None, states.state, rev_reg_def, rev_list, int(cred_rev_id), tails_file_path
            )
        except AnoncredsError as error:
            raise AnonCredsHolderError("Error creating revocation state") from error
        as_json: str = state.to_json()
        return as_json

    AnonCredsHolder.create_revocation_state = create_revocation_state


class RevocationStates:
    """The last state of each credential, by its place in its registry, with the status list for which it holds.

    Both depend on what the issuer publishes alone, so that states may be forgotten, and are, when there are too many.
    Safe to use in several threads.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], tuple[Any, Any]] = OrderedDict()

    def state(
        self, rev_reg_def: Mapping[str, Any], rev_list: Mapping[str, Any], index: int, tails_file_path: str
    ) -> Any:
        """The CredentialRevocationState of the credential at an index of a registry, for a status list, both in JSON
        as the AnonCreds specification has them. Raises AnoncredsError."""
        from anoncreds import (
            AnoncredsError,
            CredentialRevocationState,
            RevocationRegistryDefinition,
            RevocationStatusList,
        )

        place = (str(rev_list["revRegDefId"]), index)
        registry, statuses = RevocationRegistryDefinition.load(rev_reg_def), RevocationStatusList.load(rev_list)
        create = CredentialRevocationState.create
        last = self._kept.pop(place, None)
        if rev_list["revocationList"][index]:  # revoked: there is no state from which one could go on
            return create(registry, statuses, index, tails_file_path)
        try:
            state = create(registry, statuses, index, tails_file_path, *last or ())
        except AnoncredsError:
            if not last:
                raise
            state = create(registry, statuses, index, tails_file_path)
        self._kept[place] = (state, statuses)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return state


REVOCATION_STATES = Patch(
    name="revocation_states",
    reason=(
        "For each proof ACA-Py calculates a credential's revocation state anew, from all credentials of its "
        "registry: 5 ms in one of 1,000, 40 ms in one of 8,000. An update of the last proof's takes 0.02 ms."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0", "anoncreds": "0.2.3"},
    originals={
        "acapy_agent.anoncreds.holder:AnonCredsHolder.create_revocation_state": "00028fb86d4f278f",
        "anoncreds.types:CredentialRevocationState.create": "07beced1fa6ed5a7",
    },
    apply=update_states,
)
