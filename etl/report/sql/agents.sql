-- The open and the overdue tasks of each agent, those that breached their SLA, and those for which the server tells
-- whether they did; no agent is that of the tasks that nobody has.
select counted.source_id, queue_id, priority_id, assignee_id, agents.name, tasks, overdue, breached, told
from (
    select
        source_id, queue_id, priority_id, assignee_id,
        count(*) as tasks, count(case when due_at < {now} then 1 end) as overdue,
        count(case when is_breached then 1 end) as breached, count(is_breached) as told
    from tasks
    where deleted_at is null and forgotten_at is null and {unresolved:tasks}
    group by source_id, queue_id, priority_id, assignee_id
) as counted
left join agents on agents._id = counted.assignee_id and agents.source_id = counted.source_id
