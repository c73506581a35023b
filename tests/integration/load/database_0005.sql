-- A database of kore-etl 0.1.0, its schema at 0005, as text that SQLite and PostgreSQL read alike.
-- Two sources share the ids of statuses, priorities, agents, queues and users. Tasks have a history of every kind:
-- changed, resolved, reopened, gone, inactive, forgotten. Records were rejected, and one has an unknown key.
create table alembic_version (version_num varchar(32) primary key);
insert into alembic_version values ('0005');

create table daily_counts (
    stream_id text not null,
    day date not null,
    created integer not null,
    resolved integer not null,
    reopened integer not null,
    deleted integer not null,
    primary key (stream_id, day)
);
insert into daily_counts (stream_id, day, created, resolved, reopened, deleted) values
('st-north', '2026-10-01', 3, 0, 0, 0),
('st-north', '2026-10-02', 3, 0, 0, 0),
('st-north', '2026-10-03', 3, 0, 0, 0),
('st-north', '2026-10-11', 0, 1, 0, 1),
('st-north', '2026-11-26', 0, 0, 0, 1),
('st-south', '2026-10-01', 3, 0, 0, 0),
('st-south', '2026-10-02', 3, 0, 0, 0),
('st-south', '2026-10-11', 0, 2, 1, 0),
('st-south', '2026-11-26', 0, 0, 0, 1);

create table sources (
    id bigint not null,
    name text not null,
    base_url text not null,
    account_id text not null,
    stream_id text not null,
    history_start timestamptz(3),
    capabilities jsonb,
    probed_at timestamptz(3),
    created_at timestamptz(3) not null,
    shape text,
    primary key (id)
);
insert into sources (id, name, base_url, account_id, stream_id, history_start, capabilities, probed_at, created_at) values
(1, 'north', 'https://north.example.com', 'acc', 'st-north', '2026-10-01 08:00:00.000', '{"window_field":"updatedAt","ends_inclusive":true,"tick":0.001,"sort_updated":true,"sort_created":true,"page_rows":50,"any_range":true,"longest_range":null}', '2026-11-26 16:01:30.072', '2026-11-26 16:01:28.455'),
(2, 'south', 'https://south.example.com', 'acc', 'st-south', '2026-10-01 08:00:00.000', '{"window_field":"createdAt","ends_inclusive":true,"tick":0.001,"sort_updated":true,"sort_created":true,"page_rows":50,"any_range":true,"longest_range":null}', '2026-11-26 16:01:30.284', '2026-11-26 16:01:28.755');

create table agents (
    _id text not null,
    source_id bigint not null,
    name text,
    seen_at timestamptz(3),
    primary key (_id),
    foreign key (source_id) references sources
);
insert into agents (_id, source_id, name, seen_at) values
('a-1', 1, 'Ann', '2026-10-12 14:00:00.000'),
('a-2', 1, 'Bob', '2026-10-11 21:00:00.000');

create table cases (
    _id text not null,
    source_id bigint not null,
    ref_id text,
    seen_at timestamptz(3),
    primary key (_id),
    foreign key (source_id) references sources
);
insert into cases (_id, source_id, ref_id, seen_at) values
('ci-a0000', 1, 'AC0000', '2026-10-12 14:00:00.000'),
('ci-a0001', 1, 'AC0001', '2026-10-11 11:00:00.000'),
('ci-a0002', 1, 'AC0002', '2026-10-11 21:00:00.000'),
('ci-a0003', 1, 'AC0003', '2026-10-11 22:00:00.000'),
('ci-a0004', 1, 'AC0004', '2026-10-03 23:00:00.000'),
('ci-b0000', 2, 'BC0000', '2026-10-11 21:00:00.000'),
('ci-b0001', 2, 'BC0001', '2026-10-11 10:00:00.000'),
('ci-b0002', 2, 'BC0002', '2026-10-11 23:00:00.000');

create table priorities (
    _id text not null,
    source_id bigint not null,
    name text,
    color text,
    score double precision,
    type text,
    description text,
    is_enabled boolean,
    is_active boolean,
    seen_at timestamptz(3),
    raw jsonb not null,
    primary key (_id),
    foreign key (source_id) references sources
);
insert into priorities (_id, source_id, name, score, seen_at, raw) values
('pr-1', 2, 'Medium', 2.0, '2026-10-11 23:00:00.000', '{"_id":"pr-1","name":"Medium","score":2}'),
('pr-2', 1, 'High', 1.0, '2026-10-12 14:00:00.000', '{"_id":"pr-2","name":"High","score":1}');

create table queues (
    _id text not null,
    source_id bigint not null,
    name text,
    type text,
    seen_at timestamptz(3),
    primary key (_id),
    foreign key (source_id) references sources
);
insert into queues (_id, source_id, name, type, seen_at) values
('qu-1', 1, 'Billing', 'round', '2026-10-12 14:00:00.000'),
('qu-2', 2, 'Support', null, '2026-10-11 23:00:00.000');

create table statuses (
    _id text not null,
    source_id bigint not null,
    name text,
    category text,
    type text,
    description text,
    is_enabled boolean,
    is_active boolean,
    seen_at timestamptz(3),
    raw jsonb not null,
    primary key (_id),
    foreign key (source_id) references sources
);
insert into statuses (_id, source_id, name, category, seen_at, raw) values
('sts-e7db7c7e-6219-56e6-9d8c-56c076fb49c9', 2, 'Open', null, '2026-10-01 15:00:00.000', '"Open"'),
('sts-o', 1, 'Open', 'open', '2026-10-12 14:00:00.000', '{"_id":"sts-o","name":"Open","statusCategory":"open"}'),
('sts-r', 2, 'Resolved', 'resolved', '2026-10-11 23:00:00.000', '{"_id":"sts-r","name":"Resolved","statusCategory":"resolved"}');

create table sync_runs (
    id bigint not null,
    source_id bigint not null,
    command text not null,
    state text not null,
    started_at timestamptz(3) not null,
    finished_at timestamptz(3),
    exit_code integer,
    requests integer not null,
    retries integer not null,
    rate_limited integer not null,
    windows integer not null,
    unverified integer not null,
    fetched integer not null,
    inserted integer not null,
    updated integer not null,
    unchanged integer not null,
    stale integer not null,
    rejected integer not null,
    watermark_before timestamptz(3),
    watermark_after timestamptz(3),
    version text not null,
    settings jsonb not null,
    error text,
    primary key (id),
    foreign key (source_id) references sources
);
insert into sync_runs (id, source_id, command, state, started_at, finished_at, exit_code, requests, retries, rate_limited, windows, unverified, fetched, inserted, updated, unchanged, stale, rejected, watermark_before, watermark_after, version, settings) values
(1, 1, 'sync', 'finished', '2026-11-26 16:01:28.457', '2026-11-26 16:01:28.749', 3, 6, 0, 0, 2, 0, 23, 10, 0, 10, 0, 3, null, '2026-11-26 16:01:17.854', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(2, 2, 'sync', 'finished', '2026-11-26 16:01:28.756', '2026-11-26 16:01:29.039', 0, 6, 0, 0, 2, 0, 12, 6, 0, 6, 0, 0, null, '2026-11-26 16:01:17.853', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(3, 1, 'sync', 'finished', '2026-11-26 16:01:29.906', '2026-11-26 16:01:30.130', 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, '2026-11-26 16:01:17.854', '2026-11-26 16:01:19.843', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(4, 2, 'sync', 'finished', '2026-11-26 16:01:30.138', '2026-11-26 16:01:30.424', 0, 5, 0, 0, 1, 0, 5, 0, 2, 3, 0, 0, '2026-11-26 16:01:17.853', '2026-11-26 16:01:19.811', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(5, 1, 'reconcile', 'finished', '2026-11-26 16:01:31.181', '2026-11-26 16:01:31.262', 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, '2026-11-26 16:01:19.843', '2026-11-26 16:01:20.982', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(6, 2, 'reconcile', 'finished', '2026-11-26 16:01:31.267', '2026-11-26 16:01:31.464', 0, 4, 0, 0, 1, 0, 15, 0, 0, 15, 0, 0, '2026-11-26 16:01:19.811', '2026-11-26 16:01:20.994', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(7, 1, 'sync', 'finished', '2026-11-26 16:01:31.964', '2026-11-26 16:01:31.988', 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, '2026-11-26 16:01:20.982', '2026-11-26 16:01:20.984', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(8, 2, 'sync', 'finished', '2026-11-26 16:01:31.992', '2026-11-26 16:01:32.055', 0, 1, 0, 0, 1, 0, 5, 0, 2, 3, 0, 0, '2026-11-26 16:01:20.994', '2026-11-26 16:01:20.996', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(9, 1, 'sync', 'finished', '2026-11-26 16:01:32.765', '2026-11-26 16:01:32.790', 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, '2026-11-26 16:01:20.984', '2026-11-26 16:01:21.983', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(10, 2, 'sync', 'finished', '2026-11-26 16:01:32.794', '2026-11-26 16:01:32.832', 0, 1, 0, 0, 1, 0, 5, 0, 0, 5, 0, 0, '2026-11-26 16:01:20.996', '2026-11-26 16:01:21.990', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(11, 1, 'forget', 'finished', '2026-11-26 16:01:33.570', '2026-11-26 16:01:33.617', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '2026-11-26 16:01:21.983', '2026-11-26 16:01:21.983', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(12, 1, 'reconcile', 'finished', '2026-11-26 16:01:34.317', '2026-11-26 16:01:34.565', 3, 5, 0, 0, 1, 0, 21, 0, 5, 13, 0, 3, '2026-11-26 16:01:21.983', '2026-11-26 16:01:23.987', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}'),
(13, 2, 'reconcile', 'finished', '2026-11-26 16:01:34.569', '2026-11-26 16:01:34.626', 0, 2, 0, 0, 1, 0, 5, 0, 0, 5, 0, 0, '2026-11-26 16:01:21.990', '2026-11-26 16:01:23.996', '0.1.0', '{"overlap":"5m","settle":"10s","client_secret":"***"}');

create table users (
    _id text not null,
    source_id bigint not null,
    name text,
    email text,
    seen_at timestamptz(3),
    primary key (_id),
    foreign key (source_id) references sources
);
insert into users (_id, source_id, name, email, seen_at) values
('u-0', 1, 'User 0', 'u0@example.com', '2026-10-12 14:00:00.000'),
('u-1', 1, 'User 1', 'u1@example.com', '2026-10-11 23:00:00.000'),
('u-2', 1, 'User 2', 'u2@example.com', '2026-10-11 21:00:00.000'),
('u-9', 1, 'System', null, '2026-10-12 14:00:00.000');

create table sync_windows (
    id bigint not null,
    source_id bigint not null,
    run_id bigint not null,
    job text not null,
    field text not null,
    start_at timestamptz(3) not null,
    end_at timestamptz(3) not null,
    covered_until timestamptz(3) not null,
    reading text not null,
    state text not null,
    requests integer not null,
    rows integer not null,
    reported_total integer,
    attempts integer not null,
    opened_at timestamptz(3) not null,
    finished_at timestamptz(3),
    error text,
    primary key (id),
    foreign key (run_id) references sync_runs,
    foreign key (source_id) references sources
);
insert into sync_windows (id, source_id, run_id, job, field, start_at, end_at, covered_until, reading, state, requests, rows, reported_total, attempts, opened_at, finished_at) values
(1, 1, 1, 'first', 'createdAt', '2026-10-01 08:00:00.000', '2026-11-26 16:01:27.854', '2026-11-26 16:01:27.854', 'keyset', 'verified', 1, 11, 11, 1, '2026-11-26 16:01:27.854', '2026-11-26 16:01:28.727'),
(2, 1, 1, 'sync', 'updatedAt', '2026-11-26 15:56:27.854', '2026-11-26 16:01:27.854', '2026-11-26 16:01:27.854', 'newest', 'verified', 1, 12, 12, 1, '2026-11-26 16:01:27.854', '2026-11-26 16:01:28.739'),
(3, 2, 2, 'first', 'createdAt', '2026-10-01 08:00:00.000', '2026-11-26 16:01:27.853', '2026-11-26 16:01:27.853', 'keyset', 'verified', 1, 6, 6, 1, '2026-11-26 16:01:27.853', '2026-11-26 16:01:28.973'),
(4, 2, 2, 'sync', 'updatedAt', '2026-11-26 15:56:27.853', '2026-11-26 16:01:27.853', '2026-11-26 16:01:27.853', 'newest', 'verified', 1, 6, 6, 1, '2026-11-26 16:01:27.853', '2026-11-26 16:01:29.034'),
(5, 1, 3, 'sync', 'updatedAt', '2026-11-26 14:56:17.000', '2026-11-26 16:01:29.843', '2026-11-26 16:01:29.843', 'keyset', 'verified', 1, 0, 0, 1, '2026-11-26 16:01:29.843', '2026-11-26 16:01:30.126'),
(6, 2, 4, 'sync', 'updatedAt', '2026-11-26 14:56:17.000', '2026-11-26 16:01:29.811', '2026-11-26 16:01:29.811', 'newest', 'verified', 0, 0, 5, 1, '2026-11-26 16:01:29.811', '2026-11-26 16:01:30.421'),
(7, 1, 5, 'sync', 'updatedAt', '2026-11-26 14:56:19.000', '2026-11-26 16:01:30.982', '2026-11-26 16:01:30.982', 'keyset', 'verified', 1, 0, 0, 1, '2026-11-26 16:01:30.982', '2026-11-26 16:01:31.206'),
(8, 2, 6, 'sync', 'updatedAt', '2026-11-26 14:56:19.000', '2026-11-26 16:01:30.994', '2026-11-26 16:01:30.994', 'newest', 'verified', 0, 0, 5, 1, '2026-11-26 16:01:30.994', '2026-11-26 16:01:31.296'),
(9, 1, 7, 'sync', 'updatedAt', '2026-11-26 14:56:20.000', '2026-11-26 16:01:30.984', '2026-11-26 16:01:30.984', 'keyset', 'verified', 1, 0, 0, 1, '2026-11-26 16:01:30.984', '2026-11-26 16:01:31.984'),
(10, 2, 8, 'sync', 'updatedAt', '2026-11-26 14:56:20.000', '2026-11-26 16:01:30.996', '2026-11-26 16:01:30.996', 'newest', 'verified', 0, 0, 5, 1, '2026-11-26 16:01:30.996', '2026-11-26 16:01:32.053'),
(11, 1, 9, 'sync', 'updatedAt', '2026-11-26 14:56:20.000', '2026-11-26 16:01:31.983', '2026-11-26 16:01:31.983', 'keyset', 'verified', 1, 0, 0, 1, '2026-11-26 16:01:31.983', '2026-11-26 16:01:32.786'),
(12, 2, 10, 'sync', 'updatedAt', '2026-11-26 14:56:20.000', '2026-11-26 16:01:31.990', '2026-11-26 16:01:31.990', 'newest', 'verified', 0, 0, 5, 1, '2026-11-26 16:01:31.990', '2026-11-26 16:01:32.829'),
(13, 1, 12, 'sync', 'updatedAt', '2026-11-26 14:56:21.000', '2026-11-26 16:01:33.987', '2026-11-26 16:01:33.987', 'keyset', 'verified', 1, 0, 0, 1, '2026-11-26 16:01:33.987', '2026-11-26 16:01:34.338'),
(14, 2, 13, 'sync', 'updatedAt', '2026-11-26 14:56:21.000', '2026-11-26 16:01:33.996', '2026-11-26 16:01:33.996', 'newest', 'verified', 0, 0, 5, 1, '2026-11-26 16:01:33.996', '2026-11-26 16:01:34.579');

create table tasks (
    _id text not null,
    source_id bigint not null,
    stream_id text not null,
    case_id text,
    ref_id text,
    name text,
    status_id text,
    priority_id text,
    assignee_type text,
    assignee_id text,
    assignee text,
    queue_id text,
    queue text,
    conversation_type text,
    origin text,
    account_id text,
    org_id text,
    user_id text,
    user_name text,
    created_by_id text,
    created_by text,
    updated_by_id text,
    updated_by text,
    is_active boolean,
    is_breached boolean,
    is_custom boolean,
    due_at timestamptz(3),
    created_at timestamptz(3),
    updated_at timestamptz(3),
    raw jsonb not null,
    deleted_at timestamptz(3),
    first_seen_at timestamptz(3) not null,
    stored_at timestamptz(3) not null,
    run_id bigint not null,
    forgotten_at timestamptz(3),
    primary key (_id),
    foreign key (assignee_id) references agents,
    foreign key (queue_id) references queues,
    foreign key (run_id) references sync_runs,
    foreign key (case_id) references cases,
    foreign key (user_id) references users,
    foreign key (source_id) references sources,
    foreign key (created_by_id) references users,
    foreign key (updated_by_id) references users,
    foreign key (priority_id) references priorities,
    foreign key (status_id) references statuses
);
insert into tasks (_id, source_id, stream_id, case_id, ref_id, name, status_id, priority_id, assignee_type, assignee_id, assignee, queue_id, queue, user_id, user_name, created_by_id, created_by, is_active, due_at, created_at, updated_at, raw, deleted_at, first_seen_at, stored_at, run_id, forgotten_at) values
('ti-a0000', 1, 'st-north', 'ci-a0000', 'AS0000', 'a task 0 größer', 'sts-o', 'pr-2', 'unassigned', 'a-1', 'Ann', 'qu-1', 'Billing', 'u-0', 'User 0', 'u-9', 'System', true, '2026-10-03 08:00:00.000', '2026-10-01 08:00:00.000', '2026-10-12 14:00:00.000', '{"_id":"ti-a0000","amount":{"displayName":"Amount","id":"fd-1","selectedValue":10.25},"assigneeType":"unassigned","caseId":"ci-a0000","caseRefId":"AC0000","channel":["email","rtm"],"createdAt":"2026-10-01T08:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":{"aId":"a-1","name":"Ann"},"dueDate":"2026-10-03T08:00:00.000Z","isActive":true,"name":"a task 0 größer","participants":[],"priority":{"_id":"pr-2","name":"High","score":1},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-01T08:00:00.000Z","type":"round"}],"refId":"AS0000","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":["vip"],"updatedAt":"2026-10-12T14:00:00.000Z","userInfo":{"_id":"u-0","emailId":"u0@example.com","name":"User 0"}}', null, '2026-11-26 16:01:28.656', '2026-11-26 16:01:34.436', 12, null),
('ti-a0001', 1, 'st-north', 'ci-a0000', 'AS0001', 'a task 1 größer', 'sts-r', 'pr-1', 'agent', 'a-1', 'Ann', 'qu-1', 'Billing', 'u-1', 'User 1', 'u-9', 'System', true, '2026-10-03 15:00:00.000', '2026-10-01 15:00:00.000', '2026-10-11 20:00:00.000', '{"_id":"ti-a0001","amount":{"displayName":"Amount","id":"fd-1","selectedValue":11.25},"assigneeType":"agent","caseId":"ci-a0000","caseRefId":"AC0000","channel":["rtm"],"createdAt":"2026-10-01T15:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":{"aId":"a-1","name":"Ann"},"dueDate":"2026-10-03T15:00:00.000Z","isActive":true,"name":"a task 1 größer","participants":[{"aId":"a-2","name":"Bob"}],"priority":{"_id":"pr-1","name":"Medium","score":2},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-01T15:00:00.000Z","type":"round"}],"refId":"AS0001","status":{"_id":"sts-r","name":"Resolved","statusCategory":"resolved"},"tags":[],"updatedAt":"2026-10-11T20:00:00.000Z","userInfo":{"_id":"u-1","emailId":"u1@example.com","name":"User 1"}}', null, '2026-11-26 16:01:28.656', '2026-11-26 16:01:34.436', 12, null),
('ti-a0002', 1, 'st-north', 'ci-a0001', 'AS0002', 'a task 2 größer', 'sts-o', 'pr-2', 'unassigned', null, null, 'qu-1', 'Billing', 'u-2', 'User 2', 'u-9', 'System', true, '2026-10-03 22:00:00.000', '2026-10-01 22:00:00.000', '2026-10-11 11:00:00.000', '{"_id":"ti-a0002","amount":{"displayName":"Amount","id":"fd-1","selectedValue":12.25},"assigneeType":"unassigned","caseId":"ci-a0001","caseRefId":"AC0001","channel":["email","rtm"],"createdAt":"2026-10-01T22:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":null,"dueDate":"2026-10-03T22:00:00.000Z","isActive":true,"name":"a task 2 größer","participants":[],"priority":{"_id":"pr-2","name":"High","score":1},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-01T22:00:00.000Z","type":"round"}],"refId":"AS0002","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":[],"updatedAt":"2026-10-11T11:00:00.000Z","userInfo":{"_id":"u-2","emailId":"u2@example.com","name":"User 2"}}', null, '2026-11-26 16:01:28.656', '2026-11-26 16:01:34.436', 12, null),
('ti-a0003', 1, 'st-north', 'ci-a0001', 'AS0003', 'a task 3 größer', 'sts-o', 'pr-2', 'agent', 'a-1', 'Ann', 'qu-1', 'Billing', 'u-0', 'User 0', 'u-9', 'System', true, '2026-10-04 05:00:00.000', '2026-10-02 05:00:00.000', '2026-10-02 05:00:00.000', '{"_id":"ti-a0003","amount":{"displayName":"Amount","id":"fd-1","selectedValue":13.25},"assigneeType":"agent","caseId":"ci-a0001","caseRefId":"AC0001","channel":["rtm"],"createdAt":"2026-10-02T05:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":{"aId":"a-1","name":"Ann"},"dueDate":"2026-10-04T05:00:00.000Z","isActive":true,"name":"a task 3 größer","participants":[],"priority":{"_id":"pr-2","name":"High","score":1},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-02T05:00:00.000Z","type":"round"}],"refId":"AS0003","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"strangeKey":{"deep":[1,2,{"x":"y"}]},"tags":[],"updatedAt":"2026-10-02T05:00:00.000Z","userInfo":{"_id":"u-0","emailId":"u0@example.com","name":"User 0"}}', null, '2026-11-26 16:01:28.656', '2026-11-26 16:01:28.656', 1, null),
('ti-a0004', 1, 'st-north', 'ci-a0002', 'AS0004', 'a task 4 größer', 'sts-o', 'pr-1', 'unassigned', null, null, 'qu-1', 'Billing', 'u-1', 'User 1', 'u-9', 'System', true, '2026-10-04 12:00:00.000', '2026-10-02 12:00:00.000', '2026-10-02 12:00:00.000', '{"_id":"ti-a0004","amount":{"displayName":"Amount","id":"fd-1","selectedValue":14.25},"assigneeType":"unassigned","caseId":"ci-a0002","caseRefId":"AC0002","channel":["email","rtm"],"createdAt":"2026-10-02T12:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":null,"dueDate":"2026-10-04T12:00:00.000Z","isActive":true,"name":"a task 4 größer","participants":[],"priority":{"_id":"pr-1","name":"Medium","score":2},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-02T12:00:00.000Z","type":"round"}],"refId":"AS0004","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":[],"updatedAt":"2026-10-02T12:00:00.000Z","userInfo":{"_id":"u-1","emailId":"u1@example.com","name":"User 1"}}', '2026-11-26 16:01:34.554', '2026-11-26 16:01:28.656', '2026-11-26 16:01:28.656', 1, null),
('ti-a0005', 1, 'st-north', 'ci-a0002', 'AS0005', 'a task 5 größer', 'sts-o', 'pr-1', 'agent', 'a-1', 'Ann', 'qu-1', 'Billing', 'u-2', 'User 2', 'u-9', 'System', true, '2026-10-04 19:00:00.000', '2026-10-02 19:00:00.000', '2026-10-11 21:00:00.000', '{"_id":"ti-a0005","amount":{"displayName":"Amount","id":"fd-1","selectedValue":15.25},"assigneeType":"agent","caseId":"ci-a0002","caseRefId":"AC0002","channel":["rtm"],"createdAt":"2026-10-02T19:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":{"aId":"a-1","name":"Ann"},"dueDate":"2026-10-04T19:00:00.000Z","isActive":true,"name":"a task 5 größer","participants":[{"aId":"a-2","name":"Bob"}],"priority":{"_id":"pr-1","name":"Medium","score":2},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-02T19:00:00.000Z","type":"round"}],"refId":"AS0005","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":["vip"],"updatedAt":"2026-10-11T21:00:00.000Z","userInfo":{"_id":"u-2","emailId":"u2@example.com","name":"User 2"}}', null, '2026-11-26 16:01:28.656', '2026-11-26 16:01:34.436', 12, null),
('ti-a0006', 1, 'st-north', 'ci-a0003', 'AS0006', 'a task 6 größer', 'sts-o', 'pr-2', 'unassigned', null, null, 'qu-1', 'Billing', 'u-0', 'User 0', 'u-9', 'System', false, '2026-10-05 02:00:00.000', '2026-10-03 02:00:00.000', '2026-10-11 22:00:00.000', '{"_id":"ti-a0006","amount":{"displayName":"Amount","id":"fd-1","selectedValue":16.25},"assigneeType":"unassigned","caseId":"ci-a0003","caseRefId":"AC0003","channel":["email","rtm"],"createdAt":"2026-10-03T02:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":null,"dueDate":"2026-10-05T02:00:00.000Z","isActive":false,"name":"a task 6 größer","participants":[],"priority":{"_id":"pr-2","name":"High","score":1},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-03T02:00:00.000Z","type":"round"}],"refId":"AS0006","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":[],"updatedAt":"2026-10-11T22:00:00.000Z","userInfo":{"_id":"u-0","emailId":"u0@example.com","name":"User 0"}}', '2026-10-11 22:00:00.000', '2026-11-26 16:01:28.656', '2026-11-26 16:01:34.436', 12, null),
('ti-a0007', 1, 'st-north', null, null, null, null, null, null, null, null, null, null, null, null, null, null, true, null, '2026-10-03 09:00:00.000', '2026-10-03 09:00:00.000', '{"_id":"ti-a0007","createdAt":"2026-10-03T09:00:00.000Z","isActive":true,"updatedAt":"2026-10-03T09:00:00.000Z"}', null, '2026-11-26 16:01:28.656', '2026-11-26 16:01:33.582', 11, '2026-11-26 16:01:33.582'),
('ti-a0008', 1, 'st-north', 'ci-a0004', 'AS0008', 'a task 8 größer', 'sts-o', 'pr-1', 'unassigned', null, null, 'qu-1', 'Billing', 'u-2', 'User 2', 'u-9', 'System', true, '2026-10-05 16:00:00.000', '2026-10-03 16:00:00.000', '2026-10-03 16:00:00.000', '{"_id":"ti-a0008","amount":{"displayName":"Amount","id":"fd-1","selectedValue":18.25},"assigneeType":"unassigned","caseId":"ci-a0004","caseRefId":"AC0004","channel":["email","rtm"],"createdAt":"2026-10-03T16:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":null,"dueDate":"2026-10-05T16:00:00.000Z","isActive":true,"name":"a task 8 größer","participants":[],"priority":{"_id":"pr-1","name":"Medium","score":2},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-03T16:00:00.000Z","type":"round"}],"refId":"AS0008","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":[],"updatedAt":"2026-10-03T16:00:00.000Z","userInfo":{"_id":"u-2","emailId":"u2@example.com","name":"User 2"}}', null, '2026-11-26 16:01:28.656', '2026-11-26 16:01:28.656', 1, null),
('ti-a0009', 1, 'st-north', 'ci-a0004', 'AS0009', 'a task 9 größer', 'sts-o', 'pr-2', 'agent', 'a-1', 'Ann', 'qu-1', 'Billing', 'u-0', 'User 0', 'u-9', 'System', true, '2026-10-05 23:00:00.000', '2026-10-03 23:00:00.000', '2026-10-03 23:00:00.000', '{"_id":"ti-a0009","amount":{"displayName":"Amount","id":"fd-1","selectedValue":19.25},"assigneeType":"agent","caseId":"ci-a0004","caseRefId":"AC0004","channel":["rtm"],"createdAt":"2026-10-03T23:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":{"aId":"a-1","name":"Ann"},"dueDate":"2026-10-05T23:00:00.000Z","isActive":true,"name":"a task 9 größer","participants":[{"aId":"a-2","name":"Bob"}],"priority":{"_id":"pr-2","name":"High","score":1},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-03T23:00:00.000Z","type":"round"}],"refId":"AS0009","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":[],"updatedAt":"2026-10-03T23:00:00.000Z","userInfo":{"_id":"u-0","emailId":"u0@example.com","name":"User 0"}}', null, '2026-11-26 16:01:28.656', '2026-11-26 16:01:28.656', 1, null),
('ti-b0000', 2, 'st-south', 'ci-b0000', 'BS0000', 'b task 0 größer', 'sts-o', 'pr-2', 'unassigned', null, null, 'qu-1', 'Billing', 'u-0', 'User 0', 'u-9', 'System', true, '2026-10-03 08:00:00.000', '2026-10-01 08:00:00.000', '2026-10-11 21:00:00.000', '{"_id":"ti-b0000","amount":{"displayName":"Amount","id":"fd-1","selectedValue":10.25},"assigneeType":"unassigned","caseId":"ci-b0000","caseRefId":"BC0000","channel":["email","rtm"],"createdAt":"2026-10-01T08:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":null,"dueDate":"2026-10-03T08:00:00.000Z","isActive":true,"name":"b task 0 größer","participants":[],"priority":{"_id":"pr-2","name":"High","score":1},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-01T08:00:00.000Z","type":"round"}],"refId":"BS0000","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":["vip"],"updatedAt":"2026-10-11T21:00:00.000Z","userInfo":{"_id":"u-0","emailId":"u0@example.com","name":"User 0"}}', null, '2026-11-26 16:01:28.955', '2026-11-26 16:01:31.998', 8, null),
('ti-b0001', 2, 'st-south', 'ci-b0000', 'BS0001', 'b task 1 größer', 'sts-e7db7c7e-6219-56e6-9d8c-56c076fb49c9', 'pr-1', 'agent', 'a-1', 'Ann', 'qu-1', 'Billing', 'u-1', 'User 1', 'u-9', 'System', true, '2026-10-03 15:00:00.000', '2026-10-01 15:00:00.000', '2026-10-01 15:00:00.000', '{"_id":"ti-b0001","amount":{"displayName":"Amount","id":"fd-1","selectedValue":11.25},"assigneeType":"agent","caseId":"ci-b0000","caseRefId":"BC0000","channel":["rtm"],"createdAt":"2026-10-01T15:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":{"aId":"a-1","name":"Ann"},"dueDate":"2026-10-03T15:00:00.000Z","isActive":true,"name":"b task 1 größer","participants":[{"aId":"a-2","name":"Bob"}],"priority":{"_id":"pr-1","name":"Medium","score":2},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-01T15:00:00.000Z","type":"round"}],"refId":"BS0001","status":"Open","tags":[],"updatedAt":"2026-10-01T15:00:00.000Z","userInfo":{"_id":"u-1","emailId":"u1@example.com","name":"User 1"}}', null, '2026-11-26 16:01:28.955', '2026-11-26 16:01:28.955', 2, null),
('ti-b0002', 2, 'st-south', 'ci-b0001', 'BS0002', 'b task 2, renamed', 'sts-o', 'pr-1', 'unassigned', null, null, 'qu-1', 'Billing', 'u-2', 'User 2', 'u-9', 'System', true, '2026-10-21 08:00:00.000', '2026-10-01 22:00:00.000', '2026-10-11 10:00:00.000', '{"_id":"ti-b0002","amount":{"displayName":"Amount","id":"fd-1","selectedValue":12.25},"assigneeType":"unassigned","caseId":"ci-b0001","caseRefId":"BC0001","channel":["email","rtm"],"createdAt":"2026-10-01T22:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":null,"dueDate":"2026-10-21T08:00:00.000Z","isActive":true,"name":"b task 2, renamed","participants":[],"priority":{"_id":"pr-1","name":"Medium","score":2},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-01T22:00:00.000Z","type":"round"}],"refId":"BS0002","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":[],"updatedAt":"2026-10-11T10:00:00.000Z","userInfo":{"_id":"u-2","emailId":"u2@example.com","name":"User 2"}}', null, '2026-11-26 16:01:28.955', '2026-11-26 16:01:30.331', 4, null),
('ti-b0003', 2, 'st-south', 'ci-b0001', 'BS0003', 'b task 3 größer', 'sts-o', 'pr-2', 'agent', 'a-1', 'Ann', 'qu-1', 'Billing', 'u-0', 'User 0', 'u-9', 'System', true, '2026-10-04 05:00:00.000', '2026-10-02 05:00:00.000', '2026-10-02 05:00:00.000', '{"_id":"ti-b0003","amount":{"displayName":"Amount","id":"fd-1","selectedValue":13.25},"assigneeType":"agent","caseId":"ci-b0001","caseRefId":"BC0001","channel":["rtm"],"createdAt":"2026-10-02T05:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":{"aId":"a-1","name":"Ann"},"dueDate":"2026-10-04T05:00:00.000Z","isActive":true,"name":"b task 3 größer","participants":[],"priority":{"_id":"pr-2","name":"High","score":1},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-02T05:00:00.000Z","type":"round"}],"refId":"BS0003","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":[],"updatedAt":"2026-10-02T05:00:00.000Z","userInfo":{"_id":"u-0","emailId":"u0@example.com","name":"User 0"}}', '2026-11-26 16:01:31.449', '2026-11-26 16:01:28.955', '2026-11-26 16:01:28.955', 2, null),
('ti-b0004', 2, 'st-south', 'ci-b0002', 'BS0004', 'b task 4 größer', 'sts-r', 'pr-1', 'unassigned', null, null, 'qu-2', 'Support', 'u-1', 'User 1', 'u-9', 'System', true, '2026-10-04 12:00:00.000', '2026-10-02 12:00:00.000', '2026-10-11 23:00:00.000', '{"_id":"ti-b0004","amount":{"displayName":"Amount","id":"fd-1","selectedValue":14.25},"assigneeType":"unassigned","caseId":"ci-b0002","caseRefId":"BC0002","channel":["email","rtm"],"createdAt":"2026-10-02T12:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":null,"dueDate":"2026-10-04T12:00:00.000Z","isActive":true,"name":"b task 4 größer","participants":[],"priority":{"_id":"pr-1","name":"Medium","score":2},"queues":[{"_id":"qu-2","name":"Support","startTime":"2026-10-01T08:00:00.000Z"}],"refId":"BS0004","status":{"_id":"sts-r","name":"Resolved","statusCategory":"resolved"},"tags":[],"updatedAt":"2026-10-11T23:00:00.000Z","userInfo":{"_id":"u-1","emailId":"u1@example.com","name":"User 1"}}', null, '2026-11-26 16:01:28.955', '2026-11-26 16:01:31.998', 8, null),
('ti-b0005', 2, 'st-south', 'ci-b0002', 'BS0005', 'b task 5 größer', 'sts-o', 'pr-1', 'agent', 'a-1', 'Ann', 'qu-1', 'Billing', 'u-2', 'User 2', 'u-9', 'System', true, '2026-10-04 19:00:00.000', '2026-10-02 19:00:00.000', '2026-10-02 19:00:00.000', '{"_id":"ti-b0005","amount":{"displayName":"Amount","id":"fd-1","selectedValue":15.25},"assigneeType":"agent","caseId":"ci-b0002","caseRefId":"BC0002","channel":["rtm"],"createdAt":"2026-10-02T19:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":{"aId":"a-1","name":"Ann"},"dueDate":"2026-10-04T19:00:00.000Z","isActive":true,"name":"b task 5 größer","participants":[{"aId":"a-2","name":"Bob"}],"priority":{"_id":"pr-1","name":"Medium","score":2},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-02T19:00:00.000Z","type":"round"}],"refId":"BS0005","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":["vip"],"updatedAt":"2026-10-02T19:00:00.000Z","userInfo":{"_id":"u-2","emailId":"u2@example.com","name":"User 2"}}', null, '2026-11-26 16:01:28.955', '2026-11-26 16:01:28.955', 2, null);

create table unknown_keys (
    source_id bigint not null,
    key text not null,
    example text,
    task_id text not null,
    first_seen_at timestamptz(3) not null,
    run_id bigint not null,
    primary key (source_id, key),
    foreign key (source_id) references sources,
    foreign key (run_id) references sync_runs
);
insert into unknown_keys (source_id, key, example, task_id, first_seen_at, run_id) values
(1, 'strangeKey', '{"deep":[1,2,{"x":"y"}]}', 'ti-a0003', '2026-11-26 16:01:28.656', 1);

create table watermarks (
    source_id bigint not null,
    value timestamptz(3) not null,
    moved_at timestamptz(3) not null,
    run_id bigint not null,
    primary key (source_id),
    foreign key (source_id) references sources,
    foreign key (run_id) references sync_runs
);
insert into watermarks (source_id, value, moved_at, run_id) values
(1, '2026-11-26 16:01:23.987', '2026-11-26 16:01:34.336', 12),
(2, '2026-11-26 16:01:23.996', '2026-11-26 16:01:34.580', 13);

create table rejected_records (
    id bigint not null,
    source_id bigint not null,
    digest text not null,
    record_id text,
    reason text not null,
    raw text not null,
    times_seen integer not null,
    first_seen_at timestamptz(3) not null,
    last_seen_at timestamptz(3) not null,
    first_run_id bigint not null,
    last_run_id bigint not null,
    window_id bigint,
    primary key (id),
    foreign key (source_id) references sources,
    foreign key (first_run_id) references sync_runs,
    foreign key (last_run_id) references sync_runs,
    foreign key (window_id) references sync_windows
);
insert into rejected_records (id, source_id, digest, record_id, reason, raw, times_seen, first_seen_at, last_seen_at, first_run_id, last_run_id) values
(1, 1, '9fa07ba8b1a6ac6eb650696d997aa427', null, '_id is missing', '{"_id":"","name":"without an id","updatedAt":"2026-10-01T08:00:00.000Z"}', 4, '2026-11-26 16:01:28.656', '2026-11-26 16:01:34.548', 1, 12),
(2, 1, 'cde362d8ac74805b45c59d8035122803', 'ti-a0050', 'updatedAt is unreadable: "gestern"', '{"_id":"ti-a0050","amount":{"displayName":"Amount","id":"fd-1","selectedValue":60.25},"assigneeType":"unassigned","caseId":"ci-a0025","caseRefId":"AC0025","channel":["email","rtm"],"createdAt":"2026-10-15T22:00:00.000Z","createdBy":{"_id":"u-9","name":"System"},"currAssignee":null,"dueDate":"2026-10-17T22:00:00.000Z","isActive":true,"name":"a task 50 größer","participants":[],"priority":{"_id":"pr-1","name":"Medium","score":2},"queues":[{"_id":"qu-1","name":"Billing","startTime":"2026-10-15T22:00:00.000Z","type":"round"}],"refId":"AS0050","status":{"_id":"sts-o","name":"Open","statusCategory":"open"},"tags":["vip"],"updatedAt":"gestern","userInfo":{"_id":"u-2","emailId":"u2@example.com","name":"User 2"}}', 2, '2026-11-26 16:01:28.736', '2026-11-26 16:01:34.548', 1, 12);

create table status_stretches (
    task_id text not null,
    position integer not null,
    status_id text,
    value text,
    started_at timestamptz(3) not null,
    ended_at timestamptz(3),
    primary key (task_id, position),
    foreign key (task_id) references tasks
);
insert into status_stretches (task_id, position, status_id, value, started_at, ended_at) values
('ti-a0001', 1, 'sts-o', 'Open', '2026-10-01 15:00:00.000', '2026-10-11 20:00:00.000'),
('ti-a0001', 2, 'sts-r', 'Resolved', '2026-10-11 20:00:00.000', null),
('ti-b0000', 1, 'sts-o', 'Open', '2026-10-01 08:00:00.000', '2026-10-11 09:00:00.000'),
('ti-b0000', 2, 'sts-r', 'Resolved', '2026-10-11 09:00:00.000', '2026-10-11 21:00:00.000'),
('ti-b0000', 3, 'sts-o', 'Open', '2026-10-11 21:00:00.000', null),
('ti-b0004', 1, 'sts-o', 'Open', '2026-10-02 12:00:00.000', '2026-10-11 23:00:00.000'),
('ti-b0004', 2, 'sts-r', 'Resolved', '2026-10-11 23:00:00.000', null);

create table task_changes (
    id bigint not null,
    task_id text not null,
    field text not null,
    old_id text,
    new_id text,
    old_value text,
    new_value text,
    changed_at timestamptz(3),
    seen_at timestamptz(3) not null,
    run_id bigint not null,
    primary key (id),
    foreign key (run_id) references sync_runs,
    foreign key (task_id) references tasks
);
insert into task_changes (id, task_id, field, old_id, new_id, old_value, new_value, changed_at, seen_at, run_id) values
(1, 'ti-b0000', 'status', 'sts-o', 'sts-r', 'Open', 'Resolved', '2026-10-11 09:00:00.000', '2026-11-26 16:01:30.331', 4),
(2, 'ti-b0002', 'name', null, null, 'b task 2 größer', 'b task 2, renamed', '2026-10-11 10:00:00.000', '2026-11-26 16:01:30.331', 4),
(3, 'ti-b0002', 'due date', null, null, '2026-10-03 22:00:00.000', '2026-10-21 08:00:00.000', '2026-10-11 10:00:00.000', '2026-11-26 16:01:30.331', 4),
(4, 'ti-b0003', 'deletion', null, null, null, '2026-11-26 16:01:31.449', '2026-11-26 16:01:31.449', '2026-11-26 16:01:31.449', 6),
(5, 'ti-b0004', 'status', 'sts-o', 'sts-r', 'Open', 'Resolved', '2026-10-11 23:00:00.000', '2026-11-26 16:01:31.998', 8),
(6, 'ti-b0000', 'status', 'sts-r', 'sts-o', 'Resolved', 'Open', '2026-10-11 21:00:00.000', '2026-11-26 16:01:31.998', 8),
(7, 'ti-b0004', 'queue', 'qu-1', 'qu-2', 'Billing', 'Support', '2026-10-11 23:00:00.000', '2026-11-26 16:01:31.998', 8),
(8, 'ti-a0001', 'status', 'sts-o', 'sts-r', 'Open', 'Resolved', '2026-10-11 20:00:00.000', '2026-11-26 16:01:34.436', 12),
(9, 'ti-a0002', 'priority', 'pr-1', 'pr-2', 'Medium', 'High', '2026-10-11 11:00:00.000', '2026-11-26 16:01:34.436', 12),
(10, 'ti-a0000', 'assignee', null, 'a-1', null, 'Ann', '2026-10-12 14:00:00.000', '2026-11-26 16:01:34.436', 12),
(11, 'ti-a0006', 'deletion', null, null, null, '2026-10-11 22:00:00.000', '2026-10-11 22:00:00.000', '2026-11-26 16:01:34.436', 12),
(12, 'ti-a0004', 'deletion', null, null, null, '2026-11-26 16:01:34.554', '2026-11-26 16:01:34.554', '2026-11-26 16:01:34.554', 12);

create table task_channels (
    task_id text not null,
    position integer not null,
    channel text,
    primary key (task_id, position),
    foreign key (task_id) references tasks
);
insert into task_channels (task_id, position, channel) values
('ti-a0000', 0, 'email'),
('ti-a0000', 1, 'rtm'),
('ti-a0001', 0, 'rtm'),
('ti-a0002', 0, 'email'),
('ti-a0002', 1, 'rtm'),
('ti-a0003', 0, 'rtm'),
('ti-a0004', 0, 'email'),
('ti-a0004', 1, 'rtm'),
('ti-a0005', 0, 'rtm'),
('ti-a0006', 0, 'email'),
('ti-a0006', 1, 'rtm'),
('ti-a0008', 0, 'email'),
('ti-a0008', 1, 'rtm'),
('ti-a0009', 0, 'rtm'),
('ti-b0000', 0, 'email'),
('ti-b0000', 1, 'rtm'),
('ti-b0001', 0, 'rtm'),
('ti-b0002', 0, 'email'),
('ti-b0002', 1, 'rtm'),
('ti-b0003', 0, 'rtm'),
('ti-b0004', 0, 'email'),
('ti-b0004', 1, 'rtm'),
('ti-b0005', 0, 'rtm');

create table task_fields (
    task_id text not null,
    position integer not null,
    field_id text,
    key text,
    name text,
    data_type text,
    text text,
    number double precision,
    time timestamptz(3),
    primary key (task_id, position),
    foreign key (task_id) references tasks
);
insert into task_fields (task_id, position, field_id, key, name, text, number) values
('ti-a0000', 0, 'fd-1', 'amount', 'Amount', '10.25', 10.25),
('ti-a0001', 0, 'fd-1', 'amount', 'Amount', '11.25', 11.25),
('ti-a0002', 0, 'fd-1', 'amount', 'Amount', '12.25', 12.25),
('ti-a0003', 0, 'fd-1', 'amount', 'Amount', '13.25', 13.25),
('ti-a0004', 0, 'fd-1', 'amount', 'Amount', '14.25', 14.25),
('ti-a0005', 0, 'fd-1', 'amount', 'Amount', '15.25', 15.25),
('ti-a0006', 0, 'fd-1', 'amount', 'Amount', '16.25', 16.25),
('ti-a0008', 0, 'fd-1', 'amount', 'Amount', '18.25', 18.25),
('ti-a0009', 0, 'fd-1', 'amount', 'Amount', '19.25', 19.25),
('ti-b0000', 0, 'fd-1', 'amount', 'Amount', '10.25', 10.25),
('ti-b0001', 0, 'fd-1', 'amount', 'Amount', '11.25', 11.25),
('ti-b0002', 0, 'fd-1', 'amount', 'Amount', '12.25', 12.25),
('ti-b0003', 0, 'fd-1', 'amount', 'Amount', '13.25', 13.25),
('ti-b0004', 0, 'fd-1', 'amount', 'Amount', '14.25', 14.25),
('ti-b0005', 0, 'fd-1', 'amount', 'Amount', '15.25', 15.25);

create table task_participants (
    task_id text not null,
    position integer not null,
    agent_id text,
    name text,
    status text,
    assigned_at timestamptz(3),
    primary key (task_id, position),
    foreign key (task_id) references tasks,
    foreign key (agent_id) references agents
);
insert into task_participants (task_id, position, agent_id, name) values
('ti-a0001', 0, 'a-2', 'Bob'),
('ti-a0005', 0, 'a-2', 'Bob'),
('ti-a0009', 0, 'a-2', 'Bob'),
('ti-b0001', 0, 'a-2', 'Bob'),
('ti-b0005', 0, 'a-2', 'Bob');

create table task_progress (
    task_id text not null,
    first_response_at timestamptz(3),
    first_resolved_at timestamptz(3),
    last_resolved_at timestamptz(3),
    reopened integer not null,
    primary key (task_id),
    foreign key (task_id) references tasks
);
insert into task_progress (task_id, first_response_at, first_resolved_at, last_resolved_at, reopened) values
('ti-a0001', '2026-10-11 20:00:00.000', '2026-10-11 20:00:00.000', '2026-10-11 20:00:00.000', 0),
('ti-b0000', '2026-10-11 09:00:00.000', '2026-10-11 09:00:00.000', '2026-10-11 09:00:00.000', 1),
('ti-b0004', '2026-10-11 23:00:00.000', '2026-10-11 23:00:00.000', '2026-10-11 23:00:00.000', 0);

create table task_queues (
    task_id text not null,
    position integer not null,
    queue_id text,
    status text,
    started_at timestamptz(3),
    primary key (task_id, position),
    foreign key (task_id) references tasks,
    foreign key (queue_id) references queues
);
insert into task_queues (task_id, position, queue_id, started_at) values
('ti-a0000', 0, 'qu-1', '2026-10-01 08:00:00.000'),
('ti-a0001', 0, 'qu-1', '2026-10-01 15:00:00.000'),
('ti-a0002', 0, 'qu-1', '2026-10-01 22:00:00.000'),
('ti-a0003', 0, 'qu-1', '2026-10-02 05:00:00.000'),
('ti-a0004', 0, 'qu-1', '2026-10-02 12:00:00.000'),
('ti-a0005', 0, 'qu-1', '2026-10-02 19:00:00.000'),
('ti-a0006', 0, 'qu-1', '2026-10-03 02:00:00.000'),
('ti-a0008', 0, 'qu-1', '2026-10-03 16:00:00.000'),
('ti-a0009', 0, 'qu-1', '2026-10-03 23:00:00.000'),
('ti-b0000', 0, 'qu-1', '2026-10-01 08:00:00.000'),
('ti-b0001', 0, 'qu-1', '2026-10-01 15:00:00.000'),
('ti-b0002', 0, 'qu-1', '2026-10-01 22:00:00.000'),
('ti-b0003', 0, 'qu-1', '2026-10-02 05:00:00.000'),
('ti-b0004', 0, 'qu-2', '2026-10-01 08:00:00.000'),
('ti-b0005', 0, 'qu-1', '2026-10-02 19:00:00.000');

create table task_tags (
    task_id text not null,
    position integer not null,
    tag text,
    primary key (task_id, position),
    foreign key (task_id) references tasks
);
insert into task_tags (task_id, position, tag) values
('ti-a0000', 0, 'vip'),
('ti-a0005', 0, 'vip'),
('ti-b0000', 0, 'vip'),
('ti-b0005', 0, 'vip');
