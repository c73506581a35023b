-- How long tasks stayed in each status of open tasks, of the stays that a change ended in what is shown.
select
    tasks.source_id, queue_id, priority_id, status_intervals.status_id, {seconds:started_at to ended_at}
from status_intervals
join tasks on tasks._id = status_intervals.task_id and tasks.source_id = status_intervals.source_id
where {in_period:ended_at to tasks.source_id} and (deleted_at is null or ended_at < deleted_at)
and forgotten_at is null and {unresolved:status_intervals}
