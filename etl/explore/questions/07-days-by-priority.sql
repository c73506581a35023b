-- How many days do tasks take, by priority?
select priorities.name as priority,
       count(*) as done,
       round(avg(julianday(tasks.updated_at) - julianday(tasks.created_at)), 1) as days_on_average
from tasks
join statuses on statuses._id = tasks.status_id and statuses.source_id = tasks.source_id
left join priorities on priorities._id = tasks.priority_id and priorities.source_id = tasks.source_id
where tasks.deleted_at is null
  and statuses.category in ('resolved', 'closed')
group by priorities.name, priorities.score
order by priorities.score desc
