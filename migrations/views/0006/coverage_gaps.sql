-- The watermark is a point where the last gap may end, the beginning of history one where the first may start.
with points as (
    select sync_windows.source_id, sync_windows.start_at as starts, sync_windows.checkpoint_at as ends
    from sync_windows
    join watermarks on watermarks.source_id = sync_windows.source_id
    where sync_windows.checkpoint_at > sync_windows.start_at and sync_windows.start_at < watermarks.value
    and sync_windows.job <> 'left'
    union all
    select sources.id, sources.history_start, sources.history_start
    from sources
    where sources.history_start is not null
    union all
    select watermarks.source_id, watermarks.value, watermarks.value
    from watermarks
),
reached as (
    select
        source_id,
        max(ends) over (partition by source_id order by starts, ends rows unbounded preceding) as gap_start,
        lead(starts) over (partition by source_id order by starts, ends) as gap_end
    from points
)
select
    reached.source_id,
    sources.name as source,
    sources.stream_id,
    reached.gap_start,
    reached.gap_end
from reached
left join sources on sources.id = reached.source_id
where reached.gap_end > reached.gap_start
and (sources.history_start is null or reached.gap_end > sources.history_start)
