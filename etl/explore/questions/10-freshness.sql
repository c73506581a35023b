-- How fresh are these numbers, and is anything missing?
select sources.name as source,
       watermarks.value as watermark,
       sync_runs.state as last_sync,
       sync_runs.exit_code,
       sync_runs.rejected,
       sync_runs.missing,
       (select count(*) from coverage_gaps where coverage_gaps.source_id = sources.id) as gaps
from sources
left join watermarks on watermarks.source_id = sources.id
left join sync_runs
       on sync_runs.id = (select max(id) from sync_runs where source_id = sources.id and command = 'sync')
order by sources.name
