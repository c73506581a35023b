-- What is open, by status and priority?
select status, priority, count(*) as tasks
from task_overview
where is_open
group by status, priority
order by tasks desc
