"""Which rows a request gets, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

from msgspec import Struct

from etl.sandbox.data.store import MISSING, VALUES, Index, Row, Store, TieBreak
from etl.sandbox.data.timestamps import DAY_MS, SECOND_MS, parse_timestamp, round_down
from etl.sandbox.options import Options
from etl.sandbox.server.requests_and_replies import Found, PageRequest


class Matches(Struct, frozen=True):
    """A range of ordered rows; a page of it costs only its own rows."""

    rows: Sequence[Row]
    start: int
    stop: int
    descending: bool = False

    def __len__(self) -> int:
        return self.stop - self.start

    def page(self, skip: int, limit: int) -> list[Row]:
        """The rows from ``skip`` on, at most ``limit``."""
        if not self.descending:
            return list(self.rows[self.start + skip : min(self.stop, self.start + skip + limit)])
        high = max(self.start, self.stop - skip)
        return list(reversed(self.rows[max(self.start, high - limit) : high]))


_GRANULARITIES = {"ms": 1, "second": SECOND_MS, "minute": 60 * SECOND_MS, "hour": 3600 * SECOND_MS, "day": DAY_MS}


class Order(NamedTuple):
    """A field to sort by, the empty one being the order of insertion, and the direction."""

    field: str
    descending: bool


class Finder:
    """Answers requests from a store; keeps the last answer, since its next page is usually asked for next."""

    def __init__(self, store: Store, random: Random) -> None:
        self._store = store
        self._random = random
        self._last: tuple[object, Matches] | None = None

    def page(self, request: PageRequest, options: Options, me: object) -> Found:
        """The page's rows, and what is known of the others; ``me`` is whom the token speaks for."""
        order = _order(request, options)
        matches = self._matches(request, options, order, me)
        skip = request.skip if options.skip == "obeyed" else 0
        if options.tie_break == "random" and order.field:
            rows = self._shuffled_ties(matches, VALUES[order.field], skip, request.limit)
        else:
            rows = matches.page(skip, request.limit)
        more = request.skip + len(rows) < len(matches)
        return Found([row for row in rows if not is_hidden(row, options)], _total(matches, options), more)

    def _matches(self, request: PageRequest, options: Options, order: Order, me: object) -> Matches:
        key = (self._store.version, options, request.start, request.end, order, request.filters, me)
        if self._last and self._last[0] == key:
            return self._last[1]
        matches = self._find(request, options, order, me)
        self._last = (key, matches)
        return matches

    def _find(self, request: PageRequest, options: Options, order: Order, me: object) -> Matches:
        tie: TieBreak = "insertion" if options.tie_break == "insertion" else "id"
        ordered = self._store.index(order.field, tie)
        dated = self._store.index(_date_key(options.window_field, options), tie)
        start, stop = _date_range(dated, request, options)
        keep = row_filter(request.filters, options, me)
        if keep is None and stop - start == len(dated.rows):
            return Matches(ordered.rows, 0, len(ordered.rows), order.descending)
        if keep is None and dated is ordered:
            return Matches(ordered.rows, start, stop, order.descending)
        rows = [row for row in dated.rows[start:stop] if keep is None or keep(row)]
        if dated is not ordered:
            rows.sort(key=ordered.key)
        return Matches(rows, 0, len(rows), order.descending)

    def _shuffled_ties(self, matches: Matches, value: Callable[[Row], Any], skip: int, limit: int) -> list[Row]:
        """The page of a server that orders equal rows differently at each request."""
        low, high = skip, min(len(matches), skip + limit)
        if low >= high:
            return []
        rows = matches.page(0, len(matches))
        while low and value(rows[low - 1]) == value(rows[low]):
            low -= 1
        while high < len(rows) and value(rows[high]) == value(rows[high - 1]):
            high += 1
        mixed = rows[low:high]
        self._random.shuffle(mixed)
        mixed.sort(key=value, reverse=matches.descending)
        return mixed[skip - low : skip - low + limit]


def _total(matches: Matches, options: Options) -> int:
    if options.inactive_totals == "counted":
        return len(matches)
    records = (row.record for row in matches.page(0, len(matches)))
    return sum(not isinstance(record, dict) or record.get("isActive") is not False for record in records)


def is_hidden(row: Row, options: Options) -> bool:
    """Whether a row is counted and never shown; always the same ones."""
    if not options.hidden:
        return False
    return crc32(str(row.sequence // options.hidden_run).encode()) < options.hidden * 2**32


def _date_key(field: str, options: Options) -> str:
    """The values to sort and filter by, which say what a row without this date counts as."""
    is_split = options.null_dates == "unmatched" and field in ("createdAt", "updatedAt")
    return f"{field} or missing" if is_split else field


def _order(request: PageRequest, options: Options) -> Order:
    if options.sort == "obeyed" and request.sort_field in options.sort_fields and request.sort_field in VALUES:
        return Order(_date_key(request.sort_field, options), request.descending)
    return (
        Order(_date_key("createdAt", options), descending=True)
        if options.default_order == "newest"
        else Order("", descending=False)
    )


def _date_range(dated: Index, request: PageRequest, options: Options) -> tuple[int, int]:
    """The positions of the rows between the dates, by the server's rules of ends and granularity."""
    low, high = request.start, request.end
    if options.dates == "ignored":
        return dated.between(None, None)
    granularity = _GRANULARITIES[options.granularity]
    if low is None and high is not None:
        low = MISSING + 1
    elif low is not None:
        low = round_down(low, granularity) + (granularity if options.ends == "exclusive" else 0)
    if high is not None:
        high = round_down(high, granularity) - 1 + (granularity if options.ends == "inclusive" else 0)
    return dated.between(low, high)


Record = Mapping[str, Any]
Test = Callable[[Record], bool]


def row_filter(filters: Mapping[str, Any], options: Options, me: object) -> Callable[[Row], bool] | None:
    """Whether a row passes all filters; None if nothing is filtered. ``me`` is whose tasks ``mytask`` means."""
    unfinished = bool(filters.get("unresolved")) and options.unresolved == "obeyed"
    tests = list(_tests(filters, options, me))
    if not unfinished and not tests:
        return None

    def keep(row: Row) -> bool:
        if unfinished and row.finished:
            return False
        if not tests:
            return True
        record = row.record
        return isinstance(record, dict) and all(test(record) for test in tests)

    return keep


def _tests(filters: Mapping[str, Any], options: Options, me: object) -> Iterable[Test]:
    if text := str(filters.get("searchText") or "").lower():
        yield lambda record: text in _text(record.get("name"))
    yield from _assignment_tests(filters, options, me)
    for key, names in _NAMES.items():
        if chosen := {str(each).lower() for each in filters.get(key, ())}:
            yield partial(_is_chosen, chosen, names)
    if due := parse_timestamp(filters.get("dueDate")):
        yield lambda record: parse_timestamp(record.get("dueDate")) == due
    for asked in filters.get("customFields", ()):
        yield partial(_has_field, asked)


def _assignment_tests(filters: Mapping[str, Any], options: Options, me: object) -> Iterable[Test]:
    unassigned = filters.get("unassigned")
    if unassigned:
        yield lambda record: not _agent_ids(record)
    if unassigned is False and options.unassigned_false == "assigned":
        yield lambda record: bool(_agent_ids(record))
    if filters.get("mytask") or filters.get("mycase"):
        yield lambda record: str(me).lower() in _agent_ids(record)


def _is_chosen(chosen: set[str], names: Callable[[Record], set[str]], record: Record) -> bool:
    return not chosen.isdisjoint(names(record))


def _text(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""


def _values(part: object, *keys: str) -> set[str]:
    """The texts under these keys of an object, or the text itself, in small letters."""
    if isinstance(part, dict):
        return {_text(part.get(key)) for key in keys} - {""}
    return {_text(part)} - {""}


def _agent_ids(record: Record) -> set[str]:
    return _values(record.get("currAssignee"), "agentId", "aId", "name")


def _queue_names(record: Record) -> set[str]:
    queues = record.get("queues")
    return set().union(*(_values(each, "_id", "name") for each in queues)) if isinstance(queues, list) else set()


def _channels(record: Record) -> set[str]:
    channel = record.get("channel")
    listed = channel if isinstance(channel, list) else [channel]
    return {_text(each) for each in (*listed, record.get("source"))} - {""}


_NAMES: dict[str, Callable[[Record], set[str]]] = {
    "status": lambda record: _values(record.get("status"), "_id", "name"),
    "priority": lambda record: _values(record.get("priority"), "_id", "name"),
    "agents": _agent_ids,
    "queues": _queue_names,
    "channel": _channels,
    "ETAlist": lambda record: _values(record.get("ETA")),
}


def _has_field(asked: object, record: Record) -> bool:
    """Whether a custom field is set, given by its name, or holds the value, given as ``{"name":, "value":}``."""
    name, value = asked, None
    if isinstance(asked, dict):
        name = asked.get("name") or asked.get("displayName")
        value = asked.get("value", asked.get("selectedValue"))
    field = record.get(name) if isinstance(name, str) else None
    if not isinstance(field, dict) or "selectedValue" not in field:
        return False
    return value is None or field["selectedValue"] == value
