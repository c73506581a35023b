"""Prefetch: pages that come quickly are stored together, and a slow page holds up none of those before it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from threading import Event

import pytest

from etl.extract.http.response_page import Page
from etl.jobs.pipeline.prefetch import prefetch, switching_threads_often
from etl.load.upsert.batch_and_counts import Batch

LONG, SHORT = 30.0, 0.001  # seconds


def batch_of(page: Page) -> Batch:
    return Batch(tasks=[{"_id": record} for record in page.records], weight=100)


def stored(batches: Iterator[Batch]) -> list[list[str]]:
    return [[task["_id"] for task in batch.tasks] for batch in batches]


def test_pages_that_come_quickly_are_one_batch() -> None:
    pages = iter([Page(["a"]), Page(["b"]), Page(["c"])])
    assert stored(prefetch(pages, batch_of, most=1000, wait=LONG)) == [["a", "b", "c"]]


def test_a_batch_of_half_the_memory_does_not_wait() -> None:
    pages = iter([Page(["a"]), Page(["b"]), Page(["c"])])
    batches = prefetch(pages, batch_of, most=150, wait=LONG)
    assert max(map(len, stored(batches))) <= 2


def test_a_slow_page_holds_up_no_earlier_page() -> None:
    is_stored = Event()

    def pages() -> Iterator[Page]:
        yield Page(["a"])
        assert is_stored.wait(LONG)
        yield Page(["b"])

    batches = prefetch(pages(), batch_of, most=1000, wait=SHORT)
    first = next(batches)
    is_stored.set()
    assert stored(iter([first, *batches])) == [["a"], ["b"]]


def test_threads_switch_often_only_meanwhile() -> None:
    usual = sys.getswitchinterval()

    def fail_meanwhile() -> None:
        with switching_threads_often():
            assert sys.getswitchinterval() < usual / 10
            raise KeyError

    with pytest.raises(KeyError):
        fail_meanwhile()
    assert sys.getswitchinterval() == usual
