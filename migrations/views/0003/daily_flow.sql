with recursive done as (
    select _id from statuses where {resolved:statuses}
),
known as (
    select
        _id, stream_id, status_id, deleted_at,
        coalesce(created_at, first_seen_at) as created_at,
        {day:coalesce(created_at, first_seen_at)} as created_on,
        {day:case when updated_at < first_seen_at then updated_at else first_seen_at end} as known_on
    from tasks
    where forgotten_at is null
),
crossings as (
    select
        known.stream_id, known.known_on,
        {day:case
            when {at:task_changes} > known.deleted_at then known.deleted_at
            when {at:task_changes} < known.created_at then known.created_at
            else {at:task_changes}
        end} as crossed_on,
        case when coalesce(task_changes.new_id, '') in (select _id from done) then 1 else -1 end as step
    from task_changes
    join known on known._id = task_changes.task_id
    where task_changes.field = 'status'
    and (coalesce(task_changes.new_id, '') in (select _id from done))
    <> (coalesce(task_changes.old_id, '') in (select _id from done))
),
events as (
    select stream_id, created_on as day, count(*) as created, 0 as resolved, 0 as reopened, 0 as deleted
    from known group by stream_id, created_on
    union all
    select stream_id, known_on, 0, count(*), 0, 0
    from known where status_id in (select _id from done) group by stream_id, known_on
    union all
    select stream_id, known_on, 0, -sum(step), 0, 0
    from crossings group by stream_id, known_on
    union all
    select stream_id, crossed_on, 0, count(case step when 1 then 1 end), count(case step when -1 then 1 end), 0
    from crossings group by stream_id, crossed_on
    union all
    select stream_id, {day:deleted_at}, 0, 0, 0, count(*)
    from known where deleted_at is not null and coalesce(status_id, '') not in (select _id from done) group by 1, 2
),
totals as (
    select
        stream_id,
        case when day > {today} then {today} else day end as day,
        sum(created) as created, sum(resolved) as resolved, sum(reopened) as reopened, sum(deleted) as deleted
    from events
    group by 1, 2
),
days as (
    select stream_id, min(day) as day from totals group by stream_id
    union all
    select stream_id, {next_day:day} from days where day < {today}
)
select
    days.stream_id,
    days.day,
    cast(coalesce(totals.created, 0) as bigint) as created,
    cast(coalesce(totals.resolved, 0) as bigint) as resolved,
    cast(coalesce(totals.reopened, 0) as bigint) as reopened,
    cast(coalesce(totals.deleted, 0) as bigint) as deleted,
    cast(sum(coalesce(totals.created - totals.resolved + totals.reopened - totals.deleted, 0))
        over (partition by days.stream_id order by days.day) as bigint) as backlog
from days
left join totals on totals.stream_id = days.stream_id and totals.day = days.day
