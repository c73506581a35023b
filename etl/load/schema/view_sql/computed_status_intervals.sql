with points as (
    select
        tasks._id as task_id, tasks.source_id, 0 as change_id, coalesce(tasks.created_at, tasks.first_seen_at) as at,
        tasks.deleted_at, tasks.status_id as current_id,
        {no_text} as old_id, {no_text} as old_value, {no_text} as new_id, {no_text} as new_value
    from tasks
    where tasks.forgotten_at is null
    and exists (select 1 from task_changes where {change})
    union all
    select
        task_id, source_id, id, {at:task_changes}, {no_moment}, {no_text}, old_id, old_value, new_id, new_value
    from task_changes
    where field = 'status'
),
in_order as (
    select
        task_id, source_id, change_id, at, new_id, new_value,
        row_number() over task as position,
        lead(change_id) over task as next_change_id,
        lead(at) over task as next_at,
        lead(old_id) over task as next_old_id,
        lead(old_value) over task as next_old_value,
        first_value(change_id) over task as first_change_id,
        first_value(at) over task as first_at,
        first_value(deleted_at) over task as deleted_at,
        first_value(current_id) over task as current_id
    from points
    window task as (
        partition by task_id, source_id order by case change_id when 0 then 0 else 1 end, at, change_id
    )
),
intervals as (
    select
        task_id,
        source_id,
        position,
        case
            when next_change_id is null then current_id
            when change_id = 0 then next_old_id
            else new_id
        end as status_id,
        case when change_id = 0 then next_old_value else new_value end as value,
        case when at > deleted_at then deleted_at when at < first_at then first_at else at end as started_at,
        case
            when next_at is null or next_at > deleted_at then deleted_at
            when next_at < first_at then first_at
            else next_at
        end as ended_at
    from in_order
    where first_change_id = 0
)
select
    task_id,
    (select stream_id from tasks where tasks._id = intervals.task_id and tasks.source_id = intervals.source_id)
        as stream_id,
    {source_of:intervals} as source,
    source_id,
    position,
    status_id,
    value,
    started_at,
    ended_at
from intervals
where ended_at is null or ended_at > started_at
