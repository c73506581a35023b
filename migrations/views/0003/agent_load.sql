with counted as (
    select
        stream_id, assignee_id,
        count(*) as open_tasks,
        count(case when due_at < {now} then 1 end) as overdue,
        min(created_at) as oldest_created_at
    from tasks
    where deleted_at is null and forgotten_at is null
    and {unresolved:tasks}
    group by stream_id, assignee_id
)
select
    counted.stream_id,
    counted.assignee_id,
    agents.name as assignee,
    counted.open_tasks,
    counted.overdue,
    counted.oldest_created_at
from counted
left join agents on agents._id = counted.assignee_id
