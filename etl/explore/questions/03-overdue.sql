-- What is overdue, and with whom?
select ref_id, due_day as due, priority, coalesce(assignee, queue, 'nobody') as with_whom, name
from task_overview
where is_open
  and due_at < current_timestamp
order by due_at
