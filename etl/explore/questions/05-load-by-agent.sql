-- How many open tasks does each agent have?
select assignee,
       count(*) as open,
       count(*) filter (where due_at < current_timestamp) as overdue,
       date(min(created_at)) as oldest
from task_overview
where deleted_at is null
  and assignee is not null
  and coalesce(status_category, '') not in ('resolved', 'closed')
group by assignee
order by open desc
