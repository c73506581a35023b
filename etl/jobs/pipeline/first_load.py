"""A first load: many rows at once, and without the indexes that it does not ask by, which are made when it is done."""

from __future__ import annotations

from etl.errors import DatabaseError
from etl.jobs.pipeline.prefetch import OF_NEW
from etl.jobs.pipeline.run import Run
from etl.load.schema import deferred_indexes
from etl.logs import get_logger

log = get_logger()


def begin_load(run: Run) -> None:
    """Put the indexes off, if nothing was ever read of the source and no task is stored."""
    if run.watermark_before is None and deferred_indexes.put_off(run.engine):
        run.most_ahead = OF_NEW


def end_load(run: Run) -> None:
    """Make what this run or one before it put off: without it what is stored is right, and only slower to ask."""
    try:
        made = deferred_indexes.make_missing(run.engine)
    except DatabaseError as error:
        then = "the next run makes them, or kore-etl db upgrade"
        log.warning("indexes.missing", run=run.id, error=f"{error}", then=then)
    else:
        if made:
            log.debug("indexes.made", run=run.id, indexes=made)
