"""What the server rounds its dates to is told by most of the latest ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from etl.load.database.engine import reading
from etl.load.queries import stored_tasks
from etl.load.upsert.batch_and_counts import Batch
from etl.load.upsert.store_batch import store
from etl.times import EPOCH
from tests.integration.conftest import Database
from tests.integration.load.test_store import task

MIDNIGHT = EPOCH + timedelta(days=20_000)
EXACT = [MIDNIGHT + timedelta(seconds=97.531 * number) for number in range(60)]
ODD = MIDNIGHT + timedelta(days=1500, seconds=612.345)
BULK = MIDNIGHT + timedelta(days=2, seconds=1.234)


def every(minutes: float, *, offset: float = 0) -> list[datetime]:
    return [MIDNIGHT + timedelta(minutes=minutes * number + offset) for number in range(60)]


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
@pytest.mark.parametrize(
    ("moments", "minutes"),
    [
        pytest.param([], 0, id="no task"),
        pytest.param(EXACT, 0, id="exact"),
        pytest.param([BULK] * 60, 0, id="one instant of many"),
        pytest.param(EXACT[1:2], 0, id="one task"),
        pytest.param([MIDNIGHT], 24 * 60, id="one task at midnight"),
        pytest.param(every(60), 60, id="hours"),
        pytest.param([*every(60), ODD], 60, id="hours and an exact one"),
        pytest.param([*[MIDNIGHT] * 60, ODD], 24 * 60, id="one midnight and an exact one"),
        pytest.param([*EXACT, *every(60)[:10]], 0, id="exact and some hours"),
        pytest.param(every(15), 15, id="quarters of an hour"),
        pytest.param(every(24 * 60, offset=-120), 24 * 60, id="midnights of a time zone"),
    ],
)
def test_the_unit_is_that_of_most(
    database: Database, field: str, moments: Sequence[datetime], minutes: float
) -> None:  # fmt: skip
    rows = [
        task(f"t-{place}", **{"created_at": None, "at": None, field: moment}) for place, moment in enumerate(moments)
    ]
    with database.engine.begin() as connection:
        store(connection, Batch(rows), run_id=database.run_id, now=ODD + timedelta(days=1))
    name = "createdAt" if field == "created_at" else "updatedAt"
    with reading(database.engine) as connection:
        found = stored_tasks.rounding(connection, database.source_id, name)
    assert found == timedelta(minutes=minutes)
