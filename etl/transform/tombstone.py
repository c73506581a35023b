"""What is left of a task whose content was erased on request: enough to know it by, and to know that it is there."""

from __future__ import annotations

# Who it is, when it was made and changed, and whether it is active: what comparing with the server needs.
KEPT = ("_id", "iId", "createdAt", "updatedAt", "timestampValue", "isActive")


def tombstone(record: dict[str, object]) -> dict[str, object]:
    """The record of a forgotten task without its content."""
    return {key: record[key] for key in KEPT if key in record}
