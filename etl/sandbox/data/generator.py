"""Makes up tasks: the same ones for the same seed, with all fields and oddities of real ones."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from etl.sandbox.data.arrivals_and_statuses import SupportDesk
from etl.sandbox.data.sample_values import (
    CHANNELS,
    CUSTOM_FIELDS,
    PEOPLE,
    PRIORITIES,
    PRIORITY_WEIGHTS,
    QUEUES,
    STATUS_WEIGHTS,
    STATUSES,
    SUBJECTS,
    identifier,
)
from etl.sandbox.data.timestamps import DAY_MS, SECOND_MS, format_timestamp, round_down
from etl.sandbox.options import Options

Record = dict[str, Any]
HOUR_MS = 3600 * SECOND_MS
_SHORT_STATUS = ("name", "statusCategory")
_SHORT_PRIORITY = ("name", "color")


class TaskGenerator:
    """Makes up one task after the other and numbers them."""

    def __init__(self, options: Options, random: Random) -> None:
        self._options = options
        self._random = random
        self._written = 0
        self.desk = SupportDesk(random) if options.pattern == "desk" else None

    def history(self, now: int) -> Iterator[Record]:
        """The tasks to begin with, the oldest first, none younger than the quiet time before ``now``."""
        until = now - int(self._options.quiet_seconds * SECOND_MS)
        since = until - int(self._options.days * DAY_MS)
        step = int(self._options.round_to * SECOND_MS)
        if self.desk is not None:
            for created in self.desk.arrivals(self._options.tasks, since, until):
                yield self.new_task(created, until)
            return
        moments = sorted(self._random.randint(since, until) for _ in range(self._options.tasks))
        for created in moments:
            updated = self._later(created, until)
            yield self.new_task(round_down(created, step), round_down(updated, step))

    def new_task(self, created: int, updated: int) -> Record:
        """The next task, created and last updated at these moments."""
        self._written += 1
        record = self._sample(created, updated)
        if self.desk is not None:
            return self.desk.with_history(self._whole(record, created), created, updated)
        return record if self._options.shape == "eight" else self._whole(record, created)

    def revise(self, record: Record, moment: int) -> Record:
        """The record as it is after somebody changed its name, status and priority at that moment."""
        if self.desk is not None:
            status = self.desk.next_status(record)
            changed = {"status": status, "updatedAt": format_timestamp(moment), "updatedBy": self._person("u")}
            return {**record, **changed, **_noticed(record)}
        name = f"{self._subject()} (rev. {self._random.randrange(10_000)})"
        revised = {**record, "name": name, **self._state(), "updatedAt": format_timestamp(moment)}
        if "lname" in record:
            revised["lname"] = name.lower()
            revised["updatedBy"] = self._person("u")
        return revised | _noticed(record)

    def _later(self, created: int, until: int) -> int:
        """When the task was last updated: for some never, for most within days, for a few at any time since."""
        kind = self._random.random()
        if kind < 0.25:
            return created
        if kind < 0.85:
            return min(until, created + int(self._random.expovariate(1 / (4 * DAY_MS))) + 1)
        return self._random.randint(created, until)

    def _sample(self, created: int, updated: int) -> Record:
        number = self._written
        return {
            "_id": self._name("ti"),
            "caseId": self._name("ci"),
            "caseRefId": f"CS{number:06d}",
            "name": self._subject(),
            **self._state(),
            "createdAt": None if self._is_null(self._options.null_created) else format_timestamp(created),
            "updatedAt": None if self._is_null(self._options.null_updated) else format_timestamp(updated),
        }

    def _is_null(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _state(self) -> Record:
        status = self._random.choices(STATUSES, STATUS_WEIGHTS)[0]
        priority = self._random.choices(PRIORITIES, PRIORITY_WEIGHTS)[0]
        if self._options.shape == "eight":
            status = {key: status[key] for key in _SHORT_STATUS}
            priority = {key: priority[key] for key in _SHORT_PRIORITY}
        return {"priority": priority, "status": status}

    def _whole(self, sample: Record, created: int) -> Record:
        customer = self._person("u")
        return {
            **sample,
            "refId": f"TS{self._written:06d}",
            "taskTmp": "",
            "lname": sample["name"].lower(),
            "tags": self._some(("vip", "b2b", "rückruf", "gdpr"), 2),
            "source": self._random.choice(CHANNELS),
            "conversationType": "TASK",
            "accountId": self._options.account_id,
            "iId": self._options.stream_id,
            "orgId": identifier("o", "sandbox"),
            "convIds": [self._name("c")],
            "sessIds": [self._name("s")],
            "userInfo": {**customer, "emailId": f"{customer['_id'][-6:]}@example.com"},
            **self._assignment(created),
            "channel": [self._random.choice(CHANNELS)],
            "createdBy": {**customer, "profImage": ""},
            "updatedBy": self._person("u"),
            "isCustTsk": self._random.random() < 0.1,
            "isActive": True,
            "isBreached": self._random.random() < 0.05,
            "attachments": [],
            "feedback": [],
            "activityIds": [self._name("ac") for _ in range(self._random.randrange(6))],
            "commentIds": [self._name("cm") for _ in range(self._random.randrange(4))],
            "resolutionCmts": [],
            **self._deadline(created),
            "timestampValue": created,
            **self._custom(),
        }

    def _assignment(self, created: int) -> Record:
        kind = self._random.choice(("unassigned", "queues", "agent"))
        agent = self._agent()
        record: Record = {"assigneeType": kind, "currAssignee": {}, "queues": [], "participants": []}
        if kind != "unassigned":
            record["queues"] = [self._queue(created)]
        if kind == "agent":
            record["currAssignee"] = agent
            record["participants"] = [
                {**each, "pStatus": "active", "assignedAt": format_timestamp(created + n * HOUR_MS)}
                for n, each in enumerate((self._agent(), agent))
            ]
        return record

    def _queue(self, created: int) -> Record:
        name = self._random.choice(QUEUES)
        moment = format_timestamp(created + self._random.randrange(HOUR_MS))
        return {"_id": identifier("qu", name), "name": name, "type": "queue", "status": "active", "startTime": moment}

    def _deadline(self, created: int) -> Record:
        """ETA and dueDate in each of their spellings: ISO, epoch milliseconds, empty, left out."""
        due = created + self._random.randrange(1, 30) * DAY_MS
        spelling = self._random.randrange(5)
        record: Record = {"ETA": format_timestamp(due - DAY_MS) if spelling in (0, 3) else ""}
        if spelling < 4:
            record["dueDate"] = (format_timestamp(due), due, "", due)[spelling]
        return record

    def _custom(self) -> Record:
        """The custom fields in both spellings: in the list ``fields``, and as keys named after the field."""
        listed, named = [], {}
        for name, kind, values in CUSTOM_FIELDS:
            value = self._random.choice(values)
            field = {"_id": identifier("fd", name), "displayName": name, "lname": name.lower()}
            meta = {"name": name, "type": kind, "placeholder": "", "options": [str(each) for each in values]}
            entry = {**field, "dataType": kind, "required": False, "show": True, "metaData": meta}
            if self._random.random() < 0.6:
                entry["selectedValue"] = value
                named[name] = {"id": field["_id"], "displayName": name, "lname": name.lower(), "selectedValue": value}
            listed.append(entry)
        return {"fields": listed, **named}

    def _person(self, prefix: str) -> Record:
        name = self._random.choice(PEOPLE)
        return {"_id": identifier(prefix, name), "name": name}

    def _agent(self) -> Record:
        name = self._random.choice(PEOPLE)
        return {"agentId": identifier("a", name), "aId": identifier("a", name), "name": name}

    def _subject(self) -> str:
        return f"{self._random.choice(SUBJECTS)} #{self._random.randrange(100_000)}"

    def _some(self, words: tuple[str, ...], most: int) -> list[str]:
        return self._random.sample(words, self._random.randrange(most + 1))

    def _name(self, prefix: str) -> str:
        """An id in the vendor's manner: nearly a UUID, one digit short for some."""
        digits = f"{self._random.getrandbits(128):032x}"
        parts = digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]
        text = "-".join(parts)
        return f"{prefix}-{text[1:] if digits[0] == '0' else text}"


def _noticed(record: Record) -> Record:
    """What a revision also changes of every fifth task: it breaches, gets a tag, and gets its product group."""
    if "fields" not in record or int(record["refId"][-1]) % 5:
        return {}
    name, _, (value, *_) = next(field for field in CUSTOM_FIELDS if field[0] == "Produktgruppe")
    listed = [{**each, "selectedValue": value} if each["displayName"] == name else each for each in record["fields"]]
    named = {"id": identifier("fd", name), "displayName": name, "lname": name.lower(), "selectedValue": value}
    return {
        "isBreached": True,
        "tags": [*{**dict.fromkeys(record["tags"]), "escalated": None}],
        "fields": listed,
        name: named,
    }
