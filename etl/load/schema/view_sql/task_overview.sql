select
    tasks._id,
    tasks.ref_id,
    tasks.case_id,
    cases.ref_id as case_ref_id,
    tasks.name,
    statuses.name as status,
    statuses.category as status_category,
    priorities.name as priority,
    tasks.assignee,
    tasks.queue,
    tasks.created_at,
    tasks.updated_at,
    tasks.due_at,
    tasks.deleted_at,
    tasks.stream_id,
    sources.name as source,
    tasks.source_id,
    tasks.deleted_at is null and not {resolved:statuses} as is_open,
    tasks.is_breached,
    task_progress.first_response_at,
    case when {resolved:statuses} then task_progress.last_resolved_at end as resolved_at,
    cast(coalesce(task_progress.reopened, 0) as bigint) as reopened,
    {day:coalesce(tasks.created_at, tasks.first_seen_at) to tasks.source_id} as created_day,
    {day:tasks.due_at to tasks.source_id} as due_day,
    case when {resolved:statuses} then {day:task_progress.last_resolved_at to tasks.source_id} end as resolved_day,
    tasks.status_id,
    tasks.priority_id,
    tasks.assignee_id,
    tasks.queue_id,
    tasks.user_id
from tasks
left join sources on sources.id = tasks.source_id
left join cases on cases._id = tasks.case_id and cases.source_id = tasks.source_id
left join statuses on statuses._id = tasks.status_id and statuses.source_id = tasks.source_id
left join priorities on priorities._id = tasks.priority_id and priorities.source_id = tasks.source_id
left join task_progress on task_progress.task_id = tasks._id and task_progress.source_id = tasks.source_id
where tasks.forgotten_at is null
