"""Who and where: the people and the queue that a task names, each as an id and a name."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.transform.text import ident, moment, text

Named = tuple[str | None, str | None]
"""An id and a name, each None where it is not told."""

_NOBODY: Named = (None, None)
_ID_PREFIXES = ("a-", "u-", "qu-")
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def named(value: object, *id_keys: str) -> Named:
    """The id (under the first of the keys that has one) and name of an object, or a text that stands for it."""
    if isinstance(value, dict):
        keys = (ident(value.get(key)) for key in id_keys)
        return next((key for key in keys if key is not None), None), text(value.get("name"))
    name = text(value)
    if name is not None and name.startswith(_ID_PREFIXES):
        return ident(name), None
    return (None, name) if name else _NOBODY


def current_queue(value: object) -> Named:
    """The queue that a task entered last, by `startTime`; the last of the list where none has one."""
    queues = [queue for queue in (value if isinstance(value, list) else [value]) if queue]
    if not queues:
        return _NOBODY
    if len(queues) == 1:
        return named(queues[0], "_id")
    _, latest = max(enumerate(queues), key=lambda pair: (_entered(pair[1]), pair[0]))
    return named(latest, "_id")


def _entered(queue: object) -> datetime:
    entered = moment(queue.get("startTime")) if isinstance(queue, dict) else None
    return entered or _BEFORE_ALL
