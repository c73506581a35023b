with times as (
    select
        tasks._id as task_id,
        tasks.stream_id,
        sources.name as source,
        tasks.source_id,
        coalesce(tasks.created_at, tasks.first_seen_at) as created_at,
        tasks.deleted_at,
        task_progress.first_response_at,
        task_progress.first_resolved_at,
        case when (tasks.status_id, tasks.source_id) in ({done}) then task_progress.last_resolved_at end as resolved_at,
        coalesce(task_progress.reopened, 0) as reopened
    from tasks
    left join sources on sources.id = tasks.source_id
    left join task_progress on task_progress.task_id = tasks._id and task_progress.source_id = tasks.source_id
    where tasks.forgotten_at is null
)
select
    task_id,
    stream_id,
    source,
    source_id,
    created_at,
    first_response_at,
    {seconds:created_at to first_response_at} as first_response_seconds,
    first_resolved_at,
    {seconds:created_at to first_resolved_at} as first_resolved_seconds,
    resolved_at,
    {seconds:created_at to resolved_at} as resolved_seconds,
    reopened,
    deleted_at
from times
