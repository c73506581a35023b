"""Tries to store rejected records again, from their kept texts, without a request."""

from __future__ import annotations

from collections.abc import Sequence

from etl.extract.http.response_errors import parse
from etl.extract.http.response_page import Page
from etl.jobs.run.run_context import RunContext
from etl.load.database.engine import reading
from etl.load.ledger import rejected_records
from etl.logs import get_logger

log = get_logger()

_AT_ONCE = 100


def replay(run: RunContext, ids: Sequence[int] | None = None) -> dict[str, int]:
    """Transform and store rejected records, all of the source or some, and release those that are good now.

    A stored row is never replaced by an older version. What is still bad stays, with today's reason. Return how many
    were tried, and how many are released because they or a newer version are stored.
    """
    waiting = run.store.read(rejected_records.replayable, ids)
    released = 0
    run.store.commit()
    for start in range(0, len(waiting), _AT_ONCE):
        with reading(run.store.engine) as connection:
            records = rejected_records.read(connection, waiting[start : start + _AT_ONCE])
        released += _replay(run, records)
    return {"replayed": len(waiting), "released": released}


def _replay(run: RunContext, records: Sequence[rejected_records.Kept]) -> int:
    parsed = [(record, parse(record.raw.encode())) for record in records]
    readable = [(record, value) for record, value in parsed if value is not None or record.raw == "null"]
    if len(readable) < len(records):
        log.warning("replay.unreadable", records=len(records) - len(readable))
        run.counters.rejected += len(records) - len(readable)
    run.writer.store(run.transformer.transform(Page([value for _, value in readable])))
    # Cut off here, the next replay finds these records stored already, and lets go of them then.
    with run.store.writing() as connection:
        return rejected_records.settle(connection, [record for record, _ in readable], run.id)
