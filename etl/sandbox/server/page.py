"""The body of an answer: a page of rows and what the server says about the rest."""

from __future__ import annotations

from math import ceil
from random import Random
from typing import Any

import orjson

from etl.sandbox.data.store import Row
from etl.sandbox.options import Options
from etl.sandbox.server.replies import Reply
from etl.sandbox.server.request import PageRequest


def write_page(rows: list[Row], total: int, request: PageRequest, options: Options, random: Random) -> Reply:
    """The answer with these rows, out of ``total`` that match."""
    texts = [_text(row, request.columns) for row in _disturbed(rows, options, random)]
    if rows and options.foreign and random.random() < options.foreign:
        texts.append(_foreign_row(random.choice(rows), random))
    metadata = _metadata(len(rows), total, request, options, random)
    body = b'{"results":[' + b",".join(texts) + b"]," + orjson.dumps(metadata)[1:]
    return Reply(200, body, len(texts))


def _text(row: Row, columns: tuple[str, ...]) -> bytes:
    if not columns:
        return row.text
    record = row.record
    if not isinstance(record, dict):
        return row.text
    return orjson.dumps({key: record[key] for key in ("_id", *columns) if key in record})


def _disturbed(rows: list[Row], options: Options, random: Random) -> list[Row]:
    """The rows as a faulty server gives them now and then: one of them twice, all of them mixed."""
    given = list(rows)
    if given and options.duplicates and random.random() < options.duplicates:
        given.insert(random.randrange(len(given) + 1), random.choice(given))
    if options.shuffle and random.random() < options.shuffle:
        random.shuffle(given)
    return given


def _foreign_row(row: Row, random: Random) -> bytes:
    """A row like this one, of a stream that was not asked for."""
    record = row.record if row.plain and isinstance(row.record, dict) else {}
    foreign = {"_id": f"ti-{random.getrandbits(128):032x}", "iId": "st-00000000-not-the-stream-asked-for"}
    return orjson.dumps({**record, **foreign})


def _metadata(given: int, total: int, request: PageRequest, options: Options, random: Random) -> dict[str, Any]:
    metadata: dict[str, Any] = {"page": request.skip // request.limit + 1, "limit": request.limit}
    if options.has_more != "missing":
        more = request.skip + given < total or options.has_more == "always_true"
        metadata["hasMore"] = None if options.has_more == "null" else more
    if options.totals != "missing":
        told = _shown_total(total, options.totals, random)
        metadata["totalPages"] = None if told is None else ceil(told / request.limit)
        metadata["totalResults"] = told
    return metadata


def _shown_total(total: int, totals: str, random: Random) -> int | None:
    if totals == "null":
        return None
    if totals == "lying":
        totals = random.choice(("high", "low"))
    return {"high": total + 3 + total // 10, "low": max(0, total - 3 - total // 10)}.get(totals, total)
