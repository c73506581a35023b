CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE sources (
	id BIGSERIAL NOT NULL,
	name TEXT NOT NULL,
	base_url TEXT NOT NULL,
	account_id TEXT NOT NULL,
	stream_id TEXT NOT NULL,
	history_start TIMESTAMP(3) WITH TIME ZONE,
	capabilities JSONB,
	probed_at TIMESTAMP(3) WITH TIME ZONE,
	created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	shape TEXT,
	CONSTRAINT pk_sources PRIMARY KEY (id),
	CONSTRAINT uq_sources_account_id_stream_id UNIQUE (account_id, stream_id)
);

COMMENT ON TABLE sources IS 'a stream of tasks that is synced';

COMMENT ON COLUMN sources.name IS 'the name in the settings';

COMMENT ON COLUMN sources.history_start IS 'the beginning of history: nothing is older';

COMMENT ON COLUMN sources.capabilities IS 'what the probe found out of this server';

COMMENT ON COLUMN sources.shape IS 'what the stored rows were made by: see refresh';

CREATE TABLE daily_counts (
	stream_id TEXT NOT NULL,
	day DATE NOT NULL,
	created INTEGER NOT NULL,
	resolved INTEGER NOT NULL,
	reopened INTEGER NOT NULL,
	deleted INTEGER NOT NULL,
	CONSTRAINT pk_daily_counts PRIMARY KEY (stream_id, day)
);

COMMENT ON TABLE daily_counts IS 'what daily_flow shows, kept up to date as tasks are written';

COMMENT ON COLUMN daily_counts.day IS 'in UTC';

CREATE TABLE sync_runs (
	id BIGSERIAL NOT NULL,
	source_id BIGINT NOT NULL,
	command TEXT NOT NULL,
	state TEXT NOT NULL,
	started_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	finished_at TIMESTAMP(3) WITH TIME ZONE,
	exit_code INTEGER,
	requests INTEGER DEFAULT '0' NOT NULL,
	retries INTEGER DEFAULT '0' NOT NULL,
	rate_limited INTEGER DEFAULT '0' NOT NULL,
	windows INTEGER DEFAULT '0' NOT NULL,
	unverified INTEGER DEFAULT '0' NOT NULL,
	fetched INTEGER DEFAULT '0' NOT NULL,
	inserted INTEGER DEFAULT '0' NOT NULL,
	updated INTEGER DEFAULT '0' NOT NULL,
	unchanged INTEGER DEFAULT '0' NOT NULL,
	stale INTEGER DEFAULT '0' NOT NULL,
	rejected INTEGER DEFAULT '0' NOT NULL,
	watermark_before TIMESTAMP(3) WITH TIME ZONE,
	watermark_after TIMESTAMP(3) WITH TIME ZONE,
	version TEXT NOT NULL,
	settings JSONB NOT NULL,
	error TEXT,
	CONSTRAINT pk_sync_runs PRIMARY KEY (id),
	CONSTRAINT fk_sync_runs_source_id FOREIGN KEY(source_id) REFERENCES sources (id)
);

COMMENT ON TABLE sync_runs IS 'one row a run of a command on a source';

COMMENT ON COLUMN sync_runs.command IS 'sync, backfill ...';

COMMENT ON COLUMN sync_runs.state IS 'running, finished, failed, interrupted, abandoned';

COMMENT ON COLUMN sync_runs.rate_limited IS 'answers that told to slow down';

COMMENT ON COLUMN sync_runs.windows IS 'stretches of time that were read';

COMMENT ON COLUMN sync_runs.unverified IS 'of them, those read without certainty';

COMMENT ON COLUMN sync_runs.fetched IS 'records read, repeats included';

COMMENT ON COLUMN sync_runs.stale IS 'older than the row that is kept';

COMMENT ON COLUMN sync_runs.version IS 'of kore-etl';

COMMENT ON COLUMN sync_runs.settings IS 'in force, secrets masked';

CREATE TABLE statuses (
	_id TEXT NOT NULL,
	source_id BIGINT NOT NULL,
	name TEXT,
	category TEXT,
	type TEXT,
	description TEXT,
	is_enabled BOOLEAN,
	is_active BOOLEAN,
	seen_at TIMESTAMP(3) WITH TIME ZONE,
	raw JSONB NOT NULL,
	CONSTRAINT pk_statuses PRIMARY KEY (_id),
	CONSTRAINT fk_statuses_source_id FOREIGN KEY(source_id) REFERENCES sources (id)
);

COMMENT ON TABLE statuses IS 'the customer''s statuses';

COMMENT ON COLUMN statuses.category IS 'statusCategory: open, resolved ...';

COMMENT ON COLUMN statuses.seen_at IS 'updatedAt of the newest task that showed it so';

CREATE TABLE priorities (
	_id TEXT NOT NULL,
	source_id BIGINT NOT NULL,
	name TEXT,
	color TEXT,
	score FLOAT,
	type TEXT,
	description TEXT,
	is_enabled BOOLEAN,
	is_active BOOLEAN,
	seen_at TIMESTAMP(3) WITH TIME ZONE,
	raw JSONB NOT NULL,
	CONSTRAINT pk_priorities PRIMARY KEY (_id),
	CONSTRAINT fk_priorities_source_id FOREIGN KEY(source_id) REFERENCES sources (id)
);

COMMENT ON TABLE priorities IS 'the customer''s priorities';

COMMENT ON COLUMN priorities.seen_at IS 'updatedAt of the newest task that showed it so';

CREATE TABLE cases (
	_id TEXT NOT NULL,
	source_id BIGINT NOT NULL,
	ref_id TEXT,
	seen_at TIMESTAMP(3) WITH TIME ZONE,
	CONSTRAINT pk_cases PRIMARY KEY (_id),
	CONSTRAINT fk_cases_source_id FOREIGN KEY(source_id) REFERENCES sources (id)
);

COMMENT ON TABLE cases IS 'the cases that tasks belong to';

COMMENT ON COLUMN cases.ref_id IS 'as people say it, such as "CS000108"';

COMMENT ON COLUMN cases.seen_at IS 'updatedAt of the newest task that showed it so';

CREATE TABLE agents (
	_id TEXT NOT NULL,
	source_id BIGINT NOT NULL,
	name TEXT,
	seen_at TIMESTAMP(3) WITH TIME ZONE,
	CONSTRAINT pk_agents PRIMARY KEY (_id),
	CONSTRAINT fk_agents_source_id FOREIGN KEY(source_id) REFERENCES sources (id)
);

COMMENT ON TABLE agents IS 'the agents that tasks are assigned to or that take part';

COMMENT ON COLUMN agents.seen_at IS 'updatedAt of the newest task that showed it so';

CREATE TABLE queues (
	_id TEXT NOT NULL,
	source_id BIGINT NOT NULL,
	name TEXT,
	type TEXT,
	seen_at TIMESTAMP(3) WITH TIME ZONE,
	CONSTRAINT pk_queues PRIMARY KEY (_id),
	CONSTRAINT fk_queues_source_id FOREIGN KEY(source_id) REFERENCES sources (id)
);

COMMENT ON TABLE queues IS 'the queues that tasks wait in';

COMMENT ON COLUMN queues.seen_at IS 'updatedAt of the newest task that showed it so';

CREATE TABLE users (
	_id TEXT NOT NULL,
	source_id BIGINT NOT NULL,
	name TEXT,
	email TEXT,
	seen_at TIMESTAMP(3) WITH TIME ZONE,
	CONSTRAINT pk_users PRIMARY KEY (_id),
	CONSTRAINT fk_users_source_id FOREIGN KEY(source_id) REFERENCES sources (id)
);

COMMENT ON TABLE users IS 'the people that tasks are for, and who made or changed them';

COMMENT ON COLUMN users.seen_at IS 'updatedAt of the newest task that showed it so';

CREATE TABLE watermarks (
	source_id BIGINT NOT NULL,
	value TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	moved_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	run_id BIGINT NOT NULL,
	CONSTRAINT pk_watermarks PRIMARY KEY (source_id),
	CONSTRAINT fk_watermarks_source_id FOREIGN KEY(source_id) REFERENCES sources (id),
	CONSTRAINT fk_watermarks_run_id FOREIGN KEY(run_id) REFERENCES sync_runs (id)
);

COMMENT ON TABLE watermarks IS 'how far a source is covered';

COMMENT ON COLUMN watermarks.value IS 'all changes up to here are stored';

CREATE TABLE sync_windows (
	id BIGSERIAL NOT NULL,
	source_id BIGINT NOT NULL,
	run_id BIGINT NOT NULL,
	job TEXT NOT NULL,
	field TEXT NOT NULL,
	start_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	end_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	covered_until TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	reading TEXT NOT NULL,
	state TEXT NOT NULL,
	requests INTEGER DEFAULT '0' NOT NULL,
	rows INTEGER DEFAULT '0' NOT NULL,
	reported_total INTEGER,
	attempts INTEGER DEFAULT '0' NOT NULL,
	opened_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	finished_at TIMESTAMP(3) WITH TIME ZONE,
	error TEXT,
	CONSTRAINT pk_sync_windows PRIMARY KEY (id),
	CONSTRAINT fk_sync_windows_source_id FOREIGN KEY(source_id) REFERENCES sources (id),
	CONSTRAINT fk_sync_windows_run_id FOREIGN KEY(run_id) REFERENCES sync_runs (id)
);

COMMENT ON TABLE sync_windows IS 'the ledger of stretches of time that were read';

COMMENT ON COLUMN sync_windows.run_id IS 'the run that worked on it last';

COMMENT ON COLUMN sync_windows.job IS 'what asked for it: first, sync, full, backfill, sweep';

COMMENT ON COLUMN sync_windows.field IS 'createdAt or updatedAt';

COMMENT ON COLUMN sync_windows.start_at IS 'included';

COMMENT ON COLUMN sync_windows.end_at IS 'not included';

COMMENT ON COLUMN sync_windows.covered_until IS 'committed from start_at up to here';

COMMENT ON COLUMN sync_windows.reading IS 'keyset, newest, verified';

COMMENT ON COLUMN sync_windows.state IS 'pending, running, verified, unverified, failed';

COMMENT ON COLUMN sync_windows.rows IS 'records read, repeats included';

COMMENT ON COLUMN sync_windows.reported_total IS 'totalResults, where the server tells it';

COMMENT ON COLUMN sync_windows.attempts IS 'how often its reading was begun';

COMMENT ON COLUMN sync_windows.opened_at IS 'the server''s time when its reading began';

CREATE TABLE tasks (
	_id TEXT NOT NULL,
	source_id BIGINT NOT NULL,
	stream_id TEXT NOT NULL,
	case_id TEXT,
	ref_id TEXT,
	name TEXT,
	status_id TEXT,
	priority_id TEXT,
	assignee_type TEXT,
	assignee_id TEXT,
	assignee TEXT,
	queue_id TEXT,
	queue TEXT,
	conversation_type TEXT,
	origin TEXT,
	account_id TEXT,
	org_id TEXT,
	user_id TEXT,
	user_name TEXT,
	created_by_id TEXT,
	created_by TEXT,
	updated_by_id TEXT,
	updated_by TEXT,
	is_active BOOLEAN,
	is_breached BOOLEAN,
	is_custom BOOLEAN,
	due_at TIMESTAMP(3) WITH TIME ZONE,
	created_at TIMESTAMP(3) WITH TIME ZONE,
	updated_at TIMESTAMP(3) WITH TIME ZONE,
	raw JSONB NOT NULL,
	deleted_at TIMESTAMP(3) WITH TIME ZONE,
	first_seen_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	stored_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	run_id BIGINT NOT NULL,
	forgotten_at TIMESTAMP(3) WITH TIME ZONE,
	CONSTRAINT pk_tasks PRIMARY KEY (_id),
	CONSTRAINT fk_tasks_source_id FOREIGN KEY(source_id) REFERENCES sources (id),
	CONSTRAINT fk_tasks_case_id FOREIGN KEY(case_id) REFERENCES cases (_id),
	CONSTRAINT fk_tasks_status_id FOREIGN KEY(status_id) REFERENCES statuses (_id),
	CONSTRAINT fk_tasks_priority_id FOREIGN KEY(priority_id) REFERENCES priorities (_id),
	CONSTRAINT fk_tasks_assignee_id FOREIGN KEY(assignee_id) REFERENCES agents (_id),
	CONSTRAINT fk_tasks_queue_id FOREIGN KEY(queue_id) REFERENCES queues (_id),
	CONSTRAINT fk_tasks_user_id FOREIGN KEY(user_id) REFERENCES users (_id),
	CONSTRAINT fk_tasks_created_by_id FOREIGN KEY(created_by_id) REFERENCES users (_id),
	CONSTRAINT fk_tasks_updated_by_id FOREIGN KEY(updated_by_id) REFERENCES users (_id),
	CONSTRAINT fk_tasks_run_id FOREIGN KEY(run_id) REFERENCES sync_runs (id)
);

COMMENT ON TABLE tasks IS 'one row a task, its newest version';

COMMENT ON COLUMN tasks.ref_id IS 'as people say it, such as "TS000105"';

COMMENT ON COLUMN tasks.name IS 'what it is about';

COMMENT ON COLUMN tasks.assignee_type IS 'unassigned, queues or agent';

COMMENT ON COLUMN tasks.assignee IS 'the agent''s name, as this record says it';

COMMENT ON COLUMN tasks.queue IS 'the queue''s name, as this record says it';

COMMENT ON COLUMN tasks.conversation_type IS 'such as TASK';

COMMENT ON COLUMN tasks.origin IS 'the API''s key source, such as rtm';

COMMENT ON COLUMN tasks.user_name IS 'as this record says it';

COMMENT ON COLUMN tasks.created_by IS 'the name, as this record says it';

COMMENT ON COLUMN tasks.updated_by IS 'the name, as this record says it';

COMMENT ON COLUMN tasks.is_active IS 'false: deactivated, which counts as deleted';

COMMENT ON COLUMN tasks.is_breached IS 'isBreached, as the API tells it';

COMMENT ON COLUMN tasks.is_custom IS 'isCustTsk, as the API tells it';

COMMENT ON COLUMN tasks.raw IS 'the whole record as the API gave it';

COMMENT ON COLUMN tasks.deleted_at IS 'when it was found gone from the server';

COMMENT ON COLUMN tasks.first_seen_at IS 'when a sync first stored it';

COMMENT ON COLUMN tasks.stored_at IS 'when this version was written here';

COMMENT ON COLUMN tasks.run_id IS 'the run that wrote this version';

COMMENT ON COLUMN tasks.forgotten_at IS 'when its content was erased on request';

CREATE TABLE unknown_keys (
	source_id BIGINT NOT NULL,
	key TEXT NOT NULL,
	example TEXT,
	task_id TEXT NOT NULL,
	first_seen_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	run_id BIGINT NOT NULL,
	CONSTRAINT pk_unknown_keys PRIMARY KEY (source_id, key),
	CONSTRAINT fk_unknown_keys_source_id FOREIGN KEY(source_id) REFERENCES sources (id),
	CONSTRAINT fk_unknown_keys_run_id FOREIGN KEY(run_id) REFERENCES sync_runs (id)
);

COMMENT ON TABLE unknown_keys IS 'keys of records that are neither the API''s own, as far as they are known, nor custom fields';

COMMENT ON COLUMN unknown_keys.key IS 'at the top of the record';

COMMENT ON COLUMN unknown_keys.example IS 'the beginning of its value as JSON';

COMMENT ON COLUMN unknown_keys.task_id IS 'the task that showed it first';

CREATE TABLE task_changes (
	id BIGSERIAL NOT NULL,
	task_id TEXT NOT NULL,
	field TEXT NOT NULL,
	old_id TEXT,
	new_id TEXT,
	old_value TEXT,
	new_value TEXT,
	changed_at TIMESTAMP(3) WITH TIME ZONE,
	seen_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	run_id BIGINT NOT NULL,
	CONSTRAINT pk_task_changes PRIMARY KEY (id),
	CONSTRAINT fk_task_changes_task_id FOREIGN KEY(task_id) REFERENCES tasks (_id),
	CONSTRAINT fk_task_changes_run_id FOREIGN KEY(run_id) REFERENCES sync_runs (id)
);

COMMENT ON TABLE task_changes IS 'what changed on a task between two versions that were seen';

COMMENT ON COLUMN task_changes.field IS 'status, priority, assignee, queue, name, due date, deletion, return';

COMMENT ON COLUMN task_changes.old_id IS 'of the status, priority, assignee or queue before';

COMMENT ON COLUMN task_changes.new_id IS 'of the one after';

COMMENT ON COLUMN task_changes.old_value IS 'its name at that time, or the value before as text';

COMMENT ON COLUMN task_changes.new_value IS 'its name at that time, or the value after as text';

COMMENT ON COLUMN task_changes.changed_at IS 'updatedAt of the version that shows it';

COMMENT ON COLUMN task_changes.seen_at IS 'when a sync met that version';

CREATE TABLE rejected_records (
	id BIGSERIAL NOT NULL,
	source_id BIGINT NOT NULL,
	digest TEXT NOT NULL,
	record_id TEXT,
	reason TEXT NOT NULL,
	raw TEXT NOT NULL,
	times_seen INTEGER NOT NULL,
	first_seen_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	last_seen_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	first_run_id BIGINT NOT NULL,
	last_run_id BIGINT NOT NULL,
	window_id BIGINT,
	acknowledged_at TIMESTAMP(3) WITH TIME ZONE,
	CONSTRAINT pk_rejected_records PRIMARY KEY (id),
	CONSTRAINT uq_rejected_records_source_id_digest UNIQUE (source_id, digest),
	CONSTRAINT fk_rejected_records_source_id FOREIGN KEY(source_id) REFERENCES sources (id),
	CONSTRAINT fk_rejected_records_first_run_id FOREIGN KEY(first_run_id) REFERENCES sync_runs (id),
	CONSTRAINT fk_rejected_records_last_run_id FOREIGN KEY(last_run_id) REFERENCES sync_runs (id),
	CONSTRAINT fk_rejected_records_window_id FOREIGN KEY(window_id) REFERENCES sync_windows (id)
);

COMMENT ON TABLE rejected_records IS 'records that could not be stored, with the reason';

COMMENT ON COLUMN rejected_records.digest IS 'of the raw text: kept once by content';

COMMENT ON COLUMN rejected_records.record_id IS 'its _id, where it has one';

COMMENT ON COLUMN rejected_records.acknowledged_at IS 'since when it makes no run incomplete: kore-etl rejected acknowledge';

CREATE TABLE task_queues (
	task_id TEXT NOT NULL,
	position INTEGER NOT NULL,
	queue_id TEXT,
	status TEXT,
	started_at TIMESTAMP(3) WITH TIME ZONE,
	CONSTRAINT pk_task_queues PRIMARY KEY (task_id, position),
	CONSTRAINT fk_task_queues_task_id FOREIGN KEY(task_id) REFERENCES tasks (_id),
	CONSTRAINT fk_task_queues_queue_id FOREIGN KEY(queue_id) REFERENCES queues (_id)
);

COMMENT ON TABLE task_queues IS 'the queues of each task';

COMMENT ON COLUMN task_queues.position IS 'its place in the list, from 0';

CREATE TABLE task_participants (
	task_id TEXT NOT NULL,
	position INTEGER NOT NULL,
	agent_id TEXT,
	name TEXT,
	status TEXT,
	assigned_at TIMESTAMP(3) WITH TIME ZONE,
	CONSTRAINT pk_task_participants PRIMARY KEY (task_id, position),
	CONSTRAINT fk_task_participants_task_id FOREIGN KEY(task_id) REFERENCES tasks (_id),
	CONSTRAINT fk_task_participants_agent_id FOREIGN KEY(agent_id) REFERENCES agents (_id)
);

COMMENT ON TABLE task_participants IS 'the agents that take part in each task';

COMMENT ON COLUMN task_participants.position IS 'its place in the list, from 0';

COMMENT ON COLUMN task_participants.name IS 'as the task''s record says it';

CREATE TABLE task_tags (
	task_id TEXT NOT NULL,
	position INTEGER NOT NULL,
	tag TEXT,
	CONSTRAINT pk_task_tags PRIMARY KEY (task_id, position),
	CONSTRAINT fk_task_tags_task_id FOREIGN KEY(task_id) REFERENCES tasks (_id)
);

COMMENT ON TABLE task_tags IS 'the tags of each task';

COMMENT ON COLUMN task_tags.position IS 'its place in the list, from 0';

CREATE TABLE task_channels (
	task_id TEXT NOT NULL,
	position INTEGER NOT NULL,
	channel TEXT,
	CONSTRAINT pk_task_channels PRIMARY KEY (task_id, position),
	CONSTRAINT fk_task_channels_task_id FOREIGN KEY(task_id) REFERENCES tasks (_id)
);

COMMENT ON TABLE task_channels IS 'the channels of each task';

COMMENT ON COLUMN task_channels.position IS 'its place in the list, from 0';

CREATE TABLE task_fields (
	task_id TEXT NOT NULL,
	position INTEGER NOT NULL,
	field_id TEXT,
	key TEXT,
	name TEXT,
	data_type TEXT,
	text TEXT,
	number FLOAT,
	time TIMESTAMP(3) WITH TIME ZONE,
	CONSTRAINT pk_task_fields PRIMARY KEY (task_id, position),
	CONSTRAINT fk_task_fields_task_id FOREIGN KEY(task_id) REFERENCES tasks (_id)
);

COMMENT ON TABLE task_fields IS 'the custom and system fields of each task that have a value';

COMMENT ON COLUMN task_fields.position IS 'its place in the list, from 0';

COMMENT ON COLUMN task_fields.field_id IS 'its _id, where the record gives one';

COMMENT ON COLUMN task_fields.key IS 'the field''s name, as in the record';

COMMENT ON COLUMN task_fields.name IS 'the field''s name, as people see it';

COMMENT ON COLUMN task_fields.number IS 'the value, where it is a number';

COMMENT ON COLUMN task_fields.time IS 'the value, where it is a date or time';

CREATE TABLE status_stretches (
	task_id TEXT NOT NULL,
	position INTEGER NOT NULL,
	status_id TEXT,
	value TEXT,
	started_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
	ended_at TIMESTAMP(3) WITH TIME ZONE,
	CONSTRAINT pk_status_stretches PRIMARY KEY (task_id, position),
	CONSTRAINT fk_status_stretches_task_id FOREIGN KEY(task_id) REFERENCES tasks (_id)
);

COMMENT ON TABLE status_stretches IS 'the stretches of time in a status of each task that changed it, for task_status_intervals';

COMMENT ON COLUMN status_stretches.position IS 'in their order, from 1';

COMMENT ON COLUMN status_stretches.value IS 'its name at that time';

COMMENT ON COLUMN status_stretches.ended_at IS 'null for the one that lasts';

CREATE TABLE task_progress (
	task_id TEXT NOT NULL,
	first_response_at TIMESTAMP(3) WITH TIME ZONE,
	first_resolved_at TIMESTAMP(3) WITH TIME ZONE,
	last_resolved_at TIMESTAMP(3) WITH TIME ZONE,
	reopened INTEGER NOT NULL,
	CONSTRAINT pk_task_progress PRIMARY KEY (task_id),
	CONSTRAINT fk_task_progress_task_id FOREIGN KEY(task_id) REFERENCES tasks (_id)
);

COMMENT ON TABLE task_progress IS 'what the changes of its status say of each task that has some, for task_cycle_times';

COMMENT ON COLUMN task_progress.reopened IS 'how often';

CREATE INDEX ix_cases_ref_id ON cases USING hash (ref_id);

CREATE INDEX ix_sync_runs_source_id_started_at ON sync_runs (source_id, started_at);

CREATE INDEX ix_sync_windows_source_id_start_at ON sync_windows (source_id, start_at);

CREATE INDEX ix_sync_windows_source_id_state ON sync_windows (source_id, state);

CREATE INDEX ix_task_changes_field ON task_changes (field, task_id, changed_at, seen_at, old_id, new_id);

CREATE INDEX ix_task_changes_task_id_changed_at ON task_changes (task_id, changed_at);

CREATE INDEX ix_task_channels_channel ON task_channels (channel);

CREATE INDEX ix_task_fields_key ON task_fields (key);

CREATE INDEX ix_task_participants_agent_id ON task_participants (agent_id);

CREATE INDEX ix_task_queues_queue_id ON task_queues (queue_id);

CREATE INDEX ix_task_tags_tag ON task_tags (tag);

CREATE INDEX ix_tasks_case_id ON tasks (case_id);

CREATE INDEX ix_tasks_course ON tasks (_id, stream_id, status_id, created_at, first_seen_at, updated_at, deleted_at, forgotten_at, queue_id, priority_id, assignee_id, due_at);

CREATE INDEX ix_tasks_created_at ON tasks (created_at, source_id, deleted_at);

CREATE INDEX ix_tasks_forgotten_at ON tasks (forgotten_at) WHERE forgotten_at is not null;

CREATE INDEX ix_tasks_overdue ON tasks (due_at, status_id, deleted_at, forgotten_at);

CREATE INDEX ix_tasks_priority_id ON tasks (priority_id);

CREATE INDEX ix_tasks_ref_id ON tasks USING hash (ref_id);

CREATE INDEX ix_tasks_source_id ON tasks (source_id, deleted_at, forgotten_at);

CREATE INDEX ix_tasks_state ON tasks (stream_id, status_id, priority_id, queue_id, assignee_id, created_at, due_at, deleted_at, forgotten_at);

CREATE INDEX ix_tasks_status_id ON tasks (status_id);

CREATE INDEX ix_tasks_updated_at ON tasks (updated_at, source_id, deleted_at, created_at);

create view coverage_gaps as
with points as (
    select sync_windows.source_id, sync_windows.start_at as starts, sync_windows.covered_until as ends
    from sync_windows
    join watermarks on watermarks.source_id = sync_windows.source_id
    where sync_windows.covered_until > sync_windows.start_at and sync_windows.start_at < watermarks.value
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
select source_id, gap_start, gap_end
from reached
where gap_end > gap_start;

comment on view coverage_gaps is 'the stretches of time before the watermark that no run has read; none after a run without trouble';

create view task_overview as
select
    tasks._id,
    tasks.ref_id,
    tasks.case_id,
    cases.ref_id as case_ref_id,
    tasks.name,
    statuses.name as status,
    statuses.category as status_category,
    priorities.name as priority,
    tasks.assignee,
    tasks.queue,
    tasks.created_at,
    tasks.updated_at,
    tasks.due_at,
    tasks.deleted_at,
    tasks.stream_id
from tasks
left join cases on cases._id = tasks.case_id
left join statuses on statuses._id = tasks.status_id
left join priorities on priorities._id = tasks.priority_id
where tasks.forgotten_at is null;

comment on view task_overview is 'one row a task with the names of its status, priority and case; what is forgotten is left out';

create view status_history as
with points as (
    select
        tasks._id as task_id, 0 as change_id, coalesce(tasks.created_at, tasks.first_seen_at) as at,
        tasks.deleted_at, tasks.status_id as current_id,
        cast(null as text) as old_id, cast(null as text) as old_value, cast(null as text) as new_id, cast(null as text) as new_value
    from tasks
    where tasks.forgotten_at is null
    and exists (select 1 from task_changes where task_changes.task_id = tasks._id and task_changes.field = 'status')
    union all
    select
        task_id, id, coalesce(task_changes.changed_at, task_changes.seen_at), cast(null as timestamp(3) with time zone), cast(null as text), old_id, old_value, new_id, new_value
    from task_changes
    where field = 'status'
),
in_order as (
    select
        task_id, change_id, at, new_id, new_value,
        row_number() over task as position,
        lead(change_id) over task as next_change_id,
        lead(at) over task as next_at,
        lead(old_id) over task as next_old_id,
        lead(old_value) over task as next_old_value,
        first_value(change_id) over task as first_change_id,
        first_value(at) over task as first_at,
        first_value(deleted_at) over task as deleted_at,
        first_value(current_id) over task as current_id
    from points
    window task as (partition by task_id order by case change_id when 0 then 0 else 1 end, at, change_id)
),
stretches as (
    select
        task_id,
        position,
        case
            when next_change_id is null then current_id
            when change_id = 0 then next_old_id
            else new_id
        end as status_id,
        case when change_id = 0 then next_old_value else new_value end as value,
        case when at > deleted_at then deleted_at when at < first_at then first_at else at end as started_at,
        case
            when next_at is null or next_at > deleted_at then deleted_at
            when next_at < first_at then first_at
            else next_at
        end as ended_at
    from in_order
    where first_change_id = 0
)
select task_id, position, status_id, value, started_at, ended_at
from stretches
where ended_at is null or ended_at > started_at;

comment on view status_history is 'the stretches of time in a status of each task that changed it; kept in status_stretches';

create view status_course as
select
    tasks._id as task_id,
    min(case when (lower(coalesce(old.category, old.name, '')) in ('open', 'new')) and not (lower(coalesce(new.category, new.name, '')) in ('open', 'new')) then coalesce(task_changes.changed_at, task_changes.seen_at) end) as first_response_at,
    min(case when (lower(coalesce(new.category, new.name, '')) in ('resolved', 'closed', 'completed', 'done')) and not (lower(coalesce(old.category, old.name, '')) in ('resolved', 'closed', 'completed', 'done')) then coalesce(task_changes.changed_at, task_changes.seen_at) end) as first_resolved_at,
    max(case when (lower(coalesce(new.category, new.name, '')) in ('resolved', 'closed', 'completed', 'done')) and not (lower(coalesce(old.category, old.name, '')) in ('resolved', 'closed', 'completed', 'done')) then coalesce(task_changes.changed_at, task_changes.seen_at) end) as last_resolved_at,
    count(case when (lower(coalesce(old.category, old.name, '')) in ('resolved', 'closed', 'completed', 'done')) and not (lower(coalesce(new.category, new.name, '')) in ('resolved', 'closed', 'completed', 'done')) then 1 end) as reopened
from task_changes
join tasks on tasks._id = task_changes.task_id and tasks.forgotten_at is null
left join statuses as old on old._id = task_changes.old_id
left join statuses as new on new._id = task_changes.new_id
where task_changes.field = 'status'
group by tasks._id;

comment on view status_course is 'what the changes of its status say of each task that has some; kept in task_progress';

create view task_status_intervals as
with stretches as (
    select task_id, status_id, value, started_at, ended_at
    from status_stretches
    union all
    select _id, status_id, cast(null as text), coalesce(created_at, first_seen_at), deleted_at
    from tasks
    where forgotten_at is null and (deleted_at is null or deleted_at > coalesce(created_at, first_seen_at))
    and not exists (select 1 from task_progress where task_progress.task_id = tasks._id)
)
select
    stretches.task_id,
    stretches.status_id,
    coalesce(statuses.name, stretches.value) as status,
    statuses.category as status_category,
    stretches.started_at,
    stretches.ended_at,
    cast(extract(epoch from coalesce(stretches.ended_at, cast(now() as timestamp(3) with time zone)) - stretches.started_at) as double precision) as seconds
from stretches
left join statuses on statuses._id = stretches.status_id;

comment on view task_status_intervals is 'each stretch of time that a task was in one status';

create view task_cycle_times as
with times as (
    select
        tasks._id as task_id,
        tasks.stream_id,
        coalesce(tasks.created_at, tasks.first_seen_at) as created_at,
        tasks.deleted_at,
        task_progress.first_response_at,
        task_progress.first_resolved_at,
        case when tasks.status_id in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then task_progress.last_resolved_at end as resolved_at,
        coalesce(task_progress.reopened, 0) as reopened
    from tasks
    left join task_progress on task_progress.task_id = tasks._id
    where tasks.forgotten_at is null
)
select
    task_id,
    stream_id,
    created_at,
    first_response_at,
    cast(extract(epoch from first_response_at - created_at) as double precision) as first_response_seconds,
    first_resolved_at,
    cast(extract(epoch from first_resolved_at - created_at) as double precision) as first_resolved_seconds,
    resolved_at,
    cast(extract(epoch from resolved_at - created_at) as double precision) as resolved_seconds,
    reopened,
    deleted_at
from times;

comment on view task_cycle_times is 'one row a task: how long until the first response and until it was resolved, and reopenings';

create view open_backlog as
with counted as (
    select
        stream_id, status_id, priority_id, queue_id,
        case
            when created_at > now() - interval '1 days' then 0
            when created_at > now() - interval '3 days' then 1
            when created_at > now() - interval '7 days' then 3
            when created_at > now() - interval '30 days' then 7
            when created_at > now() - interval '90 days' then 30
            when created_at is not null then 90
        end as age_from,
        count(*) as tasks,
        count(case when due_at < cast(now() as timestamp(3) with time zone) then 1 end) as overdue,
        min(created_at) as oldest_created_at
    from tasks
    where deleted_at is null and forgotten_at is null
    and (tasks.status_id is null or tasks.status_id not in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))))
    group by stream_id, status_id, priority_id, queue_id, age_from
)
select
    counted.stream_id,
    counted.status_id,
    statuses.name as status,
    statuses.category as status_category,
    counted.priority_id,
    priorities.name as priority,
    counted.queue_id,
    queues.name as queue,
    case counted.age_from
        when 0 then '<1 day'
        when 1 then '1-3 days'
        when 3 then '3-7 days'
        when 7 then '7-30 days'
        when 30 then '30-90 days'
        when 90 then '>90 days'
        else 'unknown'
    end as age_band,
    counted.age_from,
    counted.tasks,
    counted.overdue,
    counted.oldest_created_at
from counted
left join statuses on statuses._id = counted.status_id
left join priorities on priorities._id = counted.priority_id
left join queues on queues._id = counted.queue_id;

comment on view open_backlog is 'how many tasks are open now, by status, priority, queue and age';

create view daily_events as
select
    _id as task_id, stream_id,
    cast(coalesce(created_at, first_seen_at) at time zone 'UTC' as date) as day,
    1 as created, 0 as resolved, 0 as reopened, 0 as deleted
from tasks
where forgotten_at is null
union all
select
    _id, stream_id,
    cast(case when updated_at < first_seen_at then updated_at else first_seen_at end at time zone 'UTC' as date),
    0, 1, 0, 0
from tasks
-- Not by an index of the status: where few tasks are asked for, they are found by their ids.
where forgotten_at is null and coalesce(status_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done')))
union all
select
    tasks._id, tasks.stream_id,
    cast(case when tasks.updated_at < tasks.first_seen_at then tasks.updated_at else tasks.first_seen_at end at time zone 'UTC' as date),
    0, -(case when coalesce(task_changes.new_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then 1 else 0 end - case when coalesce(task_changes.old_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then 1 else 0 end), 0, 0
from tasks
join task_changes on task_changes.task_id = tasks._id and task_changes.field = 'status'
where tasks.forgotten_at is null and (case when coalesce(task_changes.new_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then 1 else 0 end - case when coalesce(task_changes.old_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then 1 else 0 end) <> 0
union all
select
    tasks._id, tasks.stream_id,
    cast(case
        when coalesce(task_changes.changed_at, task_changes.seen_at) > tasks.deleted_at then tasks.deleted_at
        when coalesce(task_changes.changed_at, task_changes.seen_at) < coalesce(tasks.created_at, tasks.first_seen_at)
            then coalesce(tasks.created_at, tasks.first_seen_at)
        else coalesce(task_changes.changed_at, task_changes.seen_at)
    end at time zone 'UTC' as date),
    0,
    case when (case when coalesce(task_changes.new_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then 1 else 0 end - case when coalesce(task_changes.old_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then 1 else 0 end) > 0 then 1 else 0 end,
    case when (case when coalesce(task_changes.new_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then 1 else 0 end - case when coalesce(task_changes.old_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then 1 else 0 end) < 0 then 1 else 0 end,
    0
from tasks
join task_changes on task_changes.task_id = tasks._id and task_changes.field = 'status'
where tasks.forgotten_at is null and (case when coalesce(task_changes.new_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then 1 else 0 end - case when coalesce(task_changes.old_id, '') in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))) then 1 else 0 end) <> 0
union all
select _id, stream_id, cast(deleted_at at time zone 'UTC' as date), 0, 0, 0, 1
from tasks
where forgotten_at is null and deleted_at is not null and coalesce(status_id, '') not in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done')));

comment on view daily_events is 'what each task counts for in daily_flow, and on which day; summed up in daily_counts';

create view daily_flow as
with recursive totals as (
    select
        stream_id,
        case when day > cast(cast(now() as timestamp(3) with time zone) at time zone 'UTC' as date) then cast(cast(now() as timestamp(3) with time zone) at time zone 'UTC' as date) else day end as day,
        sum(created) as created, sum(resolved) as resolved, sum(reopened) as reopened, sum(deleted) as deleted
    from daily_counts
    where created <> 0 or resolved <> 0 or reopened <> 0 or deleted <> 0
    group by 1, 2
),
days as (
    select stream_id, min(day) as day from totals group by stream_id
    union all
    select stream_id, day + 1 from days where day < cast(cast(now() as timestamp(3) with time zone) at time zone 'UTC' as date)
)
select
    days.stream_id,
    days.day,
    cast(coalesce(totals.created, 0) as bigint) as created,
    cast(coalesce(totals.resolved, 0) as bigint) as resolved,
    cast(coalesce(totals.reopened, 0) as bigint) as reopened,
    cast(coalesce(totals.deleted, 0) as bigint) as deleted,
    cast(sum(coalesce(totals.created - totals.resolved + totals.reopened - totals.deleted, 0))
        over (partition by days.stream_id order by days.day) as bigint) as backlog
from days
left join totals on totals.stream_id = days.stream_id and totals.day = days.day;

comment on view daily_flow is 'one row a day: how many tasks were created, resolved and reopened, and were open at its end';

create view agent_load as
with counted as (
    select
        stream_id, assignee_id,
        count(*) as open_tasks,
        count(case when due_at < cast(now() as timestamp(3) with time zone) then 1 end) as overdue,
        min(created_at) as oldest_created_at
    from tasks
    where deleted_at is null and forgotten_at is null
    and (tasks.status_id is null or tasks.status_id not in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))))
    group by stream_id, assignee_id
)
select
    counted.stream_id,
    counted.assignee_id,
    agents.name as assignee,
    counted.open_tasks,
    counted.overdue,
    counted.oldest_created_at
from counted
left join agents on agents._id = counted.assignee_id;

comment on view agent_load is 'how many open tasks each agent has now';

create view overdue_tasks as
select
    tasks._id,
    tasks.ref_id,
    tasks.name,
    statuses.name as status,
    statuses.category as status_category,
    priorities.name as priority,
    tasks.assignee,
    tasks.queue,
    tasks.created_at,
    tasks.due_at,
    cast(extract(epoch from cast(now() as timestamp(3) with time zone) - tasks.due_at) as double precision) as overdue_seconds,
    tasks.stream_id
from tasks
left join statuses on statuses._id = tasks.status_id
left join priorities on priorities._id = tasks.priority_id
where tasks.due_at < cast(now() as timestamp(3) with time zone) and tasks.deleted_at is null and tasks.forgotten_at is null
and (tasks.status_id is null or tasks.status_id not in (select _id from statuses where (lower(coalesce(statuses.category, statuses.name, '')) in ('resolved', 'closed', 'completed', 'done'))));

comment on view overdue_tasks is 'the open tasks whose due date is past';

create view sync_freshness as
select
    sources.id as source_id,
    sources.name,
    sources.stream_id,
    watermarks.value as watermark,
    cast(extract(epoch from cast(now() as timestamp(3) with time zone) - watermarks.value) as double precision) as age_seconds,
    last_run.command as last_command,
    last_run.state as last_state,
    last_run.started_at as last_started_at,
    last_run.finished_at as last_finished_at,
    (select count(*) from tasks
     where source_id = sources.id and deleted_at is null and forgotten_at is null) as tasks,
    (select count(*) from tasks
     where source_id = sources.id and deleted_at is not null and forgotten_at is null) as deleted,
    (select count(*) from rejected_records where source_id = sources.id) as rejected,
    coalesce(missing.gaps, 0) as gaps,
    (select count(*) from sync_windows where source_id = sources.id and state = 'unverified') as unverified_windows
from sources
left join watermarks on watermarks.source_id = sources.id
left join sync_runs as last_run on last_run.id = (
    select id from sync_runs where source_id = sources.id order by started_at desc, id desc limit 1
)
left join (select source_id, count(*) as gaps from coverage_gaps group by source_id) missing
    on missing.source_id = sources.id;

comment on view sync_freshness is 'one row a source: how far it is complete, how old that is, and what is amiss';

insert into alembic_version (version_num) values ('0006');
