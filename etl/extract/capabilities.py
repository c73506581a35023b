"""The capabilities of a server, as the probe found them; each may be unknown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from etl.errors import ApiError
from etl.times import EPOCH, LATEST, shifted

if TYPE_CHECKING:
    from etl.extract.http.query import Field

MILLISECOND = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
#: What servers cut dates to, the finest first.
GRANULARITIES = (MILLISECOND, SECOND, timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
DEFAULT_PAGE_ROWS = 50
BY_HAND = "set by hand"  # the evidence of what the settings answer
_USUAL_RANGE = timedelta(days=7)  # if the server limits ranges and the longest one is unknown
EARLY = EPOCH + timedelta(days=1)
END_OF_TIME = LATEST

Question = Literal[
    "window_field",
    "ends_inclusive",
    "granularity",
    "sort_updated",
    "sort_created",
    "page_rows",
    "longest_range",
    "any_range",
    "counts_inactive",
]
QUESTIONS: tuple[Question, ...] = get_args(Question)
#: What the probe finds by way of another answer.
_FOUND_BY: Mapping[str, tuple[Question, ...]] = {
    "window_field": ("ends_inclusive", "granularity"),
    "ends_inclusive": ("granularity",),
}
_LEARNT_LATER: frozenset[Question] = frozenset({"longest_range", "counts_inactive"})


class CapabilityDriftError(ApiError):
    """An answer disproves a known capability: the read falls back to another strategy and continues."""

    def __init__(self, question: Question, answer: Any, evidence: str) -> None:
        super().__init__(f"the API no longer behaves as probed ({question}): {evidence}")
        self.question = question
        self.answer = answer
        self.evidence = evidence


class ServerCapabilities(Struct, frozen=True):
    """The capabilities; None is unknown and counts as the worse case.

    ``longest_range`` None with ``any_range`` True means no limit. ``page_rows`` is the number of rows seen from one
    request. ``counts_inactive`` tells whether totals count inactive tasks; unknown counts as yes. ``evidence`` says in
    words how each was found.
    """

    window_field: Field | None = None
    ends_inclusive: bool | None = None
    granularity: timedelta | None = None
    sort_updated: bool | None = None
    sort_created: bool | None = None
    page_rows: int | None = None
    any_range: bool | None = None
    longest_range: timedelta | None = None
    counts_inactive: bool | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)

    def limit(self) -> int:
        """Return how many rows to ask for."""
        return self.page_rows or DEFAULT_PAGE_ROWS

    def is_full(self, rows: int) -> bool:
        """Tell whether a page has as many rows as a request can return, so that more may follow."""
        return self.page_rows is None or rows >= self.page_rows

    def smallest(self) -> timedelta:
        """Return the shortest range that dates can select."""
        return self.granularity or SECOND

    def instant(self, moment: datetime) -> datetime:
        """Return the beginning of the instant of a time, as dates tell instants apart."""
        return moment - (moment - EPOCH) % self.smallest()

    def sorts(self, name: Field) -> bool:
        """Tell whether sortBy is known to be obeyed for a field."""
        return bool(self.sort_updated if name == "updatedAt" else self.sort_created)

    def first_date(self, start: datetime) -> datetime:
        """Return the startDate that selects every row from ``start`` on."""
        return start if self.ends_inclusive else shifted(start, -self.smallest())

    def last_date(self, end: datetime) -> datetime:
        """Return the endDate that selects every row before ``end``, and perhaps more."""
        if END_OF_TIME - end <= self.smallest():
            return END_OF_TIME
        exact = self.ends_inclusive and self.smallest() == MILLISECOND
        return shifted(end, -MILLISECOND if exact else self.smallest() - MILLISECOND)

    def date_before(self, instant: datetime) -> datetime:
        """Return the endDate that selects the rows before an instant, and no more if ``ends_inclusive`` is known."""
        if self.ends_inclusive is None:
            return self.last_date(instant)
        return shifted(instant, -MILLISECOND) if self.ends_inclusive else instant

    def latest_end(self, start: datetime) -> datetime:
        """Return the end of the longest window from ``start`` on that one request may ask for."""
        longest = self.longest_range or (_USUAL_RANGE if self.any_range is False else None)
        if longest is None:
            return END_OF_TIME
        return shifted(start, max(self.smallest(), longest - 2 * self.smallest()))  # a query may add a step at each end

    def unknown(self) -> list[Question]:
        """Return the questions that a probe may answer and that have no answer yet."""
        return [name for name in QUESTIONS if name not in _LEARNT_LATER and getattr(self, name) is None]

    def with_answer(self, question: Question, answer: Any, evidence: str) -> ServerCapabilities:
        """Return these capabilities with one answer added or changed."""
        changed: dict[str, Any] = {question: answer, "evidence": {**self.evidence, question: evidence}}
        return replace(self, **changed)

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON; durations become seconds."""
        return {
            name: value.total_seconds() if isinstance(value, timedelta) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any] | None) -> ServerCapabilities:
        """Return the capabilities from the JSON of :meth:`to_json`; a missing key is unknown."""
        values = {
            name: value for name, value in (kept or {}).items() if name in cls.__struct_fields__ and value is not None
        }
        for name in ("granularity", "longest_range"):
            if name in values:
                values[name] = timedelta(seconds=values[name])
        return cls(**values)

    def with_overrides(self, answers: Mapping[str, Any]) -> ServerCapabilities:
        """Return these capabilities with the answers from the settings; None there is no answer.

        What earlier settings answered, and these do not, is unknown: it was never asked. So is what was found by way of
        an answer that is another one now.
        """
        given = {name: value for name, value in answers.items() if value is not None}
        if "longest_range" in given:
            given["any_range"] = False
        by_hand = {name for name, said in self.evidence.items() if said == BY_HAND}
        others = [name for name in by_hand | given.keys() if getattr(self, name) not in (None, given.get(name))]
        unknown = {*by_hand, *(follower for name in others for follower in _FOUND_BY.get(name, ()))} - given.keys()
        evidence = {name: said for name, said in self.evidence.items() if name not in unknown}
        return replace(self, **dict.fromkeys(unknown), **given, evidence=evidence | dict.fromkeys(given, BY_HAND))

    def knows_less_than(self, other: ServerCapabilities) -> bool:
        """Tell whether a probe may answer a question here that had its answer there."""
        return not set(self.unknown()) <= set(other.unknown())
