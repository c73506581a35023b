-- The most urgent first.
select source_id, _id, name, color from priorities order by coalesce(score, 0) desc, name, source_id
