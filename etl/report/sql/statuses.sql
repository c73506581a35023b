select source_id, _id, name, category, {resolved:statuses} from statuses order by _id, source_id
