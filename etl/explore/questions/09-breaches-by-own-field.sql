-- Where do we breach, by one of our own fields?
select raw -> 'Produktgruppe' ->> 'selectedValue' as product_group,
       count(*) as tasks,
       count(*) filter (where is_breached) as breached
from tasks
where deleted_at is null
group by raw -> 'Produktgruppe' ->> 'selectedValue'
order by breached desc
