"""A short or empty page is no end of the rows: what follows it is read, or the window is unverified."""

from __future__ import annotations

import itertools

import pytest

from tests.integration.mirror import NONE, Mirror

WITHHELD = {
    "short pages": {"short_pages": 0.1},
    "empty pages": {"empty_pages": 0.05},
    "hidden rows": {"hidden": 0.3},
    "hidden runs": {"hidden": 0.4, "hidden_run": 120},
    "few rows": {"hidden": 0.97},
}
TOLD = {
    "both told": {},
    "no totals": {"totals": "missing"},
    "no hasMore": {"has_more": "missing"},
    "capped totals": {"total_cap": 60},
    "totals of all tasks": {"totals": "all"},
    "hasMore always true": {"has_more": "always_true"},
}
STRATEGIES = [
    {"window_field": field, "sort": sort} for field in ("createdAt", "updatedAt") for sort in ("obeyed", "ignored")
]
# Each pair meets one strategy; all combinations take minutes and are drawn by test_drawn_servers.
CASES = [
    pytest.param(withheld, told, strategy, id=f"{name} and {evidence}")
    for ((name, withheld), (evidence, told)), strategy in zip(
        itertools.product(WITHHELD.items(), TOLD.items()), itertools.cycle([*STRATEGIES, {}]), strict=False
    )
]


@pytest.fixture
def mirror(sandbox, migrated_sqlite_url):
    return lambda **options: Mirror(sandbox(**{"tasks": 600, "shape": "eight", **options}), migrated_sqlite_url)


@pytest.mark.every_other
@pytest.mark.parametrize(("withheld", "told", "strategy"), CASES)
def test_withheld_rows_end_no_reading(mirror, withheld, told, strategy):
    mirrored = mirror(round_to=3600.0, **withheld, **told, **strategy)
    outcome = mirrored.sync()
    assert (outcome.exit_code, mirrored.differences()) == (0, NONE)
