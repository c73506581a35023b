-- From creation to resolution (0) and to the first response (1), as in task_cycle_times.
select source_id, queue_id, priority_id, kind, is_shown, week, seconds
from (
    select
        tasks.source_id, queue_id, priority_id, 0 as kind,
        case when {in_period:last_resolved_at to tasks.source_id} then 1 else 0 end as is_shown,
        {week:last_resolved_at} as week,
        {seconds:{created:tasks} to last_resolved_at} as seconds
    from task_progress
    join tasks on tasks._id = task_progress.task_id and tasks.source_id = task_progress.source_id
    where last_resolved_at >= {since} and forgotten_at is null and {resolved_now:tasks}
    union all
    select
        tasks.source_id, queue_id, priority_id, 1,
        case when {in_period:first_response_at to tasks.source_id} then 1 else 0 end,
        {week:first_response_at},
        {seconds:{created:tasks} to first_response_at}
    from task_progress
    join tasks on tasks._id = task_progress.task_id and tasks.source_id = task_progress.source_id
    where first_response_at >= {since} and forgotten_at is null
) as lengths
