"""The messages of getTasks: reads and checks a request, and writes the page or the error that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil
from random import Random
from typing import Annotated, Any, NamedTuple

import orjson
from msgspec import Meta, Struct, ValidationError, convert, field

from etl.sandbox.data.store import Row
from etl.sandbox.data.timestamps import DAY_MS, parse_timestamp
from etl.sandbox.options import Options

JSON_TYPE = "application/json; charset=utf-8"


class Refusal(Exception):  # noqa: N818 - the API's answer to the request, not a failure of the sandbox
    """The request is answered with a status and ``{"errors": [{"msg": ..., "code": ...}]}``."""

    def __init__(
        self, status: int, message: str, code: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or status
        self.headers = dict(headers or {})


class Reply(Struct, frozen=True):
    """An answer: its status, its body, what its log line tells, and how it is sent."""

    status: int
    body: bytes
    rows: int = 0
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str | None = None


def refuse(refusal: Refusal, key: str) -> Reply:
    """The answer to a refused request; ``key`` is what its text is called."""
    body = orjson.dumps({"errors": [{key: refusal.message, "code": refusal.code}]})
    return Reply(refusal.status, body, headers=refusal.headers)


class PageRequest(Struct, frozen=True):
    """What a request asks for; None stands for a key that was left out."""

    skip: int
    limit: int
    start: int | None
    end: int | None
    sort_field: str | None
    descending: bool
    columns: tuple[str, ...]
    filters: Mapping[str, Any]


class Found(NamedTuple):
    """A page's rows, how many rows match in all, and whether more of them follow."""

    rows: list[Row]
    total: int
    more: bool


def _fits(kind: Any, value: object) -> bool:
    try:
        convert(value, kind)
    except ValidationError:
        return False
    return True


def _is_date(value: object) -> bool:
    return isinstance(value, str) and (not value or parse_timestamp(value) is not None)


def _is_sort(value: object) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, dict) and all(each in ("asc", "desc", 1, -1) for each in value.values())


_is_count = partial(_fits, Annotated[int, Meta(ge=0)])
_is_text, _is_flag, _is_list, _is_names = (partial(_fits, kind) for kind in (str, bool, list, list[str]))
KEYS: dict[str, tuple[Callable[[object], bool], str]] = {
    "skip": (_is_count, "a number"),
    "limit": (_is_count, "a number"),
    "searchText": (_is_text, "a string"),
    "unresolved": (_is_flag, "a boolean"),
    "unassigned": (_is_flag, "a boolean"),
    "mytask": (_is_flag, "a boolean"),
    "mycase": (_is_flag, "a boolean"),
    "selectedColumns": (_is_names, "an array of strings"),
    "priority": (_is_names, "an array of strings"),
    "agents": (_is_names, "an array of strings"),
    "status": (_is_names, "an array of strings"),
    "customFields": (_is_list, "an array"),
    "ETAlist": (_is_names, "an array of strings"),
    "channel": (_is_names, "an array of strings"),
    "queues": (_is_names, "an array of strings"),
    "startDate": (_is_date, "an ISO 8601 date"),
    "endDate": (_is_date, "an ISO 8601 date"),
    "dueDate": (_is_date, "an ISO 8601 date"),
    "sortBy": (_is_sort, 'an object like {"updatedAt": "desc"}'),
}
_PLAIN = frozenset({"skip", "limit", "selectedColumns", "startDate", "endDate", "sortBy"})


def read_body(body: bytes) -> dict[str, Any]:
    """The request's JSON object; raises Refusal (400) for anything else."""
    try:
        asked = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the body is no JSON: {error}") from error
    if not isinstance(asked, dict):
        raise Refusal(400, "the body is no JSON object")
    return asked


def read_request(body: Mapping[str, Any], options: Options, now: int) -> PageRequest:
    """The typed request; raises Refusal for a wrong type, or for more than the server's rules allow."""
    _check_types(body, strict=options.strict)
    limit = _limit(body, options)
    skip = body.get("skip", 0)
    if options.max_skip and skip + limit > options.max_skip:
        raise Refusal(options.max_skip_status, f"Result window is too large: at most {options.max_skip}")
    start, end = parse_timestamp(body.get("startDate")), parse_timestamp(body.get("endDate"))
    _check_range(start, end, options, now)
    field, descending = _sort(body.get("sortBy"))
    columns = tuple(body.get("selectedColumns", ()))
    filters = {key: value for key, value in body.items() if key in KEYS and key not in _PLAIN}
    return PageRequest(skip, limit, start, end, field, descending, columns, filters)


def _check_types(body: Mapping[str, Any], *, strict: bool) -> None:
    for key, value in body.items():
        if key not in KEYS:
            if strict:
                raise Refusal(412, f"{key} is not allowed")
            continue
        accepts, kind = KEYS[key]
        if not accepts(value):
            raise Refusal(412, f"{key} must be {kind}")


def _limit(body: Mapping[str, Any], options: Options) -> int:
    limit = int(body.get("limit", min(options.page_default, options.cap)))
    if limit < 1:
        raise Refusal(412, "limit must be at least 1")
    if limit > options.cap and options.cap_mode == "refuse":
        raise Refusal(options.cap_status, f"limit must be less than or equal to {options.cap}")
    return min(limit, options.cap)


def _check_range(start: int | None, end: int | None, options: Options, now: int) -> None:
    if not options.max_range_days or (start is None and end is None):
        return
    longest = options.max_range_days * DAY_MS
    if start is None or (now if end is None else end) - start > longest:
        raise Refusal(options.max_range_status, f"The date range is longer than {options.max_range_days:g} days")


def _sort(asked: object) -> tuple[str | None, bool]:
    if isinstance(asked, dict) and asked:
        field, order = next(iter(asked.items()))
        return field, order in ("desc", -1)
    return (asked, False) if isinstance(asked, str) and asked else (None, False)


def write_page(found: Found, request: PageRequest, options: Options, random: Random) -> Reply:
    """The answer with the rows that were found, or with fewer of them."""
    rows = found.rows
    if rows and options.short_pages and random.random() < options.short_pages:
        rows = rows[: random.randrange(len(rows))]
        found = Found(rows, found.total, more=True)
    if rows and options.empty_pages and random.random() < options.empty_pages:
        rows, found = [], Found([], found.total, more=True)
    texts = [_text(row, request.columns) for row in _disturbed(rows, options, random)]
    if rows and options.foreign and random.random() < options.foreign:
        texts.append(_foreign_row(random.choice(rows), random))
    metadata = _metadata(found, request, options, random)
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


def _metadata(found: Found, request: PageRequest, options: Options, random: Random) -> dict[str, Any]:
    metadata: dict[str, Any] = {"page": request.skip // request.limit + 1, "limit": request.limit}
    if options.has_more != "missing":
        metadata["hasMore"] = None if options.has_more == "null" else found.more or options.has_more == "always_true"
    if options.totals != "missing":
        told = _shown_total(found.total, options, random)
        metadata["totalPages"] = None if told is None else ceil(told / request.limit)
        metadata["totalResults"] = told
    return metadata


def _shown_total(total: int, options: Options, random: Random) -> int | None:
    if options.totals == "null":
        return None
    totals = random.choice(("high", "low")) if options.totals == "lying" else options.totals
    wrong = {"high": total + 3 + total // 10, "low": max(0, total - 3 - total // 10), "huge": total + 2**31}
    told = wrong.get(totals, total)
    return min(told, options.total_cap or told)
