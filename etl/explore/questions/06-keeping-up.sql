-- Do we keep up? Of each month's tasks, how many are done?
select substr(cast(created_at as text), 1, 7) as month,
       count(*) as created,
       count(*) filter (where status_category in ('resolved', 'closed')) as done,
       count(*) filter (where coalesce(status_category, '') not in ('resolved', 'closed')) as still_open
from task_overview
where deleted_at is null
  and created_at >= '2025-01-01'
group by substr(cast(created_at as text), 1, 7)
order by month desc
