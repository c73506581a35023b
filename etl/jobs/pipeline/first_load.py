"""A first load: larger batches, and the indexes that it does not use are made at its end."""

from __future__ import annotations

from etl.errors import DatabaseError
from etl.jobs.pipeline.prefetch import OF_NEW
from etl.jobs.run.run_context import RunContext
from etl.load.schema import deferred_indexes
from etl.logs import get_logger

log = get_logger()


def begin_load(run: RunContext) -> None:
    """Drop the indexes that a load does not use, if no task is stored and the source was never read."""
    if run.watermark_before is None and deferred_indexes.put_off(run.store.engine):
        run.writer.most_prefetched = OF_NEW


def end_load(run: RunContext) -> None:
    """Make the indexes that this run or one before it dropped; without them queries are right but slower."""
    try:
        made = deferred_indexes.make_missing(run.store.engine)
    except DatabaseError as error:
        then = "the next run makes them, or kore-etl db upgrade"
        log.warning("indexes.missing", run=run.id, error=f"{error}", then=then)
    else:
        if made:
            log.debug("indexes.made", run=run.id, indexes=made)
