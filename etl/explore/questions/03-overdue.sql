-- What is overdue, and with whom?
select ref_id, date(due_at) as due, priority, coalesce(assignee, queue, 'nobody') as with_whom, name
from task_overview
where deleted_at is null
  and coalesce(status_category, '') not in ('resolved', 'closed')
  and due_at < current_timestamp
order by due_at
