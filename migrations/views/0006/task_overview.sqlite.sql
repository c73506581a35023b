select
    _id,
    ref_id,
    case_id,
    (select ref_id from cases where cases._id = tasks.case_id and cases.source_id = tasks.source_id) as case_ref_id,
    name,
    (select name from statuses
     where statuses._id = tasks.status_id and statuses.source_id = tasks.source_id) as status,
    (select category from statuses
     where statuses._id = tasks.status_id and statuses.source_id = tasks.source_id) as status_category,
    (select name from priorities
     where priorities._id = tasks.priority_id and priorities.source_id = tasks.source_id) as priority,
    assignee,
    queue,
    created_at,
    updated_at,
    due_at,
    deleted_at,
    stream_id,
    (select name from sources where sources.id = tasks.source_id) as source,
    source_id
from tasks
where forgotten_at is null
