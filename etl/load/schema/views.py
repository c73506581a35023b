"""The views: what each is for, and its columns. The migrations make them; docs/schema.md shows what stands here.

A task is open until its status is of the category resolved, closed, completed or done, written in any case; a status
without a category is judged by its name. A task that was deleted is not open. No view shows one that was forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

_STATUS = {"status": "its name as it is now", "status_category": "of the status, as it is now"}


@dataclass(frozen=True, slots=True)
class View:
    """A view: what it is for, and of each column what its name does not say, else an empty text."""

    name: str
    comment: str
    columns: dict[str, str]


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
        | _columns("stream_id"),
    ),
    View(
        "status_history",
        "the stretches of time in a status of each task that changed it; kept in status_stretches",
        _columns("task_id position status_id value started_at ended_at"),
    ),
    View(
        "status_course",
        "what the changes of its status say of each task that has some; kept in task_progress",
        _columns("task_id first_response_at first_resolved_at last_resolved_at reopened"),
    ),
    View(
        "task_status_intervals",
        "each stretch of time that a task was in one status",
        _columns("task_id status_id")
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
        _columns("task_id stream_id")
        | {
            "created_at": "or when it was first seen, where that is not told",
            "first_response_at": "when its status first left the category open or new; null if that was not seen",
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
        _columns("stream_id status_id")
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
        _columns("task_id stream_id") | {"day": "in UTC"} | _columns("created resolved reopened deleted"),
    ),
    View(
        "daily_flow",
        "one row a day: how many tasks were created, resolved and reopened, and were open at its end",
        _columns("stream_id")
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
        _columns("stream_id")
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
        | {"overdue_seconds": "since the due date", "stream_id": ""},
    ),
    View(
        "sync_freshness",
        "one row a source: how far it is complete, how old that is, and what is amiss",
        {
            "source_id": "",
            "name": "in the settings",
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
            "gaps": "how many stretches of time were never read: see coverage_gaps",
            "unverified_windows": "stretches that were read without certainty",
        },
    ),
    View(
        "coverage_gaps",
        "the stretches of time before the watermark that no run has read; none after a run without trouble",
        {"source_id": "", "gap_start": "included", "gap_end": "not included"},
    ),
)
