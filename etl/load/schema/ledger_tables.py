"""The ledger's tables: sources, runs, windows, watermarks, request budgets, rejected records and unknown keys."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint, false

from etl.load.database.types import Moment
from etl.load.schema.metadata import Json, RowId, metadata

sources = Table(
    "sources",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", Text, nullable=False, comment="the name in the settings"),
    Column("base_url", Text, nullable=False),
    Column("host", Text, nullable=False, comment="of base_url"),
    Column("account_id", Text, nullable=False),
    Column("stream_id", Text, nullable=False),
    Column("timezone", Text, nullable=False, server_default="UTC", comment="its days are those of this time zone"),
    Column("history_start", Moment, comment="the start of history; nothing is older"),
    Column("capabilities", Json, comment="the server's capabilities, as the probe found them"),
    Column("probed_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("shape", Text, comment="the rules that made the stored rows; a change rebuilds them"),
    Column("verify_position", Moment, comment="where rolling verification goes on; null: at the beginning"),
    Column("verified_until", Moment, comment="up to when rolling verification has kept its pace"),
    Column("missing_searched", Integer, comment="how many missing tasks the last search did not find"),
    Column("missing_searched_at", Moment),
    Column("collapse_accepted_at", Moment, comment="when a collapsed total was accepted; null once it is confirmed"),
    Column("absent_ids", Json, comment="tasks found deleted on the server that are not marked yet"),
    Column("every", Integer, comment="seconds between the times at which a sync is due; null: sync --due skips it"),
    Column("paused", Boolean, nullable=False, server_default=false(), comment="whether sync --due skips it"),
    Column("next_due_at", Moment, comment="when its next sync is due"),
    UniqueConstraint("host", "account_id", "stream_id"),
    comment="the sources of tasks: a host, an account and a stream each",
)

source_offsets = Table(
    "source_offsets",
    metadata,
    Column("source_id", ForeignKey("sources.id"), primary_key=True, autoincrement=False),
    Column("starts_at", Moment, primary_key=True, comment="from then on"),
    Column("seconds", Integer, nullable=False, comment="east of UTC"),
    comment="derived: the offsets from UTC of each source's time zone; none for UTC",
)

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False),
    Column("command", Text, nullable=False, comment="sync, backfill ..."),
    Column("state", Text, nullable=False, comment="running, distributed, finished, failed, interrupted, abandoned"),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("exit_code", Integer),
    Column("requests", Integer, nullable=False, server_default="0"),
    Column("retries", Integer, nullable=False, server_default="0"),
    Column(
        "rate_limited",
        Integer,
        nullable=False,
        server_default="0",
        comment="answers that refused a request as too many",
    ),
    Column("windows", Integer, nullable=False, server_default="0", comment="windows read"),
    Column("unverified", Integer, nullable=False, server_default="0", comment="windows that could not be verified"),
    Column("fetched", Integer, nullable=False, server_default="0", comment="records read, repeats included"),
    Column("inserted", Integer, nullable=False, server_default="0"),
    Column("updated", Integer, nullable=False, server_default="0"),
    Column("unchanged", Integer, nullable=False, server_default="0"),
    Column("stale", Integer, nullable=False, server_default="0", comment="records older than the stored row"),
    Column("rejected", Integer, nullable=False, server_default="0"),
    Column("server_total", Integer, comment="the account: what the server counts; null if untold"),
    Column("stored_live", Integer, comment="the account: stored, and not gone from the server"),
    Column("quarantined", Integer, comment="the account: rejected records that are no task"),
    Column("hidden", Integer, comment="the account: counted and never shown, as a whole reading found"),
    Column("missing", Integer, comment="the account: counted, and not found"),
    Column("mended", Integer, nullable=False, server_default="0", comment="differences that verification mended"),
    Column("runs", Integer, nullable=False, server_default="1", comment="more than 1: quiet runs of one hour"),
    Column("watermark_before", Moment),
    Column("watermark_after", Moment),
    Column("version", Text, nullable=False, comment="of kore-etl"),
    Column("settings", Json, nullable=False, comment="the settings of the run, secrets masked"),
    Column("error", Text),
    Index(None, "source_id", "started_at"),
    comment="runs of commands on a source; a day later one row for the quiet runs of an hour",
)

request_budgets = Table(
    "request_budgets",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("version", RowId, nullable=False, comment="rises with each change"),
    Column("usage", Text, nullable=False, comment="JSON: the requests that count, by the database's clock in seconds"),
    comment="the request budget of each account; on SQLite a file beside the database has it",
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("source_id", ForeignKey("sources.id"), primary_key=True, autoincrement=False),
    Column("value", Moment, nullable=False, comment="all changes up to this time are stored"),
    Column("moved_at", Moment, nullable=False),
    Column("run_id", RowId, nullable=False),
    Column("lookback_read_at", Moment, comment="when the time before it was last read row by row"),
    Column("complete_to", Moment, comment="all changes up to it that the server showed are stored"),
    comment="the watermark of each source",
)

sync_windows = Table(
    "sync_windows",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False),
    Column("run_id", RowId, nullable=False, comment="the run that last worked on the window"),
    Column("job", Text, nullable=False, comment="the kind of work: first, sync, full, backfill, verify"),
    Column("field", Text, nullable=False, comment="createdAt or updatedAt"),
    Column("start_at", Moment, nullable=False, comment="included"),
    Column("end_at", Moment, nullable=False, comment="not included"),
    Column("checkpoint_at", Moment, nullable=False, comment="everything from start_at up to this time is committed"),
    Column("strategy", Text, nullable=False, comment="keyset, newest_first, split_windows"),
    Column("state", Text, nullable=False, comment="pending, running, verified, unverified, failed"),
    Column("requests", Integer, nullable=False, server_default="0"),
    Column("rows", Integer, nullable=False, server_default="0", comment="records read, repeats included"),
    Column("reported_total", Integer, comment="totalResults, if the server gives it"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="how often a run began to read the window"),
    Column("opened_at", Moment, nullable=False, comment="the server's time when the read began"),
    Column("finished_at", Moment),
    Column("error", Text),
    Column(
        "claimable_at", Moment, comment="when a worker may claim it, or its lease runs out; null: no work for workers"
    ),
    Index(None, "source_id", "state"),
    Index(None, "source_id", "start_at"),
    Index(None, "claimable_at"),
    comment="windows: the ranges of time that runs read",
)

rejected_records = Table(
    "rejected_records",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False),
    Column("digest", Text, nullable=False, comment="digest of the raw text, unique for a source"),
    Column("record_id", Text, comment="_id of the record, if it has one"),
    Column("reason", Text, nullable=False),
    Column("raw", Text, nullable=False),
    Column("times_seen", Integer, nullable=False),
    Column("first_seen_at", Moment, nullable=False),
    Column("last_seen_at", Moment, nullable=False),
    Column("first_run_id", RowId, nullable=False),
    Column("last_run_id", RowId, nullable=False),
    Column("window_id", ForeignKey("sync_windows.id")),
    Column("acknowledged_at", Moment, comment="when kore-etl rejected acknowledge marked it as known"),
    Column("vanished_at", Moment, comment="when a read of all history did not find it any more"),
    UniqueConstraint("source_id", "digest"),
    comment="records that could not be stored, with the reason",
)

unknown_keys = Table(
    "unknown_keys",
    metadata,
    Column("source_id", ForeignKey("sources.id"), primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True, comment="the key at the top level of the record"),
    Column("example", Text, comment="the start of its value as JSON"),
    Column("task_id", Text, nullable=False, comment="the first task with this key"),
    Column("first_seen_at", Moment, nullable=False),
    Column("run_id", RowId, nullable=False),
    comment="keys that are neither known keys of the API nor custom fields",
)
