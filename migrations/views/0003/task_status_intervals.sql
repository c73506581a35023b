with stretches as (
    select task_id, status_id, value, started_at, ended_at
    from status_stretches
    union all
    select _id, status_id, {no_text}, coalesce(created_at, first_seen_at), deleted_at
    from tasks
    where forgotten_at is null and (deleted_at is null or deleted_at > coalesce(created_at, first_seen_at))
    and not exists (select 1 from task_progress where task_progress.task_id = tasks._id)
)
select
    stretches.task_id,
    stretches.status_id,
    coalesce(statuses.name, stretches.value) as status,
    statuses.category as status_category,
    stretches.started_at,
    stretches.ended_at,
    {seconds:stretches.started_at to coalesce(stretches.ended_at, {now})} as seconds
from stretches
left join statuses on statuses._id = stretches.status_id
