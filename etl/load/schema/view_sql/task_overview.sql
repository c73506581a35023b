select
    tasks._id,
    tasks.ref_id,
    tasks.case_id,
    cases.ref_id as case_ref_id,
    tasks.name,
    statuses.name as status,
    statuses.category as status_category,
    priorities.name as priority,
    tasks.assignee,
    tasks.queue,
    tasks.created_at,
    tasks.updated_at,
    tasks.due_at,
    tasks.deleted_at,
    tasks.stream_id,
    sources.name as source,
    tasks.source_id
from tasks
left join sources on sources.id = tasks.source_id
left join cases on cases._id = tasks.case_id and cases.source_id = tasks.source_id
left join statuses on statuses._id = tasks.status_id and statuses.source_id = tasks.source_id
left join priorities on priorities._id = tasks.priority_id and priorities.source_id = tasks.source_id
where tasks.forgotten_at is null
