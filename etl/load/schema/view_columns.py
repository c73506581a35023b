"""The views: purpose and columns. Their statements are in ``view_sql``; ``view_statements`` writes them for a database.

A task is open until its status is one with ``is_resolved``. A deleted task is not open. No view shows a forgotten task.
A day is one of the source's time zone: ``source_offsets`` holds the zone's offsets, since SQLite knows no time zones.
"""

from __future__ import annotations

from msgspec import Struct

_STATUS = {"status": "the status's current name", "status_category": "the status's current category"}
_SOURCE_NAME = {"source": "the source's name in the settings"}
_SOURCE = {"stream_id": ""} | _SOURCE_NAME | {"source_id": "part of the key"}
_DAY = "in the source's time zone"
_OF_SOURCE = {"stream_id": ""} | _SOURCE_NAME | {"source_id": ""}


class View(Struct, frozen=True):
    """A view with its purpose; a column's text is empty if its name says everything."""

    name: str
    comment: str
    columns: dict[str, str]


def _columns(names: str) -> dict[str, str]:
    """Return columns whose names say everything."""
    return dict.fromkeys(names.split(), "")


VIEWS = (
    View(
        "task_overview",
        "one row for each task with the names of its status, priority and case; without forgotten tasks",
        _columns("_id")
        | {"ref_id": 'the reference for people, such as "TS000105"'}
        | _columns("case_id case_ref_id name")
        | _STATUS
        | _columns("priority assignee queue created_at updated_at due_at")
        | {"deleted_at": "when a run found that the server no longer has it; null if the server has it"}
        | _OF_SOURCE
        | {
            "is_open": "it is not deleted, and its status is not resolved (is_resolved of statuses)",
            "is_breached": "isBreached of the API",
            "first_response_at": "the first change of its status away from open or new; no reply: the API shows none",
            "resolved_at": "when it was last resolved, if it still is; null if nobody saw that",
            "reopened": "how often it was open again after it was resolved",
            "created_day": f"the day of its creation {_DAY}",
            "due_day": f"the day of its due date {_DAY}",
            "resolved_day": f"the day of its resolution {_DAY}",
        }
        | _columns("status_id priority_id assignee_id queue_id user_id"),
    ),
    View(
        "computed_status_intervals",
        "the status intervals of each task with status changes; stored in status_intervals",
        _columns("task_id") | _OF_SOURCE | _columns("position status_id value started_at ended_at"),
    ),
    View(
        "computed_task_progress",
        "response and resolution times of each task with status changes; stored in task_progress",
        _columns("task_id") | _OF_SOURCE | _columns("first_response_at first_resolved_at last_resolved_at reopened"),
    ),
    View(
        "task_status_intervals",
        "each interval that a task spent in one status",
        _columns("task_id")
        | _SOURCE
        | _columns("status_id")
        | _STATUS
        | {
            "started_at": "for the first interval: when the task was created, or first seen if that is unknown",
            "ended_at": "when the next interval began or the task was deleted; null for the current interval",
            "seconds": "the interval's length; the current interval ends now",
        },
    ),
    View(
        "task_cycle_times",
        "one row for each task: time to first response, time to resolution, and reopenings",
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
        "the number of open tasks by status, priority, queue and age",
        _OF_SOURCE
        | _columns("status_id")
        | _STATUS
        | _columns("priority_id priority queue_id queue")
        | {
            "age_band": "age since creation: <1 day, 1-3 days, 3-7 days, 7-30 days, 30-90 days, >90 days, or unknown",
            "age_from": "the first day of the band, to sort by",
            "tasks": "number of tasks",
            "overdue": "number of tasks with a past due date",
            "oldest_created_at": "",
        },
    ),
    View(
        "daily_events",
        "the counts of each task in daily_flow by day; summed up in daily_counts",
        _columns("task_id") | _OF_SOURCE | {"day": _DAY} | _columns("created resolved reopened deleted"),
    ),
    View(
        "daily_flow",
        "one row for each day: tasks created, resolved and reopened, and tasks open at its end",
        _OF_SOURCE
        | {
            "day": f"{_DAY}; every day from the first task to today; earlier ones than 1970-01-01 count on it",
            "created": "",
            "resolved": "a task first seen as resolved counts on the day of its last update before that",
            "reopened": "",
            "deleted": "open tasks that were deleted",
            "backlog": "open tasks at the day's end: the day before + created - resolved + reopened - deleted",
        },
    ),
    View(
        "agent_load",
        "the number of open tasks of each agent",
        _OF_SOURCE
        | {"assignee_id": "null: unassigned tasks"}
        | _columns("assignee open_tasks")
        | {"overdue": "number of tasks with a past due date", "oldest_created_at": ""},
    ),
    View(
        "overdue_tasks",
        "open tasks with a past due date",
        _columns("_id ref_id name")
        | _STATUS
        | _columns("priority assignee queue created_at due_at")
        | {"overdue_seconds": "seconds since the due date"}
        | _OF_SOURCE,
    ),
    View(
        "coverage_gaps",
        "ranges of time before the watermark that no window covers; normally none",
        {"source_id": ""} | _SOURCE_NAME | {"stream_id": "", "gap_start": "included", "gap_end": "not included"},
    ),
    View(
        "sync_freshness",
        "one row for each source: watermark, its age, last run, problems, and its latest account",
        {
            "source_id": "",
            "source": "the source's name in the settings",
            "stream_id": "",
            "watermark": "all changes up to this time are stored; null before the first sync is done",
            "age_seconds": "age of the watermark",
            "last_command": "command of the newest run",
            "last_state": "state of the newest run: running, distributed, finished, failed, interrupted or abandoned",
            "last_started_at": "",
            "last_finished_at": "null while the run works",
            "tasks": "number of stored tasks that are not deleted",
            "deleted": "number of tasks marked as deleted",
            "rejected": "number of rejected records that are not acknowledged",
            "gaps": "number of gaps, as in coverage_gaps",
            "unverified_windows": "number of unverified windows",
            "server_total": "the account: what the server counts; null if it never told a total",
            "stored_live": "the account: stored tasks that the server should count",
            "quarantined": "the account: rejected records that are not stored as tasks",
            "hidden": "the account: tasks that the server counts and never shows",
            "missing": "the account: tasks that the server counts and that were not found",
        },
    ),
)
