-- Tasks created in what is shown, by the hour of the week from Monday's first.
select source_id, queue_id, priority_id, {hour_of_week:{created:tasks} to tasks.source_id}, count(*)
from tasks
where forgotten_at is null and {in_period:{created:tasks} to tasks.source_id}
group by 1, 2, 3, 4
