-- By how many the open tasks of a status grew on each day; is_recorded is 0 for the time in which no status was seen.
select source_id, queue_id, priority_id, status_id, is_recorded, {local_day:at} as day, sum(number)
from (
    select
        tasks.source_id, queue_id, priority_id, status_intervals.status_id, 1 as is_recorded,
        started_at as at, 1 as number
    from status_intervals
    join tasks on tasks._id = status_intervals.task_id and tasks.source_id = status_intervals.source_id
    where started_at >= {shown} and forgotten_at is null and {unresolved:status_intervals}
    union all
    select tasks.source_id, queue_id, priority_id, status_intervals.status_id, 1, ended_at, -1
    from status_intervals
    join tasks on tasks._id = status_intervals.task_id and tasks.source_id = status_intervals.source_id
    where ended_at >= {shown} and forgotten_at is null and {unresolved:status_intervals}
    union all
    select source_id, queue_id, priority_id, status_id, 1, {created:tasks}, 1
    from tasks
    where forgotten_at is null and {created:tasks} >= {shown} and {unresolved:tasks} and {unchanged}
    union all
    select source_id, queue_id, priority_id, status_id, 1, deleted_at, -1
    from tasks
    where forgotten_at is null and deleted_at >= {shown} and {unresolved:tasks} and {unchanged}
    union all
    -- What came resolved counts as open from its creation until then.
    select source_id, queue_id, priority_id, null, 0, {created:tasks}, 1
    from tasks
    where forgotten_at is null and {created:tasks} >= {shown} and {resolved_now:tasks}
    union all
    select tasks.source_id, queue_id, priority_id, null, 0, {created:tasks}, -{step:task_changes}
    from tasks
    join task_changes on {change}
    where forgotten_at is null and {created:tasks} >= {shown} and {step:task_changes} <> 0
    union all
    select source_id, queue_id, priority_id, null, 0, {known:tasks}, -1
    from tasks
    where forgotten_at is null and {known:tasks} >= {shown} and {resolved_now:tasks}
    union all
    select tasks.source_id, queue_id, priority_id, null, 0, {known:tasks}, {step:task_changes}
    from tasks
    join task_changes on {change}
    where forgotten_at is null and {known:tasks} >= {shown} and {step:task_changes} <> 0
) as events
group by 1, 2, 3, 4, 5, 6
having sum(number) <> 0
