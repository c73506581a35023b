"""Timestamps as whole milliseconds since 1970.

The sandbox shares no date code with the program, so that no mistake can hide in both.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
SECOND_MS = 1000
DAY_MS = 86_400_000


def parse_timestamp(value: object) -> int | None:
    """Read an ISO 8601 text (no zone is UTC) or epoch milliseconds; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // MILLISECOND


def format_timestamp(moment: int) -> str:
    """Write milliseconds the way that the API does: ``2025-05-26T18:30:00.000Z``."""
    return (EPOCH + moment * MILLISECOND).isoformat(timespec="milliseconds")[:-6] + "Z"


def round_down(moment: int, step: int) -> int:
    """The last multiple of ``step`` milliseconds that is not after the moment; 0 leaves it as it is."""
    return moment - moment % step if step else moment
