"""A record as the API sends it: the known shape of a task, and the record's own text beside it.

The shape documents the API: a type here is what the vendor's server sends. A record of another shape has no ``task``;
its parsed ``value`` is read instead.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, DecodeError, Meta, Raw, Struct, UnsetType, field
from msgspec.json import Decoder

from etl import exact_json

Row = dict[str, Any]
"""A row of a table: the name of a column to its value."""

Short = Annotated[str, Meta(max_length=500)]
"""Text that is remembered; a record with a longer one is read in the tolerant way."""

UNTOLD = Raw(b"null")
_MOST_CONTAINERS = 250  # fewer opening brackets cannot be nested too deeply
# Text that not every database can hold, and what only the parser of exact numbers reads as it is meant.
_ESCAPED_NUL = b"\\u0000"


class Field(Struct, gc=False):
    """An entry of ``fields``, or the value of a top-level key that is named after a custom field."""

    listed_id: str | None = field(name="_id", default=None)
    keyed_id: str | None = field(name="id", default=None)
    name: str | None = None
    displayName: str | None = None  # noqa: N815 - the API's names
    lname: str | None = None
    dataType: str | None = None  # noqa: N815
    metaData: Raw = UNTOLD  # noqa: N815
    selectedValue: Raw = UNTOLD  # noqa: N815


class Participant(Struct, gc=False):
    """An entry of ``participants``; what it leaves out differs from what it clears."""

    aId: Short | None = None  # noqa: N815
    agentId: Short | None = None  # noqa: N815
    id: Short | None = field(name="_id", default=None)
    name: Short | UnsetType | None = UNSET
    pStatus: str | None = None  # noqa: N815
    assignedAt: str | int | None = None  # noqa: N815


class Queue(Struct, gc=False):
    """An entry of ``queues``; what it leaves out differs from what it clears."""

    id: Short | None = field(name="_id", default=None)
    name: Short | UnsetType | None = UNSET
    type: Short | UnsetType | None = UNSET
    status: str | None = None
    startTime: str | int | None = None  # noqa: N815


class Task(Struct, gc=False):
    """The keys that the API itself gives a task; a ``Raw`` value repeats among tasks, or has several forms."""

    id: str = field(name="_id")
    caseId: str | None = None  # noqa: N815
    caseRefId: str | None = None  # noqa: N815
    refId: str | None = None  # noqa: N815
    taskTmp: str | None = None  # noqa: N815
    name: str | None = None
    lname: str | None = None
    tags: list[str] | None = None
    source: str | None = None
    conversationType: str | None = None  # noqa: N815
    accountId: str | None = None  # noqa: N815
    iId: str | None = None  # noqa: N815
    orgId: str | None = None  # noqa: N815
    convIds: list[Raw] | None = None  # noqa: N815
    sessIds: list[Raw] | None = None  # noqa: N815
    userInfo: Raw = UNTOLD  # noqa: N815
    status: Raw = UNTOLD
    priority: Raw = UNTOLD
    fields: list[Raw] | None = None
    participants: list[Participant] | None = None
    assigneeType: str | None = None  # noqa: N815
    currAssignee: Raw = UNTOLD  # noqa: N815
    queues: list[Queue] | None = None
    channel: list[str] | None = None
    createdBy: Raw = UNTOLD  # noqa: N815
    updatedBy: Raw = UNTOLD  # noqa: N815
    isCustTsk: bool | None = None  # noqa: N815
    isActive: bool | None = None  # noqa: N815
    isBreached: bool | None = None  # noqa: N815
    attachments: list[Raw] | None = None
    feedback: list[Raw] | None = None
    activityIds: list[Raw] | None = None  # noqa: N815
    commentIds: list[Raw] | None = None  # noqa: N815
    resolutionCmts: list[Raw] | None = None  # noqa: N815
    ETA: str | int | None = None
    dueDate: str | int | None = None  # noqa: N815
    timestampValue: str | int | None = None  # noqa: N815
    createdAt: str | None = None  # noqa: N815
    updatedAt: str | None = None  # noqa: N815


KNOWN = frozenset(Task.__struct_encode_fields__)
"""All keys that the API itself is known to give a task."""

_task = Decoder(Task)
_keys = Decoder(dict[str, Raw])
_texts = Decoder(list[Raw])
field_from = Decoder(Field).decode


class Record:
    """One record of a page: its own ``text``, which is ``raw`` in Unicode, and its ``task`` if it has the known shape.

    Raises:
        UnicodeDecodeError: the text is not UTF-8; msgspec does not check what it skips.
    """

    __slots__ = ("_value", "raw", "task", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.raw = text.decode()
        self.task = _task_from(text)

    def __getitem__(self, key: str) -> Any:
        return self.value[key]

    def __eq__(self, other: object) -> bool:
        return bool(self.value == plain(other))

    __hash__ = None  # type: ignore[assignment]

    @property
    def value(self) -> Any:
        """The parsed JSON, with every digit."""
        if not hasattr(self, "_value"):
            self._value = exact_json.read(self.text)
        return self._value

    def other_keys(self) -> dict[str, Raw]:
        """Return the keys that are not the API's own, in their order."""
        keys = _keys.decode(self.text)
        return {key: keys[key] for key in sorted(keys.keys() - KNOWN)}

    def is_storable(self) -> bool:
        """Tell whether both databases can hold the text as it is."""
        return not _has_escaped_nul(self.text)


def read_answer(body: bytes) -> dict[str, Any] | None:
    """Return an answer whose ``results`` are records; None if it has another shape, or is not UTF-8."""
    try:
        answer: dict[str, Any] = _keys.decode(body)
        results = [Record(bytes(text)) for text in _texts.decode(answer.pop("results"))]
        return {key: exact_json.read(bytes(raw)) for key, raw in answer.items()} | {"results": results}
    except (DecodeError, KeyError, ValueError, RecursionError):
        return None


def plain(record: Any) -> Any:
    """Return the parsed JSON of a record in either form."""
    return record.value if isinstance(record, Record) else record


def _task_from(text: bytes) -> Task | None:
    if _has_escaped_nul(text) or text.count(b"{") + text.count(b"[") > _MOST_CONTAINERS:
        return None
    try:
        return _task.decode(text)
    except DecodeError:
        return None


def _has_escaped_nul(text: bytes) -> bool:
    return b"\\" in text and _ESCAPED_NUL in text  # one letter is found much faster than several
