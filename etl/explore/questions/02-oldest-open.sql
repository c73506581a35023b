-- Which open tasks are the oldest?
select ref_id, created_day as created, status, priority, assignee
from task_overview
where is_open
order by created_at
limit 20
