"""The watch over answers: what lasts too long is cut, and one thread is enough for all that does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from threading import Semaphore, Thread

import pytest

from etl.extract.http.deadline import Deadline

LONG = 60.0
PATIENCE = 10.0


def threads() -> set[Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "kore-etl-watch"}


class Watched:
    """A watch, and the cuts that it made."""

    def __init__(self) -> None:
        self.cuts = Semaphore(0)
        self._before = threads()
        self.watch = Deadline(self.cuts.release)

    def is_cut(self) -> bool:
        return self.cuts.acquire(timeout=PATIENCE)

    def threads(self) -> set[Thread]:
        return threads() - self._before


@pytest.fixture
def watched() -> Iterator[Watched]:
    mine = Watched()
    yield mine
    mine.watch.close()


def test_what_lasts_too_long_is_cut_and_said_to_be(watched):
    with watched.watch.limit(0.0) as is_over:
        assert watched.is_cut()
        assert is_over()
    assert is_over()


def test_a_time_that_is_over_before_it_begins_is_over(watched):
    with watched.watch.limit(-LONG) as is_over:
        assert watched.is_cut()
        assert is_over()


def test_a_connection_in_the_making_is_cut_again(watched):
    with watched.watch.limit(0.0):
        assert watched.is_cut()
        assert watched.is_cut()


def test_what_ends_in_time_is_not(watched):
    with watched.watch.limit(LONG) as is_over:
        assert not is_over()
    assert not watched.cuts.acquire(blocking=False)


def test_what_ends_by_an_error_is_no_longer_watched(watched):
    with pytest.raises(KeyboardInterrupt), watched.watch.limit(LONG):
        raise KeyboardInterrupt
    assert watched.watch._ends is None


def test_a_shorter_time_is_kept_to_behind_a_longer_one(watched):
    with watched.watch.limit(LONG):
        time.sleep(0.1)  # its thread waits for the long one
    with watched.watch.limit(0.0) as is_over:
        assert watched.is_cut()
        assert is_over()


def test_a_longer_time_is_kept_to_behind_a_shorter_one(watched):
    with watched.watch.limit(0.0):
        assert watched.is_cut()
    with watched.watch.limit(LONG) as is_over:
        assert not is_over()
    with watched.watch.limit(0.0) as is_over:
        assert watched.is_cut()


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.002])
def test_one_after_the_other_each_is_cut(watched, seconds):
    for _ in range(100):
        with watched.watch.limit(seconds) as is_over:
            assert watched.is_cut()
            assert is_over()


def test_one_thread_watches_them_all_and_keeps_no_process_alive(watched):
    with watched.watch.limit(LONG):
        (first,) = watched.threads()
    for _ in range(100):
        with watched.watch.limit(LONG):
            assert watched.threads() == {first}
    assert first.daemon


def test_without_anything_to_watch_it_ends_by_itself(watched):
    with watched.watch.limit(0.01):
        (only,) = watched.threads()
    only.join(PATIENCE)
    assert not only.is_alive()


def test_closed_it_ends_at_once_and_begins_again_on_use(watched):
    with watched.watch.limit(LONG):
        (only,) = watched.threads()
    watched.watch.close()
    only.join(PATIENCE)
    assert not only.is_alive()
    with watched.watch.limit(0.0):
        assert watched.is_cut()


def test_a_watch_that_was_never_needed_has_no_thread(watched):
    watched.watch.close()
    assert watched.threads() == set()


def test_several_do_not_disturb_each_other():
    first, second = Watched(), Watched()
    with first.watch.limit(LONG) as is_over:
        with second.watch.limit(0.0):
            assert second.is_cut()
        assert not is_over()
    for each in (first, second):
        each.watch.close()
