"""Reading while tasks are added, changed and deleted between any two requests: nothing that stays is ever missed."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.extract.capabilities import END_OF_TIME, SECOND, CapabilityDriftError, ServerCapabilities
from etl.extract.paging.keyset import read_keyset
from etl.extract.paging.newest_first import read_newest_first
from etl.extract.paging.page_checks import Window
from etl.extract.paging.split_windows import read_split_windows
from tests.unit.server import BEGIN, MILLISECOND, Server

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
SOME = 3  # changes between two requests

servers = st.builds(
    Server,
    cap=st.integers(2, 7),
    inclusive=st.booleans(),
    granularity=st.sampled_from([MILLISECOND, SECOND]),
    totals=st.booleans(),
    has_more=st.booleans(),
    seed=st.integers(0, 10**6),  # of what mixes ties well, which generated choices do not
)
# Seconds between one task and the next: many at one instant, some far apart.
steps = st.lists(st.sampled_from([0, 0, 0, 0.001, 0.4, 1, 3600]), min_size=1, max_size=40)
many_steps = st.lists(st.sampled_from([0, 0, 0.001, 0.4, 1, 3600]), min_size=12, max_size=40)
# What happens before each request: add, change or delete, and which task.
changes = st.lists(
    st.tuples(st.sampled_from(["", "", "add", "change", "delete"]), st.integers(0, 1000)), min_size=4, max_size=60
)


def fill(server, seconds, field="updatedAt"):
    for step in seconds:
        server.now += timedelta(seconds=step)
        name = server.insert()
        if server.random.random() < 0.5:
            server.now += timedelta(seconds=step)
            server.update(name)
    server.window_field = field
    server.now += DAY


def interleave(server, happenings):
    """Let some of these happen before each request, and remember which tasks nobody touched."""
    untouched = set(server.tasks)
    left = list(happenings)

    def meanwhile(asked):
        asked.now += MILLISECOND
        for what, number in left[:SOME]:
            happen(asked, what, number)
        del left[:SOME]

    def happen(asked, what, number):
        names = sorted(asked.tasks)
        if what == "add" or (what and not names):
            asked.insert()
        elif what:
            name = names[number % len(names)]
            untouched.discard(name)
            asked.update(name) if what == "change" else asked.delete(name)

    server.meanwhile = meanwhile
    return untouched


def is_changing(happenings):
    return any(what for what, _ in happenings)


def known(server, **answers):
    truth = {
        "window_field": server.window_field,
        "ends_inclusive": server.inclusive,
        "granularity": server.granularity,
        "sort_updated": server.sorted,
        "sort_created": server.sorted,
        "page_rows": server.cap,
        "any_range": True,
    }
    return ServerCapabilities(**{**truth, **answers})


def read(reader, server, capabilities, start=BEGIN, end=END_OF_TIME):
    """Return the newest version read of each task, and whether the reading was sure of itself; as a job would."""
    versions, verified = {}, True
    try:
        for page in reader(server.fetch, Window(server.window_field, start, end), capabilities):
            verified &= page.verified
            for record in page.records:
                versions[record["_id"]] = max(record["version"], versions.get(record["_id"], 0))
    except CapabilityDriftError as drift:
        if drift.question != "ends_inclusive":  # all that totals may be wrong about while tasks change
            raise
        corrected = capabilities.with_answer("ends_inclusive", answer=False, evidence="")
        return read(reader, server, corrected, start, end)
    return versions, verified


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
@pytest.mark.parametrize("knows", [True, False], ids=["all known", "ends and granularity unknown"])
@given(server=servers, seconds=many_steps, happenings=changes)
@settings(max_examples=40)
def test_keyset_misses_no_task_that_stays_as_it_is(field, knows, server, seconds, happenings):
    fill(server, seconds, field)
    untouched = interleave(server, happenings)
    capabilities = known(server) if knows else known(server, ends_inclusive=None, granularity=None)
    versions, verified = read(read_keyset, server, capabilities)
    assert verified or is_changing(happenings)
    assert untouched <= versions.keys() or not verified


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
@pytest.mark.parametrize("knows", [True, False], ids=["all known", "ends and granularity unknown"])
@given(server=servers, seconds=many_steps, happenings=changes)
@settings(max_examples=40)
def test_verified_windows_miss_no_task_that_stays_as_it_is(field, knows, server, seconds, happenings):
    server.sorted = False
    fill(server, seconds, field)
    untouched = interleave(server, happenings)
    capabilities = known(server) if knows else known(server, ends_inclusive=None, granularity=None)
    versions, verified = read(read_split_windows, server, capabilities, end=server.now + DAY)
    assert verified or is_changing(happenings)
    assert untouched <= versions.keys() or not verified


@given(server=servers, seconds=many_steps, happenings=changes)
@settings(max_examples=100)
def test_newest_first_misses_no_task_that_stays_as_it_is(server, seconds, happenings):
    fill(server, seconds)
    untouched = interleave(server, happenings)
    versions, verified = read(read_newest_first, server, known(server))
    assert verified or is_changing(happenings)
    assert untouched <= versions.keys() or not verified


@given(server=servers, gone=st.integers(1, 9), request=st.integers(2, 5))
def test_newest_first_steps_back_where_what_was_read_vanishes(server, gone, request):
    fill(server, [1] * 40)

    def meanwhile(asked):
        if asked.requests == request:
            for name in sorted(asked.tasks, key=lambda name: asked.tasks[name][1], reverse=True)[:gone]:
                asked.delete(name)

    server.meanwhile = meanwhile
    versions, verified = read(read_newest_first, server, known(server))
    assert verified
    assert server.tasks.keys() <= versions.keys()


def test_a_page_repeated_by_new_tasks_hides_no_other_task():
    server = Server(cap=3, inclusive=False, granularity=timedelta(milliseconds=1), totals=False, has_more=False, seed=0)
    server.sorted = True
    fill(server, [0, 0, 0, 0, 0, 0, 0.001, 0, 0, 0, 0, 0])
    interleave(server, [("", 0)] * 10 + [("add", 0), ("add", 0), ("delete", 0)])
    before = set(server.tasks)
    versions, _ = read(read_newest_first, server, known(server), end=server.now + DAY)
    assert before & server.tasks.keys() <= versions.keys()


@given(server=servers, seconds=many_steps)
@settings(max_examples=100)
def test_newest_first_misses_no_task_in_shuffled_ties(server, seconds):
    fill(server, seconds)
    server.stable = False
    ties = max(Counter(updated for _, updated, _ in server.tasks.values()).values())
    versions, verified = read(read_newest_first, server, known(server))
    assert verified or ties > 1
    assert server.tasks.keys() == versions.keys() or not verified


@pytest.mark.parametrize("reader", [read_keyset, read_newest_first, read_split_windows])
@given(server=servers, seconds=many_steps, happenings=changes)
@settings(max_examples=40)
def test_after_a_quiet_pass_every_newest_version_is_there(reader, server, seconds, happenings):
    server.sorted = reader is not read_split_windows
    fill(server, seconds)
    began = server.now
    interleave(server, happenings)
    first, verified = read(reader, server, known(server), end=server.now + DAY)
    server.meanwhile = lambda _server: None
    second, quiet = read(reader, server, known(server), start=began - SECOND, end=server.now + DAY)
    newest = {name: max(first.get(name, 0), second.get(name, 0)) for name in server.tasks}
    assert quiet
    assert newest == {name: task[2] for name, task in server.tasks.items()} or not verified


@pytest.mark.parametrize("reader", [read_keyset, read_newest_first, read_split_windows])
@given(server=servers, seconds=steps, lie=st.sampled_from(["high", "low", "more", "skip", "sort", "field"]))
@settings(max_examples=40)
def test_a_lying_server_is_read_or_told_in_bounded_time(reader, server, seconds, lie):
    fill(server, seconds)
    honest = server.fetch
    capabilities = known(server)

    def fetch(query):
        asked = query if lie != "skip" else type(query)(limit=query.limit, start=query.start, end=query.end)
        page = honest(asked)
        total = {"high": len(page) + 7, "low": max(0, len(page) - 2)}.get(lie, page.total)
        more = True if lie == "more" else page.has_more
        return type(page)(page.records, page.limit, more, total)

    server.sorted = lie != "sort" and reader is not read_split_windows
    if lie == "field":
        server.window_field = "createdAt"
    window = Window("updatedAt", BEGIN, server.now + DAY)
    read_ids, is_told = set(), False
    try:
        for page in reader(fetch, window, capabilities):
            read_ids.update(page.ids)
            is_told |= not page.verified
    except CapabilityDriftError:
        is_told = True
    if lie != "field":  # no page shows it: a job notices it by a canary
        assert is_told or read_ids == server.tasks.keys()


@given(seconds=st.lists(st.sampled_from([0.4, 1, 3600]), min_size=12, max_size=40), which=st.integers(2, 12))
@settings(max_examples=60)
def test_one_page_cut_short_with_its_total_loses_nothing(seconds, which):
    server = Server()
    fill(server, seconds)
    honest, requests = server.fetch, 0

    def fetch(query):
        nonlocal requests
        requests += 1
        page = honest(query)
        if requests != which:
            return page
        few = page.records[: len(page) // 2]
        return type(page)(few, page.limit, False, len(few))

    read_ids = {
        record["_id"]
        for page in read_keyset(fetch, Window("updatedAt", BEGIN, server.now + DAY), known(server))
        for record in page.records
    }
    assert read_ids == set(server.tasks)
