-- Which queues are behind?
select coalesce(queue, '(no queue)') as in_queue,
       count(*) as open,
       count(*) filter (where assignee is null) as unassigned,
       count(*) filter (where due_at < current_timestamp) as overdue
from task_overview
where is_open
group by coalesce(queue, '(no queue)')
order by overdue desc, open desc
