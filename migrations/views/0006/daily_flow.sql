with recursive totals as (
    select
        stream_id,
        source_id,
        case
            when day > {today:daily_counts} then {today:daily_counts}
            when day < '1970-01-01' then '1970-01-01'
            else day
        end as day,
        sum(created) as created, sum(resolved) as resolved, sum(reopened) as reopened, sum(deleted) as deleted
    from daily_counts
    where created <> 0 or resolved <> 0 or reopened <> 0 or deleted <> 0
    group by 1, 2, 3
),
days as (
    select stream_id, source_id, min(day) as day from totals group by stream_id, source_id
    union all
    select stream_id, source_id, {next_day:day} from days where day < {today:days}
)
select
    days.stream_id,
    sources.name as source,
    days.source_id,
    days.day,
    cast(coalesce(totals.created, 0) as bigint) as created,
    cast(coalesce(totals.resolved, 0) as bigint) as resolved,
    cast(coalesce(totals.reopened, 0) as bigint) as reopened,
    cast(coalesce(totals.deleted, 0) as bigint) as deleted,
    cast(sum(coalesce(totals.created - totals.resolved + totals.reopened - totals.deleted, 0))
        over (partition by days.stream_id, days.source_id order by days.day) as bigint) as backlog
from days
left join sources on sources.id = days.source_id
left join totals
    on totals.stream_id = days.stream_id and totals.source_id = days.source_id and totals.day = days.day
