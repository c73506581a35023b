-- Of each source, queue and priority the ten open tasks that are the oldest, and the ten that are overdue the longest.
with places as (
    select
        _id, source_id,
        row_number() over (partition by source_id, queue_id, priority_id order by {created:tasks}, _id) as by_age,
        case when due_at < {now} then row_number() over (
            partition by source_id, queue_id, priority_id order by coalesce(due_at, {now}), _id
        ) end as by_due
    from tasks
    where deleted_at is null and forgotten_at is null and {unresolved:tasks}
)
select
    tasks.source_id, tasks.queue_id, tasks.priority_id, tasks._id, tasks.ref_id, tasks.name, tasks.status_id,
    coalesce(agents.name, tasks.assignee), {milliseconds:{created:tasks}}, {milliseconds:tasks.due_at}
from places
join tasks on tasks._id = places._id and tasks.source_id = places.source_id
left join agents on agents._id = tasks.assignee_id and agents.source_id = tasks.source_id
where by_age <= 10 or by_due <= 10
order by {created:tasks}, tasks._id
