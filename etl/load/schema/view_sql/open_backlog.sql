with counted as (
    select
        stream_id, source_id, status_id, priority_id, queue_id,
        case
            when created_at > {days_ago:1} then 0
            when created_at > {days_ago:3} then 1
            when created_at > {days_ago:7} then 3
            when created_at > {days_ago:30} then 7
            when created_at > {days_ago:90} then 30
            when created_at is not null then 90
        end as age_from,
        count(*) as tasks,
        count(case when due_at < {now} then 1 end) as overdue,
        min(created_at) as oldest_created_at
    from tasks
    where deleted_at is null and forgotten_at is null
    and {unresolved:tasks}
    group by stream_id, source_id, status_id, priority_id, queue_id, age_from
)
select
    counted.stream_id,
    sources.name as source,
    counted.source_id,
    counted.status_id,
    statuses.name as status,
    statuses.category as status_category,
    counted.priority_id,
    priorities.name as priority,
    counted.queue_id,
    queues.name as queue,
    case counted.age_from
        when 0 then '<1 day'
        when 1 then '1-3 days'
        when 3 then '3-7 days'
        when 7 then '7-30 days'
        when 30 then '30-90 days'
        when 90 then '>90 days'
        else 'unknown'
    end as age_band,
    counted.age_from,
    counted.tasks,
    counted.overdue,
    counted.oldest_created_at
from counted
left join sources on sources.id = counted.source_id
left join statuses on statuses._id = counted.status_id and statuses.source_id = counted.source_id
left join priorities on priorities._id = counted.priority_id and priorities.source_id = counted.source_id
left join queues on queues._id = counted.queue_id and queues.source_id = counted.source_id
