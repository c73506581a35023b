-- How many days do tasks take, by priority?
select task_overview.priority,
       count(resolved_seconds) as done,
       round(cast(avg(resolved_seconds) / 86400 as numeric), 1) as days_on_average
from task_overview
join task_cycle_times
  on task_cycle_times.task_id = task_overview._id and task_cycle_times.source_id = task_overview.source_id
where task_overview.resolved_at is not null
group by task_overview.priority
order by days_on_average desc
