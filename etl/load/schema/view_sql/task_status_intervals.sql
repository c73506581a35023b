with intervals as (
    select task_id, source_id, status_id, value, started_at, ended_at
    from status_intervals
    union all
    select _id, source_id, status_id, {no_text}, coalesce(created_at, first_seen_at), deleted_at
    from tasks
    where forgotten_at is null and (deleted_at is null or deleted_at > coalesce(created_at, first_seen_at))
    and not exists (
        select 1 from task_progress
        where task_progress.task_id = tasks._id and task_progress.source_id = tasks.source_id
    )
)
select
    intervals.task_id,
    (select stream_id from tasks where tasks._id = intervals.task_id and tasks.source_id = intervals.source_id)
        as stream_id,
    sources.name as source,
    intervals.source_id,
    intervals.status_id,
    coalesce(statuses.name, intervals.value) as status,
    statuses.category as status_category,
    intervals.started_at,
    intervals.ended_at,
    {seconds:intervals.started_at to coalesce(intervals.ended_at, {now})} as seconds
from intervals
left join sources on sources.id = intervals.source_id
left join statuses on statuses._id = intervals.status_id and statuses.source_id = intervals.source_id
