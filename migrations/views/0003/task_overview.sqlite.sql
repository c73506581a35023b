select
    _id,
    ref_id,
    case_id,
    (select ref_id from cases where cases._id = tasks.case_id) as case_ref_id,
    name,
    (select name from statuses where statuses._id = tasks.status_id) as status,
    (select category from statuses where statuses._id = tasks.status_id) as status_category,
    (select name from priorities where priorities._id = tasks.priority_id) as priority,
    assignee,
    queue,
    created_at,
    updated_at,
    due_at,
    deleted_at,
    stream_id
from tasks
where forgotten_at is null
