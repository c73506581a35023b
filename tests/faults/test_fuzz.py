"""Answers made of anything: only the project's own errors, and every record a row or a rejection."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import CHECKOUT
from tests.faults.conftest import either
from tests.faults.fuzz_target import digest

CORPUS = Path(__file__).with_name("corpus")
BOUND = either("-runs=2000", "-max_total_time=60")
DATES = ("2025-05-28T12:05:38.807Z", "")
KEYS = (
    *("_id", "caseId", "refId", "name", "status", "priority", "fields", "participants", "currAssignee", "queues"),
    *("channel", "tags", "userInfo", "createdBy", "isActive", "ETA", "dueDate", "timestampValue", "createdAt"),
    *("updatedAt", "iId", "statusCategory", "selectedValue", "agentId", "displayName", "dataType", "startTime"),
)
PIECES = (
    *(b"null", b"[", b"{", b'"', b"\\ud800", b"\\u0000", b"1e999", b"-0", b"NaN", b"\xff\xfe", b'"_id":'),
    *(b"9" * 30, b"[" * 500),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(DATES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
records = st.dictionaries(st.sampled_from(KEYS) | st.text(), values, max_size=12)
results = st.fixed_dictionaries({"results": st.lists(records | values, max_size=5)})
about = st.dictionaries(st.sampled_from(["hasMore", "totalResults", "limit", "page"]), values)
pages = st.tuples(about, results).map(lambda parts: parts[0] | parts[1])


@settings(max_examples=either(60, 5000))
@given(pages, st.integers(0, 255))
@example({"results": []}, 0)
def test_a_page_of_anything_is_read_record_by_record(page: Any, first: int) -> None:
    body = json.dumps(page).encode()
    assert digest(b"\0" + body) == len(page["results"])
    assert digest(bytes([first]) + body) in (None, len(page["results"]))


@settings(max_examples=either(100, 5000))
@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_a_page_or_an_error_of_our_own(content: bytes) -> None:
    digest(content)


@pytest.mark.parametrize("seed", sorted(CORPUS.iterdir()), ids=lambda seed: seed.name)
def test_a_damaged_page_is_a_page_or_an_error_of_our_own(seed: Path, ledger: Any) -> None:
    content, random = seed.read_bytes(), Random(seed.name)
    digest(content)
    trials = either(100, 5000)
    for _ in range(trials):
        digest(damaged(content, random))
    ledger("fuzzing", "pages that are damaged at random", None, trials=trials, lost=0)


def damaged(content: bytes, random: Random) -> bytes:
    """Let a few bytes be other ones, be missing or come again."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 6)):
        place, length = random.randrange(len(changed) + 1), random.choice((1, 1, 2, 8, 60))
        match random.randrange(4):
            case 0:
                del changed[place : place + length]
            case 1:
                changed[place:place] = changed[place : place + length]
            case 2:
                changed[place : place + length] = random.randbytes(length)
            case _:
                changed[place:place] = random.choice(PIECES)
    return bytes(changed)


if find_spec("atheris"):  # which has no wheel for every system: what else is here fuzzes there

    def test_a_fuzzer_that_follows_the_code_finds_nothing(tmp_path: Path, ledger: Any) -> None:
        options = [BOUND, "-max_len=8192", "-print_final_stats=1"]
        command = [sys.executable, "-m", "tests.faults.fuzz", *options, str(tmp_path), str(CORPUS)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False, encoding="utf-8")
        assert done.returncode == 0, done.stderr[-3000:]
        (tried,) = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
        ledger("fuzzing", "answers by a fuzzer that follows which code each reaches", None, trials=int(tried), lost=0)
