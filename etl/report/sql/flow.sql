-- Tasks created, resolved, reopened and deleted, each on the day on which daily_events counts it.
select
    source_id, queue_id, priority_id, {local_day:at to events.source_id} as day, {week:at} as week,
    sum(created), sum(resolved), sum(reopened), sum(deleted)
from (
    select
        source_id, queue_id, priority_id, {created:tasks} as at,
        1 as created, 0 as resolved, 0 as reopened, 0 as deleted
    from tasks
    where forgotten_at is null and {created:tasks} >= {since}
    union all
    select source_id, queue_id, priority_id, {known:tasks}, 0, {came_resolved}, 0, 0
    from tasks
    where forgotten_at is null and {known:tasks} >= {since}
    union all
    select
        tasks.source_id, queue_id, priority_id,
        case when {at:task_changes} < {created:tasks} then {created:tasks} else {at:task_changes} end,
        0,
        case when {step:task_changes} > 0 then 1 else 0 end,
        case when {step:task_changes} < 0 then 1 else 0 end,
        0
    from task_changes
    join tasks on {change}
    where {at:task_changes} >= {since} and {step:task_changes} <> 0 and forgotten_at is null
    and (deleted_at is null or {at:task_changes} <= deleted_at)
    union all
    -- An earlier change counts on the day of a creation that was moved behind it. These are found by their tasks.
    select
        tasks.source_id, queue_id, priority_id, {created:tasks}, 0,
        case when {step:task_changes} > 0 then 1 else 0 end,
        case when {step:task_changes} < 0 then 1 else 0 end,
        0
    from tasks
    cross join task_changes
    where {created:tasks} >= {since} and {change} and {at:task_changes} < {since}
    and {step:task_changes} <> 0 and forgotten_at is null
    and (deleted_at is null or {at:task_changes} <= deleted_at)
    union all
    select source_id, queue_id, priority_id, deleted_at, 0, 0, 0, 1
    from tasks
    where forgotten_at is null and deleted_at >= {since} and not {resolved_now:tasks}
    union all
    -- A later change of a deleted task: what it was when it was deleted still counts.
    select tasks.source_id, queue_id, priority_id, deleted_at, 0, 0, 0, {step:task_changes}
    from tasks
    cross join task_changes
    where deleted_at >= {since} and {change} and {at:task_changes} > deleted_at
    and {step:task_changes} <> 0 and forgotten_at is null
) as events
where at >= {since}
group by 1, 2, 3, 4, 5
