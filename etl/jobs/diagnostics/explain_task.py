"""What the database knows about a task, or why the task is not here. Everything is read, nothing is written."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct, field
from sqlalchemy import Connection, Engine

from etl.api_record import Row
from etl.exact_json import clean_text
from etl.extract.capabilities import EARLY
from etl.jobs.diagnostics.status import complete_until
from etl.load.database.engine import reading
from etl.load.ledger.runs import SYNCS
from etl.load.ledger.windows import gaps, unverified
from etl.load.queries import find_task, status
from etl.load.queries.find_task import Key
from etl.times import format_time

_OTHERS = {
    "sts-": "a status",
    "pr-": "a priority",
    "fd-": "a field",
    "qu-": "a queue",
    "a-": "an agent",
    "u-": "a user",
    "st-": "a stream",
    "o-": "an account's organisation",
}


class Hint(Struct, frozen=True):
    """A fact for the reader, and the command that shows or mends it."""

    reason: str
    command: str


class Event(Struct, frozen=True):
    """An event in a task's history, with the run that saw it, if one did."""

    at: datetime
    what: str
    run_id: int | None = None


class Story(Struct, frozen=True):
    """A stored task: its row, its history, the run that wrote its version, and the windows that cover it."""

    task: Row
    history: list[Event]
    run: Row | None
    windows: list[Row]


class Answer(Struct, frozen=True):
    """What is known about an id: its tasks with their stories, the tasks of a case, or hints why there are none."""

    id: str
    found: bool
    case: bool = False
    tasks: list[Story] = field(default_factory=list)
    case_tasks: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    erased_at: datetime | None = None


def explain(engine: Engine, asked: str) -> Answer:
    """Return what is known about a task or a case, given by ``_id`` or by reference."""
    asked = clean_text(asked.strip())
    with reading(engine) as connection:
        if tasks := find_task.task_keys(connection, asked):
            return _of_tasks(connection, asked, tasks)
        if cases := find_task.case_keys(connection, asked):
            return _of_case(connection, asked, cases)
        return _of_nothing(connection, asked)


def _of_tasks(connection: Connection, asked: str, keys: list[Key]) -> Answer:
    erased = find_task.forgotten(connection, keys)
    stories = [_story(connection, key) for key in keys if key not in erased]
    kept = [row for key in keys for row in find_task.kept_aside(connection, key[0], source_id=key[1])]
    hints = [hint for story in stories for hint in _staleness_hints(connection, story)]
    hints += [_forgotten(task_id, moment) for (task_id, _), moment in erased.items()]
    return Answer(
        asked,
        found=bool(stories),
        tasks=stories,
        rejected=kept,
        hints=[*_rejected(kept), *hints],
        erased_at=max(erased.values(), default=None),
    )


def _forgotten(task_id: str, moment: datetime) -> Hint:
    reason = f"{task_id} was erased on request at {format_time(moment)}, and none of it is stored again"
    return Hint(reason, "kore-etl forget --help")


def _of_case(connection: Connection, asked: str, keys: list[Key]) -> Answer:
    tasks = [find_task.overview(connection, key) for key in find_task.tasks_of_cases(connection, keys)]
    if tasks:
        hint = Hint("each of its tasks has a history of its own", f"kore-etl why {tasks[0]['_id']}")
    else:
        hint = Hint("the case is known, but every task that named it names another one now", "kore-etl sync")
    return Answer(asked, found=bool(tasks), case=True, case_tasks=tasks, hints=[hint])


def _of_nothing(connection: Connection, asked: str) -> Answer:
    kept = find_task.kept_aside(connection, asked, in_texts=True)
    if kept:
        return Answer(asked, found=False, rejected=kept, hints=list(_rejected(kept)))
    hints = list(_other_kind(asked))
    sources = status.source_rows(connection)
    for source in sources:
        hints += _not_covered(connection, source)
    if number := find_task.count_forgotten(connection):
        what = "1 task was" if number == 1 else f"{number} tasks were"
        reason = f"{what} erased on request, the reference too: it may be one of them; only its _id is kept"
        hints.append(Hint(reason, "kore-etl why ti-..."))
    hints.append(_elsewhere(asked, sources))
    return Answer(asked, found=False, rejected=kept, hints=hints)


def _story(connection: Connection, key: Key) -> Story:
    task = find_task.overview(connection, key)
    run = find_task.run(connection, task.pop("run_id"))
    changes = find_task.changes(connection, key)
    history = sorted(_events(task, changes), key=lambda event: event.at)
    return Story(task, history, run, find_task.windows_over(connection, key))


def _events(task: Row, changes: list[Row]) -> Iterator[Event]:
    if task["created_at"] is not None:
        yield Event(task["created_at"], "created on the server")
    yield Event(task["first_seen_at"], "first stored here")
    for change in changes:
        yield Event(change["changed_at"] or change["seen_at"], _described(change), change["run_id"])
    if task["updated_at"] not in {task["created_at"], None, *(change["changed_at"] for change in changes)}:
        yield Event(task["updated_at"], "last updated on the server")
    if task["deleted_at"] is not None and not any(change["field"] == "deletion" for change in changes):
        yield Event(task["deleted_at"], "found gone from the server")


def _described(change: Row) -> str:
    old, new = (change[f"{which}_value"] or change[f"{which}_id"] for which in ("old", "new"))
    if change["field"] in {"deletion", "return"}:
        return {"deletion": "found gone from the server", "return": "found on the server again"}[change["field"]]
    return f"{change['field_key'] or change['field']}: {old or 'none'} -> {new or 'none'}"


def _staleness_hints(connection: Connection, story: Story) -> Iterator[Hint]:
    """Yield the reasons why the server may have a newer version of the task."""
    task, name = story.task, story.task["source"]
    if task["deleted_at"] is not None:
        reason = f"{task['_id']} was found gone from the server at {format_time(task['deleted_at'])}"
        yield Hint(reason, _fetch(task["_id"]))
    (source,) = (each for each in status.source_rows(connection) if each["id"] == task["source_id"])
    until = _complete_until(connection, source)
    reason = f"the first sync of source {name} has not come to its end"
    if until is not None:
        reason = f"what changed after {format_time(until)} is not here yet"
    yield Hint(reason, f"kore-etl sync --source {name}")


def _complete_until(connection: Connection, source: Row) -> datetime | None:
    last_sync = status.latest_run(connection, source["id"], commands=SYNCS, state="finished")
    return complete_until(source["watermark"], last_sync)


def _rejected(kept: list[Row]) -> Iterator[Hint]:
    for row in kept:
        yield Hint(f"a record of it is kept aside: {row['reason']}", f"kore-etl rejected show {row['id']}")
    if kept:
        numbers = " ".join(str(row["id"]) for row in kept)
        yield Hint("after an upgrade, or a mistake mended, it may be good", f"kore-etl rejected replay {numbers}")


def _other_kind(asked: str) -> Iterator[Hint]:
    kind = next((kind for prefix, kind in _OTHERS.items() if asked.startswith(prefix)), None)
    if kind is not None:
        reason = f"by its beginning it is the id of {kind}; a task's begins with ti-, a case's with ci-"
        yield Hint(reason, "kore-etl why --help")


def _not_covered(connection: Connection, source: Row) -> Iterator[Hint]:
    """Yield the time ranges that a source does not cover. The task may have been created or changed in one of them."""
    name, until = source["name"], _complete_until(connection, source)
    again = f"kore-etl sync --source {name}"
    if until is None:
        yield Hint(f"source {name}: the first sync has not come to its end", again)
    for start, end in gaps(connection, source["id"]):
        yield Hint(f"source {name}: {_range_text(start, end)} was not read", _backfill(name, start, end))
    for start, end in unverified(connection, source["id"]):
        reason = f"source {name}: {_range_text(start, end)} was read, but not proved complete"
        yield Hint(reason, _backfill(name, start, end))
    if source["history_start"] is not None:
        reason = f"source {name}: nothing before {format_time(source['history_start'])} was read"
        yield Hint(reason, _backfill(name, EARLY, source["history_start"]))
    if until is not None:
        yield Hint(f"source {name}: nothing after {format_time(until)} was read", again)


def _elsewhere(asked: str, sources: list[Row]) -> Hint:
    if not sources:
        return Hint("nothing was ever synced into this database", "kore-etl sync")
    known = ", ".join(f"{source['name']} ({source['stream_id']})" for source in sources)
    reason = f"it was never seen in the streams that are here: {known}; it may be mistyped, or of another stream"
    return Hint(reason, _fetch(asked))


def _fetch(asked: str) -> str:
    """Return the command that finds a task on the server: a search finds names only, no id or reference."""
    text = json.dumps(asked)
    return f"kore-etl fetch --all | jq {shlex.quote(f'select(._id == {text} or .refId == {text})')}"


def _range_text(start: datetime, end: datetime) -> str:
    return f"{format_time(start)} to {format_time(end)}"


def _backfill(name: str, start: datetime, end: datetime) -> str:
    return f"kore-etl backfill --source {name} --since {format_time(start)} --until {format_time(end)}"
