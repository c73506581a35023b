-- Where do we breach, by one of our own fields?
select task_fields.text as product_group,
       count(*) as tasks,
       count(*) filter (where is_breached) as breached
from task_overview
left join task_fields
  on task_fields.task_id = task_overview._id and task_fields.source_id = task_overview.source_id
  and task_fields.key = 'Produktgruppe'
where deleted_at is null
group by task_fields.text
order by breached desc
