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
    tasks.stream_id
from tasks
left join statuses on statuses._id = tasks.status_id
left join priorities on priorities._id = tasks.priority_id
where tasks.due_at < {now} and tasks.deleted_at is null and tasks.forgotten_at is null
and {unresolved:tasks}
