"""Rolling verification: reads all of history again in slices, compares every field and explains each difference.

A slice begins where the last one ended. Syncs verify what is due: rows enough to be once around within the setting
``verify_within``, with requests that the minute has left once the news are stored. The command goes once around, or as
far as its requests reach. What a first or full sync has read counts as verified.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from etl.errors import ApiError, ConfigError, EtlError, RefusedError
from etl.extract.capabilities import CapabilityDriftError
from etl.jobs.comparison.deletion_candidates import IncompleteError, confirm_deletions
from etl.jobs.comparison.look_up_by_creation import look_up_by_creation
from etl.jobs.comparison.verify_history_slice import Difference, Slice, Verified
from etl.jobs.pipeline.completeness_check import note_again
from etl.jobs.pipeline.revert_names_after_server_restore import revert_to_stored
from etl.jobs.run.history_start import history_start
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import sources
from etl.load.queries import mark_deleted_tasks, stored_tasks
from etl.logs import get_logger

log = get_logger()

_UNSORTED_REQUESTS = 10  # a sync, where nothing else finds the changes of old tasks


def verify(
    run: RunContext, *, requests: int | None = None, since: datetime | None = None, until: datetime | None = None
) -> Mapping[str, Any]:
    """Verify once around, or a range, for no more than ``requests``; return the counts.

    A range leaves the position of the rolling verification where it is.

    Raises:
        ConfigError: nothing of the source is stored yet.
        EtlError: as the client and the database raise it.
    """
    if run.store.watermark() is None and not run.store.read(stored_tasks.is_any):
        raise ConfigError("nothing is stored yet, so there is nothing to verify; run: kore-etl sync")
    run.capabilities.ensure_known()
    found = Verified(_position(run))
    before = run.fetch.requests

    def may_go_on() -> bool:
        return requests is None or run.fetch.requests - before < requests

    end = min(until or _newest(run), _newest(run))
    if since is not None or until is not None:
        begin = history_start(run) if since is None else max(since, run.start or since)
        _read_all(run, found, begin, end, may_go_on)
    else:
        middle = found.position or end
        found.position = _read_all(run, found, found.position or history_start(run), end, may_go_on)
        is_at_end = found.position is None
        if is_at_end and middle < end:
            found.position = _read_all(run, found, history_start(run), middle, may_go_on) or middle
        if found.position is None or (is_at_end and found.position == middle):
            revert_to_stored(run)
        _remember(run, found, run.clock())
    return {"verify": _finish(run, found, before)}


def verify_due(run: RunContext) -> None:
    """Verify what is due, out of the requests that the minute has left; a failure of it leaves the sync as it is."""
    within, source = run.options.verify_within, run.source
    if not within or not run.count_stored():
        return
    now, before = run.clock(), run.fetch.requests
    if source.verified_until is None or source.verified_until > now:  # a clock was ahead
        restart_verification(run)
        return
    limit = run.capabilities.current.limit()
    pace = within / (run.count_stored() + (_count_slices(run) + 1) * limit)  # a little faster than once around
    paced = max(source.verified_until, now - within)
    page = min(limit - 1, run.count_stored())
    least = _UNSORTED_REQUESTS if run.strategy.changes == "unresolved" else 0
    found = Verified(_position(run))

    def done() -> timedelta:
        return (found.tasks + found.slices * limit) * pace

    def may_go_on() -> bool:
        is_due = now - paced - done() >= page * pace
        return (is_due or run.fetch.requests - before < least) and run.fetch.client.has_requests_left()

    if not may_go_on():
        return
    rounds = 0
    try:
        while may_go_on() and rounds < 2:
            begin = found.position or history_start(run)
            found.position = _read(run, found, begin, _newest(run), may_go_on)
            rounds += found.position is None
    except CapabilityDriftError as drift:
        run.capabilities.correct(drift)
    except ApiError as error:
        log.warning("verify.stopped", reason=str(error))
    if rounds:
        revert_to_stored(run)
    _remember(run, found, min(now, paced + done()))
    _finish(run, found, before)


def restart_verification(run: RunContext) -> None:
    """Count all of history as verified now."""
    _remember(run, Verified(None), run.clock())


def _position(run: RunContext) -> datetime | None:
    """Return how far this round has come, None if it has not begun. Before the setting ``start`` nothing counts."""
    position = run.source.verify_position
    return None if position is None or (run.start is not None and position <= run.start) else position


def _remember(run: RunContext, found: Verified, until: datetime) -> None:
    run.store.write(sources.put, verify_position=found.position, verified_until=until)


def _finish(run: RunContext, found: Verified, requests_before: int) -> dict[str, Any]:
    run.counters.mended += found.mended
    if found.mended:
        note_again(run, marked=found.differences[Difference.DELETED])
    requests = run.fetch.requests - requests_before
    differences = {kind.value: number for kind, number in found.differences.items()}
    tell = log.warning if found.mended else log.info
    tell("verify.finished", requests=requests, tasks=found.tasks, mended=found.mended, **differences)
    return {
        "requests": requests, "tasks": found.tasks, "mended": found.mended, "differences": differences,
        "position": found.position,
    }  # fmt: skip


def _count_slices(run: RunContext) -> int:
    """Return how many slices all of history takes at least: more than one where the server limits ranges."""
    begin = history_start(run)
    return max(1, math.ceil((_newest(run) - begin) / (run.capabilities.current.latest_end(begin) - begin)))


def _newest(run: RunContext) -> datetime:
    """Return where verification ends: later changes belong to the syncs."""
    return run.store.watermark() or run.clock()


def _read_all(
    run: RunContext, found: Verified, begin: datetime, end: datetime, may_go_on: Callable[[], bool]
) -> datetime | None:
    """Verify ``[begin, end)`` slice by slice; start a slice again on capability drift. Return as :func:`_read` does."""
    position: datetime | None = begin
    while position is not None and position < end and may_go_on():
        try:
            position = _read(run, found, position, end, may_go_on)
        except CapabilityDriftError as drift:
            run.capabilities.correct(drift)
    return position


def _read(
    run: RunContext, found: Verified, begin: datetime, end: datetime, may_go_on: Callable[[], bool]
) -> datetime | None:
    """Verify ``[begin, end)`` as far as it may go; return where it goes on, None once it came to the end."""
    longest: timedelta | None = None  # once longer ranges were refused
    while begin < end:
        stop = min(end, run.capabilities.current.latest_end(begin) if longest is None else begin + longest)
        slice_ = Slice(run, found, begin)
        try:
            reached = slice_.read(stop, may_go_on)
        except RefusedError as error:
            slice_.fail(error)
            longest = (stop - begin) / 2
            if longest <= 4 * run.capabilities.current.smallest():
                raise
            continue
        except EtlError as error:
            slice_.fail(error)
            raise
        if longest is not None:
            run.capabilities.learn_longest_range(longest)
        found.slices += reached >= stop
        if slice_.gone or (slice_.may_be_undated and reached >= end):
            slice_.read_undated(is_all_read=begin <= history_start(run) and reached >= _newest(run))
        if slice_.gone:
            found.differences[Difference.DELETED] += _mark(run, slice_, found)
        return reached if reached < end else None
    return None


def _mark(run: RunContext, slice_: Slice, found: Verified) -> int:
    """Mark the tasks that are deleted for certain; the others wait for the next round or for ``reconcile``."""
    try:
        slice_.check(len(slice_.gone))
        look_up_by_creation(slice_)
        confirm_deletions(run, slice_)
    except IncompleteError as error:
        log.warning("verify.not_marked", tasks=len(slice_.gone), reason=str(error))
        _look_before(run, found)
        return 0
    return run.store.write(mark_deleted_tasks.mark, slice_.gone, run_id=run.id, now=run.clock())


def _look_before(run: RunContext, found: Verified) -> None:
    """Verify what stands before the beginning of history now: a task may have moved there."""
    begin = history_start(run)
    _read_all(run, found, history_start(run, look_before=True), begin, lambda: True)
