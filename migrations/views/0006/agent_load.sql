with counted as (
    select
        stream_id, source_id, assignee_id,
        count(*) as open_tasks,
        count(case when due_at < {now} then 1 end) as overdue,
        min(created_at) as oldest_created_at
    from tasks
    where deleted_at is null and forgotten_at is null
    and {unresolved:tasks}
    group by stream_id, source_id, assignee_id
)
select
    counted.stream_id,
    sources.name as source,
    counted.source_id,
    counted.assignee_id,
    agents.name as assignee,
    counted.open_tasks,
    counted.overdue,
    counted.oldest_created_at
from counted
left join sources on sources.id = counted.source_id
left join agents on agents._id = counted.assignee_id and agents.source_id = counted.source_id
