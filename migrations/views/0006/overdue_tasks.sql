select
    tasks._id,
    tasks.ref_id,
    tasks.name,
    statuses.name as status,
    statuses.category as status_category,
    priorities.name as priority,
    tasks.assignee,
    tasks.queue,
    tasks.created_at,
    tasks.due_at,
    {seconds:tasks.due_at to {now}} as overdue_seconds,
    tasks.stream_id,
    sources.name as source,
    tasks.source_id
from tasks
left join sources on sources.id = tasks.source_id
left join statuses on statuses._id = tasks.status_id and statuses.source_id = tasks.source_id
left join priorities on priorities._id = tasks.priority_id and priorities.source_id = tasks.source_id
where tasks.due_at < {now} and tasks.deleted_at is null and tasks.forgotten_at is null
and {unresolved:tasks}
