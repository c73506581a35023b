-- What is open, by status and priority?
select status, priority, count(*) as tasks
from task_overview
where deleted_at is null
  and coalesce(status_category, '') not in ('resolved', 'closed')
group by status, priority
order by tasks desc
