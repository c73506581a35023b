"""Who and where: the people and the queue that a task names, each as an id and a name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from operator import itemgetter

from etl.transform.text import ident, moment, text

Named = tuple[str | None, str | None]
"""An id and a name, each None where it is not told."""

_NOBODY: Named = (None, None)
# Of an agent, a user or a queue; what follows the prefix is not always a UUID, but is no word of a name either.
_ID = re.compile(r"(?:a|u|qu)-[0-9a-f]{4,32}-[0-9A-Za-z-]{4,64}")
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def named(value: object, *id_keys: str) -> Named:
    """The id (under the first of the keys that has one) and name of an object, or a text that stands for it."""
    if isinstance(value, dict):
        keys = (ident(value.get(key)) for key in id_keys)
        return next((key for key in keys if key is not None), None), text(value.get("name"))
    name = text(value)
    return (name, None) if name and _ID.fullmatch(name) else (None, name)


def current_queue(value: object) -> Named:
    """The queue that a task entered last, by `startTime`; the last of the list where none has one."""
    queues = value if isinstance(value, list) else [value]
    told = [(_entered(queue), found) for queue in queues if (found := named(queue, "_id")) != _NOBODY]
    # Of several with the same time max takes the first that it meets: here the last of the list.
    return max(reversed(told), key=itemgetter(0))[1] if told else _NOBODY


def _entered(queue: object) -> datetime:
    entered = moment(queue.get("startTime")) if isinstance(queue, dict) else None
    return entered or _BEFORE_ALL
