"""A rejected record is kept as canonical JSON, so that equal records are one, whatever their texts."""

from __future__ import annotations

import pytest

from etl.api_record import Record
from etl.extract.http.response_page import Page
from etl.jobs.pipeline.transform_pages import OF_OTHER_STREAM, BatchTransformer
from etl.transform import Stream

CANONICAL = '{"_id":"ti-1","iId":"st-2","n":1.50,"refId":"T-1"}'


@pytest.mark.parametrize(
    "text", [CANONICAL, '{"_id": "ti-1", "iId": "st-2", "n": 1.50, "refId": "T-1"}', CANONICAL.replace(",", ",\n")]
)
def test_a_record_of_another_stream_is_kept_canonical(text: str) -> None:
    own = BatchTransformer(Stream(1, "st-1"), drop_fields=(), erased=frozenset(), is_stream_named=True)
    batch = own.transform(Page([Record(text.encode())]))
    assert (batch.tasks, batch.rejected) == ([], [(OF_OTHER_STREAM, "ti-1", CANONICAL)])
