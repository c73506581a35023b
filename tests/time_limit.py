"""A time limit for each test: one that hangs fails, with the line where it hangs, and its fixtures are cleaned up."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

#: Seconds for the set-up, and for the test itself. The long form of the fault tests takes hours by design.
LIMIT = float(os.environ.get("TEST_TIME_LIMIT", "14400" if os.environ.get("FAULTS") == "long" else "300"))
AGAIN = 1.0  # second, after which it is raised once more, where the code under test goes on all the same


class TimeLimitError(BaseException):
    """Not an Exception: code under test that survives any error must not survive this one."""


@contextmanager
def limited() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, LIMIT, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _raise(_number: int, _frame: object) -> None:
    raise TimeLimitError(f"longer than {LIMIT:g} seconds (TEST_TIME_LIMIT)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    with limited():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    with limited():
        return (yield)
