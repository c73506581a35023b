"""The tombstone of a forgotten task: enough to recognise and to count it."""

from __future__ import annotations

# Id, dates and activity: what a comparison with the server needs.
KEPT = ("_id", "iId", "createdAt", "updatedAt", "timestampValue", "isActive")


def tombstone(record: dict[str, object]) -> dict[str, object]:
    """Return the record of a forgotten task without its content."""
    return {key: record[key] for key in KEPT if key in record}
