"""Changes to a profile that nobody else sees until they are committed."""

from __future__ import annotations

from aries_askar import AskarError, AskarErrorCode

from controller.wallet_memory.profile import Profile, position
from controller.wallet_memory.queries import EVERYTHING, Query
from controller.wallet_memory.records import Kind, Record, RecordId


class Transaction:
    """A profile as it is with changes that are not committed yet."""

    __slots__ = ("_profile", "changes")

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self.changes: dict[RecordId, Record | None] = {}

    def get(self, record_id: RecordId) -> Record | None:
        """The record with this id, expired or not."""
        if record_id in self.changes:
            return self.changes[record_id]
        return self._profile.get(record_id)

    def select(self, kind: Kind, category: str | None, query: Query) -> list[Record]:
        """The records that a query selects, expired ones too, in the order of their positions."""
        test, changes = query.test, self.changes
        found = self._profile.candidates(kind, category, query)
        if changes:
            changed = (each for each in changes.values() if each and each.kind is kind)
            found = [each for each in found if each.id not in changes]
            found += [each for each in changed if category is None or each.category == category]
        return sorted(found if test is None else [each for each in found if test(each.tags)], key=position)

    def insert(self, record: Record) -> None:
        """Add a record. Raises AskarError DUPLICATE, also for one that has expired, as Askar does."""
        if self.get(record.id) is not None:
            raise AskarError(AskarErrorCode.DUPLICATE, "Duplicate entry")
        self.changes[record.id] = record._replace(position=self._profile.next_position())

    def replace(self, record: Record) -> None:
        """Change value, tags and expiry of a record, which keeps its position. Raises AskarError NOT_FOUND."""
        former = self.get(record.id)
        if former is None:
            raise AskarError(AskarErrorCode.NOT_FOUND, "Error updating existing entry")
        self.changes[record.id] = record._replace(position=former.position)

    def remove(self, record_id: RecordId) -> None:
        """Remove a record. Raises AskarError NOT_FOUND."""
        if self.get(record_id) is None:
            raise AskarError(AskarErrorCode.NOT_FOUND, "Entry not found")
        self.changes[record_id] = None

    def remove_all(self, kind: Kind, category: str | None, query: Query = EVERYTHING) -> int:
        """Remove the records that a query selects, expired ones too; returns how many."""
        selected = self.select(kind, category, query)
        self.changes.update((record.id, None) for record in selected)
        return len(selected)
