-- The sources, and the day of the first sync that stored a task.
select sources.id, sources.name, {local_day:first.at to sources.id}
from sources, (select min(first_seen_at) as at from tasks) as first
order by sources.name
