select
    _id as task_id, stream_id, {source_of:tasks} as source, source_id,
    {day:coalesce(created_at, first_seen_at) to tasks.source_id} as day,
    1 as created, 0 as resolved, 0 as reopened, 0 as deleted
from tasks
where forgotten_at is null
union all
select
    _id, stream_id, {source_of:tasks}, source_id,
    {day:{known:tasks} to tasks.source_id},
    0, 1, 0, 0
from tasks
-- Not by an index of the status: where few tasks are asked for, they are found by their ids.
where forgotten_at is null and (coalesce(status_id, ''), +source_id) in ({done})
union all
select
    tasks._id, tasks.stream_id, {source_of:tasks}, tasks.source_id,
    {day:{known:tasks} to tasks.source_id},
    0, -{step:task_changes}, 0, 0
from tasks
join task_changes on {change}
where tasks.forgotten_at is null and {step:task_changes} <> 0
union all
select
    tasks._id, tasks.stream_id, {source_of:tasks}, tasks.source_id,
    {day:case
        when {at:task_changes} < coalesce(tasks.created_at, tasks.first_seen_at)
            then coalesce(tasks.created_at, tasks.first_seen_at)
        else {at:task_changes}
    end to tasks.source_id},
    0,
    case when {step:task_changes} > 0 then 1 else 0 end,
    case when {step:task_changes} < 0 then 1 else 0 end,
    0
from tasks
join task_changes on {change}
where tasks.forgotten_at is null and {step:task_changes} <> 0
and (tasks.deleted_at is null or {at:task_changes} <= tasks.deleted_at)
union all
select _id, stream_id, {source_of:tasks}, source_id, {day:deleted_at to tasks.source_id}, 0, 0, 0, 1
from tasks
where forgotten_at is null and deleted_at is not null and (coalesce(status_id, ''), +source_id) not in ({done})
union all
-- A later change of a deleted task: what it was when it was deleted still counts.
select
    tasks._id, tasks.stream_id, {source_of:tasks}, tasks.source_id, {day:tasks.deleted_at to tasks.source_id},
    0, 0, 0, {step:task_changes}
from tasks
cross join task_changes
where {change} and {at:task_changes} > tasks.deleted_at and {step:task_changes} <> 0 and tasks.forgotten_at is null
