"""Storing what was rejected once and is good by today's rules, from the kept texts: no request is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from etl.extract.answers import parse
from etl.extract.reading import Chunk
from etl.jobs.run import Run
from etl.load import kept
from etl.load.engine import reading
from etl.logs import get_logger

log = get_logger()

_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many kept records were tried and how many let go of, because they or a newer version are stored."""

    replayed: int
    released: int


def replay(run: Run, ids: Sequence[int] | None = None) -> Replayed:
    """Transform and store kept records, all of the source or some, and let go of those that are good now.

    A stored row is never replaced by an older version. What is still bad stays, with today's reason.
    """
    with reading(run.engine) as connection:
        waiting = kept.replayable(connection, run.source.id, ids)
    released = 0
    for start in range(0, len(waiting), _AT_ONCE):
        with reading(run.engine) as connection:
            records = kept.read(connection, waiting[start : start + _AT_ONCE])
        released += _replay(run, records)
    return Replayed(len(waiting), released)


def _replay(run: Run, records: Sequence[kept.Kept]) -> int:
    parsed = [(record, parse(record.raw.encode())) for record in records]
    readable = [(record, value) for record, value in parsed if value is not None or record.raw == "null"]
    if len(readable) < len(records):
        log.warning("replay.unreadable", records=len(records) - len(readable))
        run.tally.rejected += len(records) - len(readable)
    run.store(run.take(Chunk([value for _, value in readable])))
    # Cut off here, the next replay finds these records stored already, and lets go of them then.
    with run.writing() as connection:
        return kept.settle(connection, [record for record, _ in readable], run.id)
