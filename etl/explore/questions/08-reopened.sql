-- Which tasks were reopened?
select tasks.ref_id, status_before.name as was, status_after.name as became,
       date(task_changes.changed_at) as reopened, tasks.assignee
from task_changes
join tasks on tasks._id = task_changes.task_id and tasks.source_id = task_changes.source_id
join statuses as status_before
  on status_before._id = task_changes.old_id and status_before.source_id = task_changes.source_id
join statuses as status_after
  on status_after._id = task_changes.new_id and status_after.source_id = task_changes.source_id
where task_changes.field = 'status'
  and task_changes.changed_at >= '2025-01-01'
  and status_before.category in ('resolved', 'closed')
  and coalesce(status_after.category, '') not in ('resolved', 'closed')
order by task_changes.changed_at desc
