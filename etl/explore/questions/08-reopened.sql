-- Which tasks were reopened?
select tasks.ref_id, status_before.name as was, status_after.name as became,
       coalesce(task_changes.changed_at, task_changes.seen_at) as reopened_at, tasks.assignee
from task_changes
join tasks on tasks._id = task_changes.task_id and tasks.source_id = task_changes.source_id
join statuses as status_before
  on status_before._id = task_changes.old_id and status_before.source_id = task_changes.source_id
join statuses as status_after
  on status_after._id = task_changes.new_id and status_after.source_id = task_changes.source_id
where task_changes.field = 'status'
  and status_before.is_resolved
  and not status_after.is_resolved
order by reopened_at desc
