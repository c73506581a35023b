"""Tasks as a support desk has them: they come in office hours, are worked on, wait, are resolved, and some are stuck.

Each task has a history of statuses. The server shows only the last one; the demo asks for the whole history.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Any

from etl.sandbox.data.sample_values import PEOPLE, PRIORITIES, QUEUES, STATUSES, identifier
from etl.sandbox.data.timestamps import DAY_MS, SECOND_MS, format_timestamp

Record = dict[str, Any]
StatusHistory = list[tuple[int, Record]]

HOUR_MS = 3600 * SECOND_MS
_HOURS = (1, 1, 1, 1, 1, 2, 4, 9, 18, 26, 28, 24, 17, 20, 25, 24, 20, 15, 10, 7, 5, 4, 3, 2)
_WEEKDAYS = (1.35, 1.15, 1.05, 1.0, 0.9, 0.3, 0.2)
_THURSDAY = 3  # 1970 began on one
_OPEN, _WORKED_ON, _PENDING, _RESOLVED, _CLOSED, _CUSTOMER, _STOCK = STATUSES[:7]
# Each status: hours that a task is in it on average.
_STAYS = {_OPEN["name"]: 15, _WORKED_ON["name"]: 40, _PENDING["name"]: 66, _CUSTOMER["name"]: 96, _STOCK["name"]: 56}
# Each priority: its share, how much slower it goes than the usual, and the days until it is due.
_URGENCY = {"Low": (21, 1.7, 35), "Medium": (43, 1.0, 18), "High": (19, 0.55, 10), "Critical": (6, 0.3, 4),
            "Chef-Sache": (3, 0.4, 6), "Après-vente": (8, 1.4, 28)}  # fmt: skip
_QUEUE_WEIGHTS = (24, 30, 17, 9, 7, 13)
_STUCK, _WAITING, _REOPENED = 0.08, 0.45, 0.05


class SupportDesk:
    """Decides when tasks are created and which statuses each of them has."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.status_histories: dict[str, StatusHistory] = {}

    def arrivals(self, number: int, since: int, until: int) -> list[int]:
        """The creation times of this number of tasks, in order: more in office hours and at the start of a week."""
        hours = range(since // HOUR_MS, until // HOUR_MS)
        busy = list(accumulate(_HOURS[hour % 24] * _WEEKDAYS[(hour // 24 + _THURSDAY) % 7] for hour in hours))
        chosen = self._random.choices(hours, cum_weights=busy, k=number)
        return sorted(min(until, hour * HOUR_MS + self._random.randrange(HOUR_MS)) for hour in chosen)

    def with_history(self, record: Record, created: int, until: int) -> Record:
        """The record as it is at ``until``; keeps its status history."""
        priority = self._priority()
        history = list(self._status_history(priority["name"], created, until))
        self.status_histories[record["_id"]] = history
        record |= {"priority": priority, "status": history[-1][1], "updatedAt": format_timestamp(history[-1][0])}
        return record | self._assignment(history, created) | self._deadline(priority["name"], created)

    def next_status(self, record: Record) -> Record:
        """The status that the record gets next."""
        name = record["status"]["name"]
        if name in {_RESOLVED["name"], _CLOSED["name"]}:
            return _WORKED_ON if self._random.random() < _REOPENED else _CLOSED
        return self._random.choices((_WORKED_ON, _PENDING, _RESOLVED), (5, 3, 6))[0]

    def _status_history(self, priority: str, created: int, until: int) -> Iterator[tuple[int, Record]]:
        pace = _URGENCY[priority][1] * (self._random.uniform(8, 30) if self._random.random() < _STUCK else 1)
        moment = created
        yield moment, _OPEN
        for status, before in self._steps():
            hours = _STAYS.get(before["name"], 72) * self._random.gammavariate(1.6, 1 / 1.6)
            moment += int(hours * HOUR_MS * (pace if before is not _RESOLVED else 1)) + 1
            if moment > until:
                return
            yield moment, status

    def _steps(self) -> Iterator[tuple[Record, Record]]:
        """Each status that follows, and the one before it."""
        before = _OPEN
        path = [_WORKED_ON]
        if self._random.random() < _WAITING:
            path += [self._random.choices((_PENDING, _CUSTOMER, _STOCK), (5, 4, 2))[0], _WORKED_ON]
        path.append(_RESOLVED)
        if self._random.random() < _REOPENED:
            path += [_WORKED_ON, _RESOLVED]
        for status in (*path, _CLOSED):
            yield status, before
            before = status

    def _priority(self) -> Record:
        return self._random.choices(PRIORITIES, [_URGENCY[each["name"]][0] for each in PRIORITIES])[0]

    def _assignment(self, history: StatusHistory, created: int) -> Record:
        name = self._random.choices(QUEUES, _QUEUE_WEIGHTS)[0]
        moment = format_timestamp(created)
        queue = {"_id": identifier("qu", name), "name": name, "type": "queue", "status": "active", "startTime": moment}
        queued: Record = {"assigneeType": "queues", "currAssignee": {}, "queues": [queue], "participants": []}
        if self._random.random() > (0.3 if len(history) == 1 else 0.95):
            return queued
        person = self._random.choices(PEOPLE, range(len(PEOPLE) + 4, 4, -1))[0]
        agent = {"agentId": identifier("a", person), "aId": identifier("a", person), "name": person}
        taking_part = [{**agent, "pStatus": "active", "assignedAt": moment}]
        return queued | {"assigneeType": "agent", "currAssignee": agent, "participants": taking_part}

    def _deadline(self, priority: str, created: int) -> Record:
        due = created + int(_URGENCY[priority][2] * DAY_MS * self._random.uniform(0.8, 1.3))
        return {"ETA": "", "dueDate": self._random.choices((format_timestamp(due), due, ""), (6, 2, 2))[0]}
