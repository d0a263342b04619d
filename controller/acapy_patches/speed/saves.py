"""Saves a record without serialising it for a line of the log that is not written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.acapy_patches.patch import Patch

BASE_RECORD = "acapy_agent.messaging.models.base_record:BaseRecord"


def save_without_log() -> None:
    """Leave the line out where ``log_state`` would drop it; a save that is logged is ACA-Py's own.

    One thing is no longer noticed: a record that can be stored, but not serialised, is no error of a save without
    an event.
    """
    from acapy_agent.messaging.models.base_record import BaseRecord, time_now, uuid4
    from acapy_agent.storage.base import BaseStorage

    original, log_state = BaseRecord.save, BaseRecord.log_state.__func__

    def is_logged(record: Any, session: Any) -> bool:
        if type(record).log_state.__func__ is not log_state:
            return True
        flag = record.LOG_STATE_FLAG
        return bool(flag and session.settings and session.settings.get(flag))

    async def save(
        self: Any,
        session: Any,
        *,
        reason: str | None = None,
        log_params: Mapping[str, Any] | None = None,
        log_override: bool = False,
        event: bool | None = None,
    ) -> Any:
        if log_override or is_logged(self, session):
            return await original(
                self, session, reason=reason, log_params=log_params, log_override=log_override, event=event
            )
        self.updated_at = time_now()
        storage = session.inject(BaseStorage)
        is_new = not self._id or self._new_with_id
        if is_new:
            if not self._id:
                self._id = str(uuid4())
            self.created_at = self.updated_at
            await storage.add_record(self.storage_record)
            self._new_with_id = False
        else:
            record = self.storage_record
            await storage.update_record(record, record.value, record.tags)
        await self.post_save(session, is_new, self._last_state, event)
        self._last_state = self.state
        return self._id

    BaseRecord.save = save


SAVES = Patch(
    name="saves",
    reason="ACA-Py serialises a record at each save for a line of a log, also when that log is off.",
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={f"{BASE_RECORD}.save": "6dab5d3fd3ee97a9", f"{BASE_RECORD}.log_state": "da10bb2a6b270ae5"},
    apply=save_without_log,
)
