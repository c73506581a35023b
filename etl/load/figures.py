"""What a source's tables say in numbers, for those who watch it from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from etl.load import lookup, status
from etl.load.tables import sources, sync_runs, watermarks

if TYPE_CHECKING:
    from datetime import datetime

_WELL = (0, 3)  # exit codes of runs that came to their end


@dataclass(frozen=True, slots=True)
class Figures:
    """How a source stands; ``succeeded_at`` is when a run of the command asked for last came to its end."""

    watermark: datetime | None
    succeeded_at: datetime | None
    tasks: int
    rejected: int
    gaps: int
    unverified: int


def read(connection: Connection, stream_id: str, command: str) -> Figures | None:
    """Return the figures of a stream, None where it is not known yet."""
    source_id = connection.execute(select(sources.c.id).where(sources.c.stream_id == stream_id)).scalar()
    if source_id is None:
        return None
    run = sync_runs.c
    well = (run.source_id == source_id, run.command == command, run.exit_code.in_(_WELL))
    return Figures(
        watermark=connection.execute(select(watermarks.c.value).where(watermarks.c.source_id == source_id)).scalar(),
        succeeded_at=connection.execute(select(func.max(run.finished_at)).where(*well)).scalar(),
        tasks=status.task_counts(connection, source_id)[0],
        rejected=status.kept_aside(connection, source_id),
        gaps=len(lookup.gaps(connection, source_id)),
        unverified=len(lookup.unverified(connection, source_id)),
    )
