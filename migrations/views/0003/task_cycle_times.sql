with times as (
    select
        tasks._id as task_id,
        tasks.stream_id,
        coalesce(tasks.created_at, tasks.first_seen_at) as created_at,
        tasks.deleted_at,
        tasks.status_id,
        min(case when {new:old} and not {new:new} then {at:task_changes} end) as first_response_at,
        min(case when {resolved:new} and not {resolved:old} then {at:task_changes} end) as first_resolved_at,
        max(case when {resolved:new} and not {resolved:old} then {at:task_changes} end) as last_resolved_at,
        count(case when {resolved:old} and not {resolved:new} then 1 end) as reopened
    from tasks
    left join task_changes on task_changes.task_id = tasks._id and task_changes.field = 'status'
    left join statuses as old on old._id = task_changes.old_id
    left join statuses as new on new._id = task_changes.new_id
    where tasks.forgotten_at is null
    group by tasks._id
)
select
    times.task_id,
    times.stream_id,
    times.created_at,
    times.first_response_at,
    {seconds:times.created_at to times.first_response_at} as first_response_seconds,
    times.first_resolved_at,
    {seconds:times.created_at to times.first_resolved_at} as first_resolved_seconds,
    case when {resolved:statuses} then times.last_resolved_at end as resolved_at,
    case
        when {resolved:statuses} then {seconds:times.created_at to times.last_resolved_at}
    end as resolved_seconds,
    times.reopened,
    times.deleted_at
from times
left join statuses on statuses._id = times.status_id
