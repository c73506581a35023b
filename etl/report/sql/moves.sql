-- By how many the open tasks of a status grew on each day; is_recorded is 0 for the time in which no status was seen.
with came as (
    -- What came resolved counts as open from its creation until then.
    select source_id, queue_id, priority_id, {created:tasks} as created, {known:tasks} as known, {came_resolved} as number
    from tasks
    where forgotten_at is null and ({created:tasks} >= {shown} or {known:tasks} >= {shown})
),
sides as (
    select 1 as number
    union all
    select -1
)
select source_id, queue_id, priority_id, status_id, is_recorded, {local_day:at to events.source_id} as day, sum(number)
from (
    select
        tasks.source_id, queue_id, priority_id, status_intervals.status_id, 1 as is_recorded,
        case when sides.number > 0 then started_at else ended_at end as at, sides.number
    from status_intervals
    join tasks on tasks._id = status_intervals.task_id and tasks.source_id = status_intervals.source_id
    cross join sides
    where (started_at >= {shown} or ended_at >= {shown}) and {unresolved:status_intervals} and forgotten_at is null
    union all
    select source_id, queue_id, priority_id, status_id, 1, {created:tasks}, 1
    from tasks
    where forgotten_at is null and {created:tasks} >= {shown} and {unresolved:tasks} and {unchanged}
    union all
    select source_id, queue_id, priority_id, status_id, 1, deleted_at, -1
    from tasks
    where forgotten_at is null and deleted_at >= {shown} and {unresolved:tasks} and {unchanged}
    union all
    select
        source_id, queue_id, priority_id, null, 0,
        case when sides.number > 0 then created else known end, sides.number * came.number
    from came
    cross join sides
    where came.number <> 0
) as events
where at >= {shown}
group by 1, 2, 3, 4, 5, 6
having sum(number) <> 0
