"""A test that hangs fails within its time, and the next one runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow

TESTS = """
import time
import pytest

def test_that_hangs():
    while True:
        try:
            time.sleep(60)
        except Exception:
            pass

@pytest.fixture
def hanging():
    time.sleep(60)

def test_whose_fixture_hangs(hanging):
    pass

def test_that_ends():
    time.sleep(0.01)
"""


def test_a_test_that_hangs_fails_and_the_next_one_runs(tmp_path):
    (tmp_path / "conftest.py").write_text("from tests.time_limit import pytest_runtest_call, pytest_runtest_setup\n")
    (tmp_path / "test_three.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)]
    environment = {**os.environ, "TEST_TIME_LIMIT": "0.3", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    assert "1 failed, 1 passed, 1 error" in done.stdout
    assert "time.sleep(60)" in done.stdout
    assert "longer than 0.3 seconds" in done.stdout
