-- The queues' names, those with the most tasks first.
select queues.source_id, queues._id, queues.name
from queues
left join (select queue_id, source_id, count(*) as number from tasks group by queue_id, source_id) as counted
    on counted.queue_id = queues._id and counted.source_id = queues.source_id
order by coalesce(number, 0) desc, queues.name, queues._id
