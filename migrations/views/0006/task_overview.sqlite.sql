select
    _id,
    ref_id,
    case_id,
    (select ref_id from cases where cases._id = tasks.case_id and cases.source_id = tasks.source_id) as case_ref_id,
    name,
    (select name from statuses
     where statuses._id = tasks.status_id and statuses.source_id = tasks.source_id) as status,
    (select category from statuses
     where statuses._id = tasks.status_id and statuses.source_id = tasks.source_id) as status_category,
    (select name from priorities
     where priorities._id = tasks.priority_id and priorities.source_id = tasks.source_id) as priority,
    assignee,
    queue,
    created_at,
    updated_at,
    due_at,
    deleted_at,
    stream_id,
    (select name from sources where sources.id = tasks.source_id) as source,
    source_id,
    cast(deleted_at is null and {unresolved:tasks} as boolean) as is_open,
    is_breached,
    (select first_response_at from task_progress
     where task_progress.task_id = tasks._id and task_progress.source_id = tasks.source_id) as first_response_at,
    (select last_resolved_at from task_progress
     where task_progress.task_id = tasks._id and task_progress.source_id = tasks.source_id
     and not {unresolved:tasks}) as resolved_at,
    cast(coalesce((select reopened from task_progress
     where task_progress.task_id = tasks._id and task_progress.source_id = tasks.source_id), 0) as bigint) as reopened,
    {day:coalesce(created_at, first_seen_at) to tasks.source_id} as created_day,
    {day:due_at to tasks.source_id} as due_day,
    (select {day:last_resolved_at to tasks.source_id} from task_progress
     where task_progress.task_id = tasks._id and task_progress.source_id = tasks.source_id
     and not {unresolved:tasks}) as resolved_day,
    status_id,
    priority_id,
    assignee_id,
    queue_id,
    user_id
from tasks
where forgotten_at is null
