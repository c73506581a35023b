-- Do we keep up? Of each month's tasks, how many are done?
select substr(cast(created_day as text), 1, 7) as month,
       count(*) as created,
       count(*) filter (where not is_open) as done,
       count(*) filter (where is_open) as still_open
from task_overview
where deleted_at is null
  and created_day >= '2025-01-01'
group by substr(cast(created_day as text), 1, 7)
order by month desc
