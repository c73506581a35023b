"""What the sorted indexes find equals what a plain reading of the rules finds."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.sandbox.data.store import Store
from etl.sandbox.data.timestamps import format_timestamp, parse_timestamp
from etl.sandbox.options import Options
from etl.sandbox.server.requests_and_replies import read_request
from etl.sandbox.server.row_search import Finder

MOMENTS = st.integers(0, 4000)
TASKS = st.lists(st.tuples(MOMENTS, MOMENTS), min_size=1, max_size=25)
OPTIONS = st.fixed_dictionaries(
    {
        "window_field": st.sampled_from(["createdAt", "updatedAt"]),
        "dates": st.sampled_from(["obeyed", "obeyed", "obeyed", "ignored"]),
        "ends": st.sampled_from(["inclusive", "exclusive", "half_open"]),
        "granularity": st.sampled_from(["ms", "second", "minute"]),
        "sort": st.sampled_from(["obeyed", "obeyed", "obeyed", "ignored"]),
        "default_order": st.sampled_from(["insertion", "newest"]),
        "tie_break": st.sampled_from(["id", "insertion"]),
    }
)
BODIES = st.fixed_dictionaries(
    {"limit": st.integers(1, 10), "startDate": MOMENTS.map(format_timestamp)},
    optional={
        "skip": st.integers(0, 30),
        "endDate": MOMENTS.map(format_timestamp),
        "sortBy": st.dictionaries(
            st.sampled_from(["createdAt", "createdAt", "updatedAt", "updatedAt", "name", "dueDate", "colour"]),
            st.sampled_from(["asc", "desc"]),
            max_size=1,
        ),
        "unresolved": st.booleans(),
    },
)


def make(number, created, updated):
    return {
        "_id": f"ti-{number * 7 % 25:02}",
        "name": f"task {updated % 3}",
        "status": {"statusCategory": ("open", "resolved", "closed")[created % 3]},
        "createdAt": format_timestamp(created),
        "updatedAt": format_timestamp(updated),
        **({"dueDate": created // 1000} if updated % 2 else {}),
    }


def is_between(task, body, options):
    """Whether the task lies between the dates, compared as the server compares them."""
    cut = {"ms": 1, "second": 1000, "minute": 60_000}[options["granularity"]]
    moment = parse_timestamp(task[options["window_field"]]) // cut
    start, end = (parse_timestamp(body.get(key)) for key in ("startDate", "endDate"))
    after, before = options["ends"] == "exclusive", options["ends"] != "inclusive"
    return (start is None or moment >= start // cut + after) and (end is None or moment <= end // cut - before)


def plainly(tasks, body, options):
    """The ids that match, in order, by reading every task and sorting all that are left."""
    found = [
        (place, task)
        for place, task in enumerate(tasks)
        if (options["dates"] == "ignored" or is_between(task, body, options))
        and not (body.get("unresolved") and task["status"]["statusCategory"] != "open")
    ]
    field, order = next(iter(body.get("sortBy", {}).items()), ("", "asc"))
    if options["sort"] == "ignored" or field in ("", "colour"):
        field, order = ("createdAt", "desc") if options["default_order"] == "newest" else ("", "asc")

    def key(pair):
        place, task = pair
        value = {"": place, "name": task["name"]}.get(field, parse_timestamp(task.get(field)))
        tie = task["_id"] if options["tie_break"] == "id" else place
        return (value is not None, value, tie) if field else (True, place)

    return [task["_id"] for _, task in sorted(found, key=key, reverse=order == "desc")]


@settings(max_examples=120)
@given(moments=TASKS, options=OPTIONS, body=BODIES, revised=st.none() | MOMENTS)
def test_a_page_equals_a_plain_reading(moments, options, body, revised):
    store, tasks = Store(), [make(number, *pair) for number, pair in enumerate(moments)]
    for task in tasks:
        store.put(task, task["_id"], 0)
    finder, chosen = Finder(store, Random(1)), Options(**options)
    asked = read_request(body, chosen, 0)
    finder.page(asked, chosen, None)  # the indexes are made now, and are to follow what comes
    if revised is not None and tasks:
        tasks[0] = {**tasks[0], "updatedAt": format_timestamp(revised)}
        store.put(tasks[0], tasks[0]["_id"], 0)
    expected = plainly(tasks, body, options)
    found = finder.page(asked, chosen, None)
    skip = body.get("skip", 0)
    assert (found.total, found.more) == (len(expected), skip + len(found.rows) < len(expected))
    assert [row.id for row in found.rows] == expected[skip : skip + body["limit"]]
