"""The target of the fuzzers: reads any bytes as an answer. The first byte chooses the status, the rest is the body."""

from __future__ import annotations

from etl.errors import EtlError
from etl.extract.http.response_errors import parse_response
from etl.extract.http.response_page import Page, moment_of, read_page, record_id
from etl.jobs.pipeline.transform_pages import BatchTransformer
from etl.transform import Stream

STATUSES = (200, 200, 200, 200, 201, 301, 400, 401, 403, 404, 412, 429, 500, 502, 503)
OWN = BatchTransformer(
    Stream(1, "st-1"), drop_fields=["userInfo.emailId"], erased=frozenset({"ti-forgotten"}), is_stream_named=False
)


def digest(content: bytes) -> int | None:
    """Read an answer as a run does, and give the count of its records; None where it is no page.

    Raises:
        AssertionError: a record became neither a row nor a rejection with its text.
    """
    status = STATUSES[content[0] % len(STATUSES)] if content else 200
    headers = {"Retry-After": content[1:9].decode("latin-1"), "Date": content[9:40].decode("latin-1")}
    try:
        page = read_page(parse_response(status, headers, content[1:]))
    except EtlError as error:
        refused = error
    else:
        return _transformed(page)
    assert str(refused).isprintable()
    return None


def _transformed(page: Page) -> int:
    for record in page.records:
        record_id(record)
        moment_of(record, "updatedAt")
    page.is_last(0)
    batch = OWN.transform(page)
    assert len(batch) == len(page.records)
    assert all(task["_id"] and task["raw"] for task in batch.tasks)
    assert all(reason and raw for reason, _, raw in batch.rejected)
    return len(page.records)
