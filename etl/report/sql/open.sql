-- The open tasks by status and age.
select source_id, queue_id, priority_id, status_id, age_from, tasks, overdue
from open_backlog
