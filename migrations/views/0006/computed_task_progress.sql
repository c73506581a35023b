select
    tasks._id as task_id,
    min(tasks.stream_id) as stream_id,
    {source_of:tasks} as source,
    tasks.source_id,
    min(case when {new:old} and not {new:new} then {at:task_changes} end) as first_response_at,
    min(case when {resolved:new} and not {resolved:old} then {at:task_changes} end) as first_resolved_at,
    max(case when {resolved:new} and not {resolved:old} then {at:task_changes} end) as last_resolved_at,
    count(case when {resolved:old} and not {resolved:new} then 1 end) as reopened
from task_changes
join tasks on tasks._id = task_changes.task_id and tasks.source_id = task_changes.source_id
    and tasks.forgotten_at is null
left join statuses as old on old._id = task_changes.old_id and old.source_id = task_changes.source_id
left join statuses as new on new._id = task_changes.new_id and new.source_id = task_changes.source_id
where task_changes.field = 'status'
group by tasks._id, tasks.source_id
