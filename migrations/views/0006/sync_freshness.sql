select
    sources.id as source_id,
    sources.name as source,
    sources.stream_id,
    watermarks.value as watermark,
    {seconds:watermarks.value to {now}} as age_seconds,
    last_run.command as last_command,
    last_run.state as last_state,
    last_run.started_at as last_started_at,
    last_run.finished_at as last_finished_at,
    (select count(*) from tasks
     where source_id = sources.id and deleted_at is null and forgotten_at is null) as tasks,
    (select count(*) from tasks
     where source_id = sources.id and deleted_at is not null and forgotten_at is null) as deleted,
    (select count(*) from rejected_records
     where source_id = sources.id and acknowledged_at is null) as rejected,
    coalesce(gap_counts.gaps, 0) as gaps,
    (select count(*) from sync_windows where source_id = sources.id and state = 'unverified') as unverified_windows,
    account.server_total,
    account.stored_live,
    account.quarantined,
    account.hidden,
    account.missing
from sources
left join watermarks on watermarks.source_id = sources.id
left join sync_runs as last_run on last_run.id = (
    select id from sync_runs where source_id = sources.id order by started_at desc, id desc limit 1
)
left join sync_runs as account on account.id = (
    select id from sync_runs
    where source_id = sources.id and server_total is not null and exit_code in (0, 3)
    order by id desc limit 1
)
left join (select source_id, count(*) as gaps from coverage_gaps group by source_id) gap_counts
    on gap_counts.source_id = sources.id
