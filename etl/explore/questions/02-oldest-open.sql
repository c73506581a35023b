-- Which open tasks are the oldest?
select ref_id, date(created_at) as created, status, priority, assignee
from task_overview
where deleted_at is null
  and coalesce(status_category, '') not in ('resolved', 'closed')
order by created_at
limit 20
