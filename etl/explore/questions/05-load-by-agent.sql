-- How many open tasks does each agent have?
select assignee,
       count(*) as open,
       count(*) filter (where due_at < current_timestamp) as overdue,
       min(created_day) as oldest
from task_overview
where is_open
  and assignee is not null
group by assignee
order by open desc
