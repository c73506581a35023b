"""The views: what each is for, its columns, and its text in either dialect. A migration that changes one has its own.

The texts are in ``view_sql``, one file a view and one text for both databases: what stands there in braces is a piece
that is written as in ``_PIECES``, its arguments after the colon, with "to" between two. One view has a text of its own
for SQLite, which looks up only the names that a query asks for.

A task is open until its status is of the category resolved, closed, completed or done, written in any case; a status
without a category is judged by its name. A task that was deleted is not open. No view shows one that was forgotten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

# A status without a category, as the API gives it as a bare text, is judged by its name.
_CATEGORY = "lower(coalesce({0}.category, {0}.name, ''))"
_PIECES = {
    "resolved": f"({_CATEGORY} in ('resolved', 'closed', 'completed', 'done'))",
    "new": f"({_CATEGORY} in ('open', 'new'))",
    # The plus keeps SQLite from choosing an index by the source alone.
    "unresolved": "({0}.status_id is null or ({0}.status_id, +{0}.source_id) not in ({done}))",
    "done": "select _id, source_id from statuses where {resolved:statuses}",
    "step": (
        "(case when (coalesce({0}.new_id, ''), {0}.source_id) in ({done}) then 1 else 0 end"
        " - case when (coalesce({0}.old_id, ''), {0}.source_id) in ({done}) then 1 else 0 end)"
    ),
    "at": "coalesce({0}.changed_at, {0}.seen_at)",
    "change": (
        "task_changes.task_id = tasks._id and task_changes.source_id = tasks.source_id"
        " and task_changes.field = 'status'"
    ),
    "today": "{day:{now}}",
}
# A moment or a day is given in the form in which the tables hold it.
_DIALECTS = {
    "postgresql": {
        "now": "cast(now() as timestamp(3) with time zone)",
        "days_ago": "now() - interval '{0} days'",
        "seconds": "cast(extract(epoch from {1} - {0}) as double precision)",
        "day": "cast({0} at time zone 'UTC' as date)",
        "next_day": "{0} + 1",
        "no_text": "cast(null as text)",
        "no_moment": "cast(null as timestamp(3) with time zone)",
    },
    "sqlite": {
        "now": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
        "days_ago": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-{0} days')",
        "seconds": "round((julianday({1}) - julianday({0})) * 86400.0, 3)",
        "day": "substr({0}, 1, 10)",
        "next_day": "date({0}, '+1 day')",
        "no_text": "null",
        "no_moment": "null",
    },
}

_STATUS = {"status": "its name as it is now", "status_category": "of the status, as it is now"}
_SOURCE_NAME = {"source": "the source's name in the settings"}
_SOURCE = _SOURCE_NAME | {"source_id": "with the task's id, the key"}
_OF_SOURCE = {"stream_id": ""} | _SOURCE_NAME | {"source_id": ""}


@dataclass(frozen=True, slots=True)
class View:
    """A view: what it is for, and of each column what its name does not say, else an empty text."""

    name: str
    comment: str
    columns: dict[str, str]


def make_views(connection: Connection) -> None:
    """Make all views, with their comments where the database keeps some."""
    dialect = connection.dialect.name
    for view in VIEWS:
        connection.exec_driver_sql(f"create view {view.name} as\n{view_text(view.name, dialect)}")
        if dialect == "postgresql":
            comment = view.comment.replace("'", "''")
            connection.exec_driver_sql(f"comment on view {view.name} is '{comment}'")


def view_text(name: str, dialect: str) -> str:
    """Return the statement behind a view, as a database writes it."""
    folder = files(__package__).joinpath("view_sql")
    own = folder.joinpath(f"{name}.{dialect}.sql")
    return in_dialect((own if own.is_file() else folder.joinpath(f"{name}.sql")).read_text("utf-8"), dialect)


def in_dialect(text: str, dialect: str, more: Mapping[str, str] | None = None) -> str:
    """Return a text with its pieces as a database writes them; ``more`` are pieces besides, or in place of, its own."""
    pieces = _PIECES | _DIALECTS[dialect] | dict(more or {})

    def piece(found: re.Match[str]) -> str:
        arguments = (found[2] or "").split(" to ", 1)
        return re.sub(r"\{([01])\}", lambda place: arguments[int(place[1])], pieces[found[1]])

    while text != (text := re.sub(r"\{([a-z_]+)(?::([^{}]*))?\}", piece, text)):
        pass  # the innermost first
    return text


def _columns(names: str) -> dict[str, str]:
    """Columns whose names say it all."""
    return dict.fromkeys(names.split(), "")


VIEWS = (
    View(
        "task_overview",
        "one row a task with the names of its status, priority and case; what is forgotten is left out",
        _columns("_id")
        | {"ref_id": 'as people say it, such as "TS000105"'}
        | _columns("case_id case_ref_id name")
        | _STATUS
        | _columns("priority assignee queue created_at updated_at due_at")
        | {"deleted_at": "when it was found gone from the server; null while it is there"}
        | _OF_SOURCE,
    ),
    View(
        "computed_status_intervals",
        "the intervals in a status of each task that changed it; kept in status_intervals",
        _columns("task_id source_id position status_id value started_at ended_at"),
    ),
    View(
        "computed_task_progress",
        "what the changes of its status say of each task that has some; kept in task_progress",
        _columns("task_id source_id first_response_at first_resolved_at last_resolved_at reopened"),
    ),
    View(
        "task_status_intervals",
        "each interval that a task spent in one status",
        _columns("task_id")
        | _SOURCE
        | _columns("status_id")
        | _STATUS
        | {
            "started_at": "of the first: when the task was created, or first seen where that is not told",
            "ended_at": "when the next began or the task was deleted; null for the one that lasts",
            "seconds": "its length, until now for the one that lasts",
        },
    ),
    View(
        "task_cycle_times",
        "one row a task: how long until the first response and until it was resolved, and reopenings",
        _columns("task_id")
        | _OF_SOURCE
        | {
            "created_at": "or when it was first seen, where that is not told",
            "first_response_at": (
                "when its status first left the category open or new, which is no reply: the API shows none; null if"
                " that was not seen"
            ),
            "first_response_seconds": "from its creation",
            "first_resolved_at": "when it was first seen to be resolved; null if it came so",
            "first_resolved_seconds": "from its creation",
            "resolved_at": "when it was last resolved, if it still is; null if it came so",
            "resolved_seconds": "from its creation",
            "reopened": "how often it was open again after it was resolved",
            "deleted_at": "",
        },
    ),
    View(
        "open_backlog",
        "how many tasks are open now, by status, priority, queue and age",
        _OF_SOURCE
        | _columns("status_id")
        | _STATUS
        | _columns("priority_id priority queue_id queue")
        | {
            "age_band": "since its creation: <1 day, 1-3 days, 3-7 days, 7-30 days, 30-90 days, >90 days, or unknown",
            "age_from": "the days that the band begins at, to sort by",
            "tasks": "how many",
            "overdue": "how many of them have a due date that is past",
            "oldest_created_at": "",
        },
    ),
    View(
        "daily_events",
        "what each task counts for in daily_flow, and on which day; summed up in daily_counts",
        _columns("task_id stream_id source_id") | {"day": "in UTC"} | _columns("created resolved reopened deleted"),
    ),
    View(
        "daily_flow",
        "one row a day: how many tasks were created, resolved and reopened, and were open at its end",
        _OF_SOURCE
        | {
            "day": "UTC; every day from the first task's to today",
            "created": "",
            "resolved": "one that came resolved counts on the day of its last update, as far as that is known",
            "reopened": "",
            "deleted": "open ones that were deleted",
            "backlog": "open at the day's end: that of the day before + created - resolved + reopened - deleted",
        },
    ),
    View(
        "agent_load",
        "how many open tasks each agent has now",
        _OF_SOURCE
        | {"assignee_id": "null: those that nobody has"}
        | _columns("assignee open_tasks")
        | {"overdue": "how many of them have a due date that is past", "oldest_created_at": ""},
    ),
    View(
        "overdue_tasks",
        "the open tasks whose due date is past",
        _columns("_id ref_id name")
        | _STATUS
        | _columns("priority assignee queue created_at due_at")
        | {"overdue_seconds": "since the due date"}
        | _OF_SOURCE,
    ),
    View(
        "coverage_gaps",
        "the ranges of time before the watermark that no run has read; none after a run without trouble",
        {"source_id": ""} | _SOURCE_NAME | {"gap_start": "included", "gap_end": "not included"},
    ),
    View(
        "sync_freshness",
        "one row a source: how far it is complete, how old that is, and what is amiss",
        {
            "source_id": "",
            "source": "its name in the settings",
            "stream_id": "",
            "watermark": "all changes up to here are stored; null before the first sync is done",
            "age_seconds": "of the watermark",
            "last_command": "of the newest run",
            "last_state": "of the newest run: running, finished, failed, interrupted or abandoned",
            "last_started_at": "",
            "last_finished_at": "null while it runs",
            "tasks": "how many are stored and not deleted",
            "deleted": "how many are marked as deleted",
            "rejected": "records that could not be stored",
            "gaps": "how many ranges of time were never read: see coverage_gaps",
            "unverified_windows": "windows whose completeness is not proven",
        },
    ),
)
