"""Tells the top-level keys of a task apart: the API's own, custom fields, and unknown ones."""

from __future__ import annotations

from collections.abc import Mapping

from etl.transform.canonical_json import shown
from etl.transform.values import cut

KNOWN = frozenset(
    [
        "_id", "caseId", "caseRefId", "refId", "taskTmp", "name", "lname", "tags", "source", "conversationType",
        "accountId", "iId", "orgId", "convIds", "sessIds", "userInfo", "status", "priority", "fields",
        "participants", "assigneeType", "currAssignee", "queues", "channel", "createdBy", "updatedBy",
        "isCustTsk", "isActive", "isBreached", "attachments", "feedback", "activityIds", "commentIds",
        "resolutionCmts", "ETA", "dueDate", "timestampValue", "createdAt", "updatedAt",
    ]
)  # fmt: skip
"""All keys that the API itself is known to give a task."""

_NEVER_FIELDS = frozenset(["_id", "fields"])
_EXAMPLE = 200


def split_keys(record: dict[str, object]) -> tuple[dict[str, Mapping[str, object]], tuple[tuple[str, str], ...]]:
    """Return the custom fields by their keys, and the unknown keys with an example, both in order of the keys."""
    fields: dict[str, Mapping[str, object]] = {}
    unknown: dict[str, str] = {}
    for key in sorted(key for key, value in record.items() if key not in KNOWN or _takes_its_place(key, value)):
        value = record[key]
        if isinstance(value, dict) and _is_field(value):
            fields[key] = value
        else:
            unknown[cut(key)] = shown(value, _EXAMPLE)
    return fields, tuple(unknown.items())


def _takes_its_place(key: str, value: object) -> bool:
    """Tell whether a custom field has the place of the API's own key."""
    return isinstance(value, dict) and "selectedValue" in value and key not in _NEVER_FIELDS


def _is_field(value: Mapping[str, object]) -> bool:
    return "selectedValue" in value or ("displayName" in value and ("id" in value or "_id" in value))
