"""Everything that a getTasks server may do differently, as one frozen value.

A field here is an option of ``kore-etl sandbox`` and a key of ``POST /_sandbox/options``: its type gives the accepted
values, its metadata the help text. The vendor documents few of these answers, so each one can be played.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import inf
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

FAULT_KINDS = (
    "401",
    "429",
    "500",
    "502",
    "503",
    "timeout",
    "stall",
    "trickle",
    "endless",
    "reset",
    "half",
    "cut",
    "html200",
    "errors200",
    "empty200",
    "gzipbomb",
    "redirect",
    "wrong-type",
)

#: What is settled once the server runs: where it listens and what it was filled with.
FIXED = frozenset(
    {
        *("tasks", "seed", "shape", "pattern", "days", "quiet_seconds", "round_to", "null_created", "null_updated"),
        *("host", "port", "log_size"),
    }
)

_SECRET = "kore-etl-sandbox-client-secret-that-opens-nothing-but-this-sandbox"  # noqa: S105 - opens nothing real


def option(default: Any, text: str) -> Any:
    """A field with its default and the line that ``--help`` shows."""
    return field(default=default, metadata={"help": text})


def flag(text: str) -> Any:
    """A field that is off unless it is turned on."""
    return field(default=False, metadata={"help": text})


@dataclass(frozen=True, slots=True)  # no Struct as other values: a Struct's field carries no help text
class Options:
    """How the sandbox behaves; raises ValueError, naming the option, for a value that is not accepted."""

    host: str = option("127.0.0.1", "Address to listen on.")
    port: int = option(0, "Port to listen on; 0 takes a free one.")

    tasks: int = option(2000, "Tasks to begin with.")
    seed: int = option(1, "Seed of all that is random: the tasks, the changes, the faults.")
    shape: Literal["full", "eight"] = option("full", "Whole tasks of some 4 KB, or the sample's eight fields.")
    pattern: Literal["even", "desk"] = option("even", "Tasks spread evenly, or as a support desk has them.")
    days: float = option(730.0, "Days of history over which the tasks were created.")
    quiet_seconds: float = option(600.0, "Seconds before the start in which nothing was created or updated.")
    round_to: float = option(0.0, "Seconds to which the first tasks' timestamps are rounded down; 0 is off.")
    null_created: float = option(0.0, "Share of the made-up tasks without a createdAt.")
    null_updated: float = option(0.0, "Share of the made-up tasks without an updatedAt.")
    round_changes: bool = flag("Round the timestamps of later changes as well.")

    account_id: str = option("5a4db0c5c0ffee0000000001", "Account that is accepted.")
    stream_id: str = option("st-5a4db0c5-0000-5000-8000-000000000001", "Stream that is accepted.")
    client_id: str = option("cs-5a4db0c5-0000-5000-8000-00000000c11e", "Client ID that a token must name.")
    client_secret: str = option(_SECRET, "Client Secret that a token must be signed with.")
    algorithm: Literal["HS256", "HS512", "RS256", "RS512"] = option("HS256", "The only algorithm accepted.")
    public_key: str = option("", "Public key (PEM) for RS256 and RS512.")
    jti_required: bool = flag("Each token needs a jti and works once.")
    token_lifetime: float = option(0.0, "Seconds after iat when a token dies; 0 goes by its exp alone.")
    scope: Literal["granted", "missing"] = option("granted", "Whether the app has the scope that getTasks needs.")
    wrong_stream: Literal[400, 401] = option(400, "Status for a stream that is not known.")
    error_key: Literal["msg", "message"] = option("msg", "Key of the text in an error's body.")

    requests_per_minute: int = option(60, "Requests per sliding minute; 0 is unlimited.")
    requests_per_second: int = option(0, "Requests per sliding second; 0 is unlimited.")
    requests_per_hour: int = option(0, "Requests per sliding hour; 0 is unlimited.")
    hour_seconds: float = option(3600.0, "Length of that hour, for tests in a hurry.")
    minute_seconds: float = option(60.0, "Length of that minute, for tests in a hurry.")
    rate_limit_status: int = option(429, "Status of a request past the budget.")
    retry_after: Literal["none", "seconds", "date"] = option("none", "Form of its Retry-After header.")

    window_field: Literal["createdAt", "updatedAt"] = option("createdAt", "Field that startDate and endDate filter on.")
    dates: Literal["obeyed", "ignored"] = option("obeyed", "Whether they filter at all.")
    ends: Literal["inclusive", "exclusive", "half_open"] = option(
        "inclusive", "Whether a row exactly on an end is in; half_open includes the start only."
    )
    granularity: Literal["ms", "second", "minute", "hour", "day"] = option(
        "ms", "To what dates are cut before comparing."
    )
    null_dates: Literal["now", "unmatched"] = option(
        "now", "Whether a row without a date counts as stored now, or matches no dates and sorts first."
    )
    max_range_days: float = option(0.0, "Longest range of dates, in days; 0 is any.")
    max_range_status: Literal[400, 412] = option(412, "Status for a longer one.")

    sort: Literal["obeyed", "ignored"] = option("obeyed", "Whether sortBy is obeyed.")
    sort_fields: tuple[str, ...] = option(("createdAt", "updatedAt", "dueDate", "name"), "Fields it is obeyed for.")
    default_order: Literal["insertion", "newest"] = option(
        "insertion", "Order otherwise: as inserted, or newest first."
    )
    tie_break: Literal["id", "insertion", "random"] = option("id", "Order of rows that are equal in the sorted field.")

    page_default: int = option(10, "Rows when no limit is asked for.")
    cap: int = option(50, "Most rows that a request gives.")
    cap_mode: Literal["silent", "refuse"] = option("silent", "Whether a larger limit is cut silently or refused.")
    cap_status: Literal[400, 412] = option(400, "Status of that refusal.")
    skip: Literal["obeyed", "ignored"] = option(
        "obeyed", "Whether skip is obeyed; ignored, each page is the first one."
    )
    max_skip: int = option(0, "Largest skip+limit; 0 is any.")
    max_skip_status: Literal[400, 412] = option(400, "Status past it.")
    has_more: Literal["present", "missing", "null", "always_true"] = option("present", "What hasMore holds.")
    totals: Literal["present", "missing", "null", "high", "low", "huge", "lying", "all"] = option(
        "present", "What totalResults and totalPages hold; huge is above 2^31; lying varies; all counts every task."
    )
    total_cap: int = option(0, "Largest total that is told; 0 is any.")
    short_pages: float = option(0.0, "Rate of pages that give fewer rows, or none, though more follow.")
    empty_pages: float = option(0.0, "Rate of pages that give no row though more follow.")
    hidden: float = option(0.0, "Share of tasks that are counted and skipped over, but never shown.")
    hidden_run: int = option(1, "How many tasks that were inserted one after the other are hidden together.")
    duplicates: float = option(0.0, "Rate of pages that repeat one of their rows.")
    shuffle: float = option(0.0, "Rate of pages whose rows come in no order.")
    foreign: float = option(0.0, "Rate of pages with one more row, of another stream.")

    unresolved: Literal["obeyed", "ignored"] = option("obeyed", "Whether the filter unresolved is obeyed.")
    unassigned_false: Literal["ignored", "assigned"] = option(
        "ignored", "Whether unassigned: false filters nothing or gives assigned tasks only."
    )
    strict: bool = flag("Refuse (412) keys that the API page does not name.")

    visible_after: float = option(0.0, "Seconds until a change shows; it then carries its earlier updatedAt.")
    date_header: Literal["present", "missing"] = option("present", "Whether answers carry a Date header.")
    clock_skew: float = option(0.0, "Seconds that the server's clock is ahead (or behind, negative).")
    skew_tokens: bool = flag("Check tokens by that clock too, not by the true one.")
    date_offset: float = option(0.0, "Seconds that the Date header is ahead of the clock that dates tasks.")
    latency_ms: float = option(0.0, "Milliseconds that every answer takes.")

    deletes: Literal["vanish", "inactive"] = option("vanish", "Whether it vanishes or comes as isActive: false.")
    inactive_totals: Literal["counted", "left_out"] = option("counted", "Whether totals count inactive tasks.")
    churn_every: int = option(0, "Change tasks at every Nth request; 0 never.")
    churn_add: int = option(0, "Tasks added then.")
    churn_change: int = option(0, "Tasks changed then.")
    churn_delete: int = option(0, "Tasks deleted then.")
    churn_when: Literal["before", "after"] = option("before", "Whether this happens before or after the rows are read.")

    faults: Mapping[str, float] = field(default_factory=dict, metadata={"help": "Faults by kind, each with its rate."})
    stall_seconds: float = option(120.0, "Longest that a stalling fault holds a connection.")
    broken_at: float = option(0.5, "Share of an answer after which the faults stall, cut and half break it off.")
    redirect_to: str = option("https://elsewhere.invalid/", "Where the fault redirect points.")
    outage_after: int = option(0, "Request after which the server is out for a while; 0 never.")
    outage: Literal["503", "empty"] = option("503", "Whether it then answers 503, or 200 with no rows and the total 0.")
    outage_seconds: float = option(60.0, "How long that outage lasts.")
    log_size: int = option(10_000, "Requests that the log remembers.")

    def __post_init__(self) -> None:
        """Settle the containers and check every value."""
        object.__setattr__(self, "sort_fields", tuple(self.sort_fields))
        object.__setattr__(self, "faults", MappingProxyType(dict(self.faults)))
        for name, kind in option_types().items():
            _check(name, kind, getattr(self, name))
        _check_faults(self.faults)
        if self.algorithm.startswith("RS") and not self.public_key:
            raise ValueError(f"public_key: {self.algorithm} needs one")

    def changed(self, changes: Mapping[str, Any]) -> Options:
        """The same options but for these; raises ValueError for one that is unknown or settled at the start."""
        for name in changes:
            if name not in option_types():
                raise ValueError(f"{name}: there is no such option")
            if name in FIXED:
                raise ValueError(f"{name}: cannot be changed while the sandbox runs")
        return replace(self, **changes)


_TYPES: dict[str, Any] = {}


def option_types() -> dict[str, Any]:
    """The type of every option, by its name, in the order of the fields."""
    if not _TYPES:
        hints = get_type_hints(Options)
        _TYPES.update({each.name: hints[each.name] for each in fields(Options)})
    return _TYPES


_RANGES: dict[str, tuple[float, float]] = {
    "port": (0, 65_535),
    "days": (0, 700_000),
    "page_default": (1, inf),
    "cap": (1, inf),
    "rate_limit_status": (400, 599),
    "duplicates": (0, 1),
    "shuffle": (0, 1),
    "foreign": (0, 1),
    "broken_at": (0, 1),
    "null_created": (0, 1),
    "null_updated": (0, 1),
    "short_pages": (0, 1),
    "empty_pages": (0, 1),
    "hidden": (0, 1),
    "hidden_run": (1, inf),
    "clock_skew": (-1e9, 1e9),
    "date_offset": (-1e9, 1e9),
}


def _check(name: str, kind: Any, value: object) -> None:
    if get_origin(kind) is Literal:
        if value not in get_args(kind) or isinstance(value, bool):
            raise ValueError(f"{name}: {value!r} is none of {', '.join(map(str, get_args(kind)))}")
    elif kind is bool or kind is str:
        if not isinstance(value, kind):
            raise ValueError(f"{name}: {value!r} is no {kind.__name__}")
    elif kind is int or kind is float:
        _check_number(name, kind, value)


def _check_number(name: str, kind: type, value: object) -> None:
    accepted = int if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ValueError(f"{name}: {value!r} is no number")  # noqa: TRY004 - as every other option
    least, most = _RANGES.get(name, (0, inf))
    if not least <= value <= most:
        raise ValueError(f"{name}: {value!r} is not within {least} and {most}")


def _check_faults(faults: Mapping[str, float]) -> None:
    for kind, rate in faults.items():
        if kind not in FAULT_KINDS:
            raise ValueError(f"faults: {kind!r} is none of {', '.join(FAULT_KINDS)}")
        _check_number(f"faults {kind}", float, rate)
    if sum(faults.values()) > 1:
        raise ValueError("faults: the rates add up to more than 1")
