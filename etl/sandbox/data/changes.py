"""Changes to the stored tasks. Each one is made at once and shown after the server's delay."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from etl.sandbox.data.generator import Record, TaskGenerator
from etl.sandbox.data.store import Row, Store
from etl.sandbox.data.timestamps import DAY_MS, SECOND_MS, format_timestamp, round_down
from etl.sandbox.options import Options

#: Begins the name of a record that has no usable id of its own; ``make`` never changes such a record.
ODD = "?"
_TOGETHER = 20  # changes of one millisecond, at most about, unless they are to have one instant
Change = tuple[int, str, Any, bool]


class Changes:
    """Writes to a store as the server's users do; ``now`` is the server's clock in milliseconds."""

    def __init__(self, store: Store, generator: TaskGenerator, random: Random, now: Callable[[], int]) -> None:
        self._store = store
        self._generator = generator
        self._random = random
        self._now = now
        self._last = 0
        self._made = 0
        self._odd = 0
        self._pending: deque[Change] = deque()
        self._latest: dict[str, tuple[Any, bool]] = {}
        self._names: dict[str, str] = {}
        self._backup: dict[str, Row] = {}

    def load_history(self) -> None:
        """Fill the store with its history."""
        now = self._now()
        for record in self._generator.history(now):
            self._store.put(record, record["_id"], now)

    def make(
        self,
        options: Options,
        *,
        update: int = 0,
        insert: int = 0,
        delete: int = 0,
        same_instant: bool = False,
        days_ago: float = 0,
    ) -> dict[str, list[str]]:
        """Update and delete random tasks, add new ones, and give the ids of each; no task is in two of the lists.

        New tasks are dated ``days_ago``, as an import dates them.
        """
        ago = int(days_ago * DAY_MS)
        instant = self._moment(options) if same_instant else None
        chosen = self._choose(update + delete)
        updated, deleted = chosen[:update], chosen[update:]
        for row_id in updated:
            self._revise(options, row_id, instant or self._moment(options))
        inserted = [self._insert(options, (instant or self._moment(options)) - ago) for _ in range(insert)]
        for row_id in deleted:
            self._delete(options, row_id, instant or self._moment(options))
        return {"updated": updated, "inserted": inserted, "deleted": deleted}

    def put(self, records: Iterable[Any]) -> list[str]:
        """Store records exactly as given, shown at once; gives their names, which are their ``_id`` if that is text."""
        names = []
        for record in records:
            row_id = record.get("_id") if isinstance(record, dict) else None
            name = row_id if isinstance(row_id, str) and row_id else self._odd_name()
            self._store.put(record, name, self._now())
            names.append(name)
        return names

    def remove(self, names: Iterable[str]) -> None:
        """Remove records at once, whatever the option ``deletes`` says."""
        for name in names:
            self._store.delete(name)

    def rename(self, old: str, new: str) -> int:
        """Give a status, priority, queue or person another name in all tasks, which stay as old as they are."""
        self._names[old] = new
        rows = [(row, _renamed(row.record, self._names)) for row in self._store.rows().values() if row.plain]
        changed = [(row, record) for row, record in rows if record != row.record]
        for row, record in changed:
            self._store.put(record, row.id, row.stored)
        return len(changed)

    def back_up(self) -> None:
        """Remember all tasks as they are."""
        self._backup = self._store.rows()

    def restore(self) -> None:
        """Serve the tasks of the last backup; whatever happened since is lost."""
        self._pending.clear()
        self._latest.clear()
        self._store.restore(self._backup)

    def apply_due(self) -> None:
        """Apply the changes whose delay is over."""
        while self._pending and self._pending[0][0] <= self._now():
            _, row_id, record, gone = self._pending.popleft()
            self._apply(row_id, record, gone=gone)
            if not self._pending:
                self._latest.clear()

    def _choose(self, count: int) -> list[str]:
        rows = self._store.index("").rows
        gone = {row_id for row_id, (_, gone) in self._latest.items() if gone}
        sample = self._random.sample(rows, min(len(rows), count + len(gone) + self._odd))
        return [row.id for row in sample if row.id not in gone and row.id[0] != ODD][:count]

    def _odd_name(self) -> str:
        self._odd += 1
        return f"{ODD}{self._odd}"

    def _revise(self, options: Options, row_id: str, moment: int) -> None:
        record = self._current(row_id)
        if isinstance(record, dict):
            self._write(options, row_id, self._generator.revise(record, moment))

    def _insert(self, options: Options, moment: int) -> str:
        record = self._generator.new_task(moment, moment)
        self._write(options, record["_id"], record)
        return str(record["_id"])

    def _delete(self, options: Options, row_id: str, moment: int) -> None:
        record = self._current(row_id)
        if options.deletes == "inactive" and isinstance(record, dict):
            self._write(options, row_id, {**record, "isActive": False, "updatedAt": format_timestamp(moment)})
        else:
            self._write(options, row_id, None, gone=True)

    def _current(self, row_id: str) -> Any:
        if row_id in self._latest:
            return self._latest[row_id][0]
        row = self._store.get(row_id)
        return row.record if row else None

    def _write(self, options: Options, row_id: str, record: Record | None, *, gone: bool = False) -> None:
        record = _renamed(record, self._names)
        delay = int(options.visible_after * SECOND_MS)
        if delay or self._pending:
            self._latest[row_id] = (record, gone)
            self._pending.append((self._now() + delay, row_id, record, gone))
        else:
            self._apply(row_id, record, gone=gone)

    def _apply(self, row_id: str, record: Any, *, gone: bool) -> None:
        if gone:
            self._store.delete(row_id)
        else:
            self._store.put(record, row_id, self._now())

    def _moment(self, options: Options) -> int:
        """Now, never before an earlier change; many changes take their time, as those of people do."""
        self._made += 1
        if self._made % _TOGETHER == 0:
            time.sleep(0.001)
        self._last = max(self._last, self._now())
        return round_down(self._last, int(options.round_to * SECOND_MS) if options.round_changes else 0)


def _renamed(record: Any, names: Mapping[str, str]) -> Any:
    """The record with other names in its objects; its own name stays."""
    if not names or not isinstance(record, dict):
        return record
    return {key: _with_names(value, names) for key, value in record.items()}


def _with_names(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_names(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: _with_names(each, names) for key, each in value.items()}
    name = value.get("name")
    if isinstance(name, str) and name in names:
        renamed |= {"name": names[name]} | ({"lname": names[name].lower()} if "lname" in value else {})
    return renamed
