-- The sources, and the day of the first sync that stored a task.
select id, name, (select {local_day:min(first_seen_at)} from tasks) from sources order by name
