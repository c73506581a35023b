with stretches as (
    select
        tasks._id as task_id,
        case when change.id is null then tasks.status_id else change.old_id end as status_id,
        change.old_value as value,
        coalesce(tasks.created_at, tasks.first_seen_at) as started_at,
        case
            when change.id is null or {at:change} > tasks.deleted_at then tasks.deleted_at
            else {at:change}
        end as ended_at
    from tasks
    left join task_changes as change on change.id = (
        select id from task_changes
        where task_id = tasks._id and field = 'status'
        order by {at:task_changes}, id limit 1
    )
    where tasks.forgotten_at is null
    union all
    select
        tasks._id,
        case when following.id is null then tasks.status_id else change.new_id end,
        change.new_value,
        case
            when {at:change} < coalesce(tasks.created_at, tasks.first_seen_at)
                then coalesce(tasks.created_at, tasks.first_seen_at)
            else {at:change}
        end,
        case
            when following.id is null or {at:following} > tasks.deleted_at then tasks.deleted_at
            else {at:following}
        end
    from task_changes as change
    join tasks on tasks._id = change.task_id
    left join task_changes as following on following.id = (
        select id from task_changes
        where task_id = change.task_id and field = 'status' and ({at:task_changes}, id) > ({at:change}, change.id)
        order by {at:task_changes}, id limit 1
    )
    where change.field = 'status' and tasks.forgotten_at is null
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
where stretches.ended_at is null or stretches.ended_at > stretches.started_at
