-- The open tasks that breached their SLA, and the open tasks for which the server tells whether they did.
select source_id, queue_id, priority_id, count(case when is_breached then 1 end), count(is_breached)
from tasks
where deleted_at is null and forgotten_at is null and {unresolved:tasks}
group by 1, 2, 3
