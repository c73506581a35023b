"""The sandbox over real HTTP: what it checks, and each answer that the vendor leaves open."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PAGE = 10


def token(server, *, secret=None, algorithm="HS256", **claims):
    options = server.options
    now = int(time.time())
    whole = {"appId": options.client_id, "sub": "tests", "iat": now, "exp": now + 300, **claims}
    kept = {name: value for name, value in whole.items() if value is not None}
    return jwt.encode(kept, secret or options.client_secret, algorithm=algorithm)


def path_of(server, stream_id=None):
    return f"{server.url}/caseManagement/api/public/analytics/{stream_id or server.options.stream_id}/getTasks"


@pytest.fixture
def session():
    with requests.Session() as opened:
        yield opened


@pytest.fixture
def post(session):
    def send(server, body, *, stream_id=None, headers=None, **given):
        own = {"AccountId": server.options.account_id, "auth": token(server), **(headers or {})}
        kept = {name: value for name, value in own.items() if value is not None}
        return session.post(path_of(server, stream_id), json=body, headers=kept, timeout=10, **given)

    return send


@pytest.fixture
def ask(post):
    def send(server, **body):
        answer = post(server, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return send


def ids(answer):
    return [each["_id"] for each in answer["results"]]


def pages(ask, server, count, **body):
    return [row_id for n in range(count) for row_id in ids(ask(server, skip=n * PAGE, limit=PAGE, **body))]


def by(server, *fields, reverse=False):
    return [
        each["_id"]
        for each in sorted(server.tasks(), key=lambda task: tuple(task[field] for field in fields), reverse=reverse)
    ]


def message(answer):
    ((error),) = answer.json()["errors"]
    return answer.status_code, error["code"], error["msg"]


# --- the plain answer ---------------------------------------------------------------------------------------------


def test_an_answer_has_the_documented_keys(sandbox, ask):
    answer = ask(sandbox(tasks=25), limit=10, skip=10)
    assert {key: value for key, value in answer.items() if key != "results"} == {
        "page": 2,
        "limit": 10,
        "hasMore": True,
        "totalPages": 3,
        "totalResults": 25,
    }


def test_pages_together_hold_every_task_once(sandbox, ask):
    server = sandbox(tasks=25)
    assert pages(ask, server, 3) == [each["_id"] for each in server.tasks()]


def test_the_last_page_says_that_there_is_no_more(sandbox, ask):
    assert ask(sandbox(tasks=25), limit=10, skip=20)["hasMore"] is False


def test_a_page_past_the_end_is_empty(sandbox, ask):
    assert ids(ask(sandbox(tasks=5), skip=50)) == []


def test_a_row_comes_as_it_is_stored(sandbox, ask):
    server = sandbox(tasks=7)
    assert ask(server)["results"] == server.tasks()


# --- who may ask --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "another-secret-that-is-long-enough-for-the-algorithm"},
        {"appId": "cs-another"},
        {"appId": None},
        {"exp": 1_000_000_000},
        {"exp": "tomorrow"},
        {"iat": 4_000_000_000},
        {"algorithm": "HS384"},
    ],
    ids=str,
)
def test_a_wrong_token_is_refused(sandbox, post, wrong):
    server = sandbox(tasks=1)
    assert message(post(server, {}, headers={"auth": token(server, **wrong)}))[:2] == (401, 4002)


@pytest.mark.parametrize("auth", [None, "", "no.token.at-all"], ids=str)
def test_what_is_no_token_is_refused(sandbox, post, auth):
    assert message(post(sandbox(tasks=1), {}, headers={"auth": auth}))[:2] == (401, 4002)


def test_a_token_needs_no_dates(sandbox, post):
    server = sandbox(tasks=1)
    assert post(server, {}, headers={"auth": token(server, iat=None, exp=None)}).status_code == 200


@pytest.mark.parametrize("account", [None, "another"], ids=str)
def test_another_account_is_refused(sandbox, post, account):
    assert message(post(sandbox(tasks=1), {}, headers={"AccountId": account}))[:2] == (401, 4002)


def test_another_stream_is_refused(sandbox, post):
    assert message(post(sandbox(tasks=1), {}, stream_id="st-another")) == (400, 400, "Invalid StreamId")


def test_another_stream_may_be_refused_as_a_wrong_token_is(sandbox, post):
    assert message(post(sandbox(tasks=1, wrong_stream=401), {}, stream_id="st-another"))[:2] == (401, 4002)


def test_a_missing_scope_is_refused(sandbox, post):
    assert message(post(sandbox(tasks=1, scope="missing"), {}))[:2] == (401, 4002)


def test_a_token_with_a_jti_works_once_where_that_is_enforced(sandbox, post):
    server = sandbox(tasks=1, jti_required=True)
    used = {"auth": token(server, jti="1")}
    assert post(server, {}, headers=used).status_code == 200
    assert message(post(server, {}, headers=used)) == (401, 401, "error verifying the jwt: possibly a replay")
    assert post(server, {}, headers={"auth": token(server, jti="2")}).status_code == 200


@pytest.mark.parametrize("wrong", [{}, {"jti": "1", "exp": None}, {"jti": "1", "exp": 4_000_000_000}], ids=str)
def test_a_jti_and_a_near_expiry_are_needed_if_enforced(sandbox, post, wrong):
    server = sandbox(tasks=1, jti_required=True)
    assert post(server, {}, headers={"auth": token(server, **wrong)}).status_code == 401


def test_a_token_may_die_before_its_expiry(sandbox, post):
    server = sandbox(tasks=1, token_lifetime=30)
    now = int(time.time())
    assert post(server, {}, headers={"auth": token(server, iat=now - 20)}).status_code == 200
    assert post(server, {}, headers={"auth": token(server, iat=now - 31)}).status_code == 401


def test_the_algorithm_may_be_hs512(sandbox, post):
    server = sandbox(tasks=1, algorithm="HS512")
    assert post(server, {}, headers={"auth": token(server, algorithm="HS512")}).status_code == 200
    assert post(server, {}, headers={"auth": token(server)}).status_code == 401


@pytest.mark.parametrize("algorithm", ["RS256", "RS512"])
def test_the_algorithm_may_be_asymmetric(sandbox, post, algorithm):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    server = sandbox(tasks=1, algorithm=algorithm, public_key=public.decode())
    assert post(server, {}, headers={"auth": token(server, secret=key, algorithm=algorithm)}).status_code == 200
    assert post(server, {}, headers={"auth": token(server)}).status_code == 401


def test_an_error_may_be_called_message(sandbox, post):
    answer = post(sandbox(tasks=1, error_key="message"), {}, stream_id="st-another")
    assert answer.json() == {"errors": [{"message": "Invalid StreamId", "code": 400}]}


# --- how often ----------------------------------------------------------------------------------------------------


def test_a_request_past_the_minutes_budget_is_refused(sandbox, post):
    server = sandbox(tasks=1, requests_per_minute=3, retry_after="seconds")
    answers = [post(server, {}) for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    assert "rate limit" in message(answers[-1])[2]
    assert 55 <= int(answers[-1].headers["Retry-After"]) <= 60


def test_a_refusal_may_have_a_status_of_its_own(sandbox, post):
    server = sandbox(tasks=1, requests_per_minute=1, rate_limit_status=499)
    post(server, {})
    assert message(post(server, {}))[:2] == (499, 429)


def test_by_default_nothing_tells_how_long_to_wait(sandbox, post):
    server = sandbox(tasks=1, requests_per_second=1)
    post(server, {})
    assert "Retry-After" not in post(server, {}).headers


def test_an_unknown_caller_spends_nothing(sandbox, post):
    server = sandbox(tasks=1, requests_per_minute=1)
    assert post(server, {}, headers={"auth": None}).status_code == 401
    assert post(server, {}).status_code == 200


# --- what is asked ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"skip": "0"},
        {"skip": -1},
        {"limit": 0},
        {"limit": 10.0},
        {"limit": True},
        {"searchText": 1},
        {"unresolved": "true"},
        {"unassigned": 0},
        {"mytask": None},
        {"selectedColumns": "name"},
        {"priority": "High"},
        {"status": [1]},
        {"agents": {}},
        {"customFields": {}},
        {"ETAlist": ""},
        {"channel": "rtm"},
        {"queues": [None]},
        {"startDate": "yesterday"},
        {"endDate": 1_750_000_000_000},
        {"dueDate": "1.1.2025"},
        {"sortBy": ["updatedAt"]},
        {"sortBy": {"updatedAt": "down"}},
    ],
    ids=str,
)
def test_a_wrong_type_is_refused(sandbox, post, wrong):
    status, code, text = message(post(sandbox(tasks=1), wrong))
    assert (status, code) == (412, 412)
    assert next(iter(wrong)) in text


@pytest.mark.parametrize("body", ["[]", "{", "\xff"], ids=str)
def test_a_body_that_is_no_object_is_refused(sandbox, session, body):
    server = sandbox(tasks=1)
    headers = {"AccountId": server.options.account_id, "auth": token(server)}
    assert session.post(path_of(server), data=body.encode("latin-1"), headers=headers, timeout=10).status_code == 400


def test_an_empty_body_asks_for_the_first_page(sandbox, session):
    server = sandbox(tasks=12)
    headers = {"AccountId": server.options.account_id, "auth": token(server)}
    assert len(session.post(path_of(server), headers=headers, timeout=10).json()["results"]) == 10


def test_an_unknown_key_is_refused_only_by_a_strict_server(sandbox, post):
    assert post(sandbox(tasks=1), {"other": 1}).status_code == 200
    assert post(sandbox(tasks=1, strict=True), {"other": 1}).status_code == 412


def test_another_path_or_method_is_refused(sandbox, session):
    server = sandbox(tasks=1)
    assert session.post(f"{server.url}/elsewhere", timeout=10).status_code == 404
    assert session.get(path_of(server), timeout=10).status_code == 405


# --- which field do the dates filter on, and where are the ends ---------------------------------------------------


def moved(server):
    """A task that was updated after its creation."""
    return next(each for each in server.tasks() if each["updatedAt"] > each["createdAt"])


@pytest.mark.parametrize(("field", "other"), [("createdAt", "updatedAt"), ("updatedAt", "createdAt")])
def test_the_dates_filter_on_the_field_of_the_option(sandbox, ask, field, other):
    server = sandbox(tasks=50, window_field=field)
    task = moved(server)
    assert ids(ask(server, startDate=task[field], endDate=task[field])) == [task["_id"]]
    assert ids(ask(server, startDate=task[other], endDate=task[other])) == []


def test_each_date_works_alone(sandbox, ask):
    server = sandbox(tasks=50)
    middle = sorted(each["createdAt"] for each in server.tasks())[20]
    assert ask(server, startDate=middle)["totalResults"] == 30
    assert ask(server, endDate=middle)["totalResults"] == 21


def test_a_date_may_have_an_offset(sandbox, ask):
    server = sandbox(tasks=0)
    server.put([{"_id": "ti-1", "createdAt": "2025-06-01T12:00:00.000Z"}])
    assert ids(ask(server, startDate="2025-06-01T17:30:00+05:30", endDate="2025-06-01T17:30:00.000+05:30")) == ["ti-1"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, ["b"]),
        ({"ends": "exclusive"}, []),
        ({"granularity": "second"}, ["a", "b", "c"]),
        ({"granularity": "second", "ends": "exclusive"}, []),
    ],
    ids=str,
)
def test_the_ends_are_kept_to_the_servers_tick(sandbox, ask, options, found):
    server = sandbox(tasks=0, **options)
    stamps = {"a": "00.999", "b": "01.500", "c": "01.501", "d": "02.000", "z": "01.000"}
    server.put({"_id": name, "createdAt": f"2025-06-01T12:00:{stamp}Z"} for name, stamp in stamps.items())
    answer = ask(server, startDate="2025-06-01T12:00:01.500Z", endDate="2025-06-01T12:00:01.500Z")
    assert sorted(ids(answer)) == (["b", "c", "z"] if options == {"granularity": "second"} else found)


@pytest.mark.parametrize(("ends", "found"), [("exclusive", ["1", "2", "3"]), ("half_open", ["0", "1", "2", "3"])])
def test_ends_that_are_left_out_leave_the_rows_between(sandbox, ask, ends, found):
    server = sandbox(tasks=0, ends=ends)
    server.put({"_id": str(n), "createdAt": f"2025-06-01T12:00:00.00{n}Z"} for n in range(5))
    answer = ask(server, startDate="2025-06-01T12:00:00.000Z", endDate="2025-06-01T12:00:00.004Z")
    assert ids(answer) == found


def test_the_dates_may_be_ignored(sandbox, ask):
    assert ask(sandbox(tasks=50, dates="ignored"), startDate="2035-01-01T00:00:00Z")["totalResults"] == 50


@pytest.mark.parametrize(
    "body",
    [
        {"startDate": "2025-01-01T00:00:00Z", "endDate": "2025-01-08T00:00:00.001Z"},
        {"startDate": "2025-01-01T00:00:00Z"},
        {"endDate": "2025-01-01T00:00:00Z"},
    ],
    ids=["both", "start alone", "end alone"],
)
def test_a_longer_range_than_the_longest_is_refused(sandbox, post, body):
    assert message(post(sandbox(tasks=1, max_range_days=7), body))[:2] == (412, 412)


def test_the_longest_range_is_not_refused(sandbox, ask):
    ask(sandbox(tasks=1, max_range_days=7), startDate="2025-01-01T00:00:00Z", endDate="2025-01-08T00:00:00Z")


# --- how many rows ------------------------------------------------------------------------------------------------


def test_without_a_limit_a_page_has_its_default_size(sandbox, ask):
    answer = ask(sandbox(tasks=20, page_default=7))
    assert (len(answer["results"]), answer["limit"]) == (7, 7)


def test_a_silent_cap_gives_fewer_rows_and_says_so_in_limit(sandbox, ask):
    answer = ask(sandbox(tasks=60, cap=10), limit=50)
    assert (len(answer["results"]), answer["limit"], answer["totalPages"]) == (10, 10, 6)


@pytest.mark.parametrize("status", [400, 412])
def test_a_refusing_cap_takes_its_own_size_and_no_more(sandbox, post, status):
    server = sandbox(tasks=60, cap_mode="refuse", cap_status=status)
    assert len(post(server, {"limit": 50}).json()["results"]) == 50
    assert message(post(server, {"limit": 51}))[:2] == (status, status)


# --- in which order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["createdAt", "updatedAt", "name"])
def test_sort_by_is_obeyed_in_both_directions(sandbox, ask, field):
    server = sandbox(tasks=30)
    assert pages(ask, server, 3, sortBy={field: "asc"}) == by(server, field, "_id")
    assert pages(ask, server, 3, sortBy={field: "desc"}) == by(server, field, "_id", reverse=True)
    assert pages(ask, server, 3, sortBy=field) == by(server, field, "_id")


def test_tasks_without_a_due_date_come_first(sandbox, ask):
    server = sandbox(tasks=0)
    server.put({"_id": name, "dueDate": due} for name, due in [("a", 2000), ("b", ""), ("c", "1970-01-01T00:00:01Z")])
    assert ids(ask(server, sortBy={"dueDate": "asc"})) == ["b", "c", "a"]


def test_sorting_and_dates_of_different_fields_work_together(sandbox, ask):
    server = sandbox(tasks=30)
    since = sorted(each["createdAt"] for each in server.tasks())[10]
    kept = {each["_id"] for each in server.tasks() if each["createdAt"] >= since}
    ordered = [row_id for row_id in by(server, "updatedAt", "_id", reverse=True) if row_id in kept]
    assert pages(ask, server, 2, sortBy={"updatedAt": "desc"}, startDate=since) == ordered


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_keyset_paging_meets_every_task(sandbox, ask, field):
    server = sandbox(tasks=100, window_field=field)
    met, since = [], "1970-01-01T00:00:00.000Z"
    while len(rows := ask(server, limit=10, sortBy={field: "asc"}, startDate=since)["results"]) > 1:
        met += [each["_id"] for each in rows if each["_id"] not in met]
        since = rows[-1][field]
    assert met == by(server, field, "_id")
    assert server.request_count == 12  # 11 pages that move on by nine tasks or more, and one that does not


@pytest.mark.parametrize(("order", "reverse"), [("insertion", False), ("newest", True)])
def test_sort_by_may_be_ignored_in_either_default_order(sandbox, ask, order, reverse):
    server = sandbox(tasks=30, sort="ignored", default_order=order)
    assert pages(ask, server, 3, sortBy={"updatedAt": "asc"}) == by(server, "createdAt", "_id", reverse=reverse)


def test_the_default_order_holds_within_dates_too(sandbox, ask):
    server = sandbox(tasks=30, sort="ignored", window_field="updatedAt")
    since = sorted(each["updatedAt"] for each in server.tasks())[10]
    kept = [each["_id"] for each in server.tasks() if each["updatedAt"] >= since]
    assert pages(ask, server, 2, sortBy={"updatedAt": "asc"}, startDate=since) == kept


def test_sort_by_may_be_obeyed_for_some_fields_only(sandbox, ask):
    server = sandbox(tasks=30, sort_fields=("createdAt",))
    assert pages(ask, server, 3, sortBy={"createdAt": "desc"}) == by(server, "createdAt", "_id", reverse=True)
    assert pages(ask, server, 3, sortBy={"updatedAt": "desc"}) == [each["_id"] for each in server.tasks()]


def ties(server):
    """Thirty tasks of one instant, stored in no order of their ids."""
    names = [f"{n:02}" for n in range(30)]
    Random(1).shuffle(names)
    return server.put({"_id": name, "updatedAt": "2025-06-01T12:00:00.000Z"} for name in names)


@pytest.mark.parametrize("tie_break", ["id", "insertion"])
def test_equal_rows_come_in_the_order_of_the_option(sandbox, ask, tie_break):
    server = sandbox(tasks=0, tie_break=tie_break)
    stored = ties(server)
    assert pages(ask, server, 3, sortBy={"updatedAt": "asc"}) == (sorted(stored) if tie_break == "id" else stored)


def test_equal_rows_may_come_in_another_order_each_time(sandbox, ask):
    server = sandbox(tasks=0, tie_break="random")
    stored = ties(server)
    server.put([{"_id": "first", "updatedAt": "2025-06-01T11:00:00Z"}, {"_id": "last", "updatedAt": "2025-07-01"}])
    whole = [ids(ask(server, limit=50, sortBy={"updatedAt": "asc"})) for _ in range(2)]
    assert whole[0] != whole[1]
    assert [(each[0], sorted(each[1:-1]), each[-1]) for each in whole] == [("first", sorted(stored), "last")] * 2
    assert ids(ask(server, skip=40, sortBy={"updatedAt": "asc"})) == []


def test_only_equal_rows_come_in_random_order(sandbox, ask):
    server = sandbox(tasks=0, tie_break="random")
    server.put({"_id": f"{n:02}", "updatedAt": f"2025-06-0{1 + n // 8}T12:00:00.000Z"} for n in range(24))
    for order, groups in (("asc", [0, 1, 2]), ("desc", [2, 1, 0])):
        walked = [
            int(row_id) // 8
            for skip in range(0, 24, 5)
            for row_id in ids(ask(server, limit=5, skip=skip, sortBy={"updatedAt": order}))
        ]
        assert walked == [group for group in groups for _ in range(8)]


# --- how far ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 412])
def test_skip_and_limit_past_the_largest_window_are_refused(sandbox, post, status):
    server = sandbox(tasks=60, max_skip=50, max_skip_status=status)
    assert post(server, {"skip": 40, "limit": 10}).status_code == 200
    refused = message(post(server, {"skip": 41, "limit": 10}))
    assert refused[:2] == (status, status)
    assert "Result window is too large" in refused[2]


def test_skip_may_be_ignored(sandbox, ask):
    server = sandbox(tasks=30, skip="ignored")
    assert ids(ask(server, skip=10)) == ids(ask(server, skip=0))


# --- what it says of the rest -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has_more", "told"),
    [("present", False), ("missing", "missing"), ("null", None), ("always_true", True)],
    ids=str,
)
def test_has_more_is_what_the_option_says(sandbox, ask, has_more, told):
    assert ask(sandbox(tasks=5, has_more=has_more)).get("hasMore", "missing") is told


@pytest.mark.parametrize(
    ("totals", "told"),
    [
        ("present", (30, 3)),
        ("missing", ("missing", "missing")),
        ("null", (None, None)),
        ("high", (36, 4)),
        ("low", (24, 3)),
    ],
    ids=str,
)
def test_the_totals_are_what_the_option_says(sandbox, ask, totals, told):
    answer = ask(sandbox(tasks=30, totals=totals), limit=10)
    assert (answer.get("totalResults", "missing"), answer.get("totalPages", "missing")) == told


def test_totals_may_lie_either_way(sandbox, ask):
    server = sandbox(tasks=30, totals="lying")
    assert {ask(server, limit=1)["totalResults"] for _ in range(20)} == {24, 36}


def test_a_page_may_repeat_a_row(sandbox, ask):
    server = sandbox(tasks=30, duplicates=1)
    rows = ids(ask(server, limit=10))
    assert (len(rows), len(set(rows))) == (11, 10)


def test_a_page_may_come_in_no_order(sandbox, ask):
    server = sandbox(tasks=30, shuffle=1)
    rows = ids(ask(server, limit=30))
    assert rows != [each["_id"] for each in server.tasks()]
    assert sorted(rows) == sorted(each["_id"] for each in server.tasks())


def test_a_page_may_hold_a_row_of_another_stream(sandbox, ask):
    server = sandbox(tasks=30, foreign=1)
    of_others = [each for each in ask(server)["results"] if each["iId"] != server.options.stream_id]
    assert len(of_others) == 1
    assert of_others[0]["_id"] not in {each["_id"] for each in server.tasks()}


# --- the filters --------------------------------------------------------------------------------------------------

FILTERS = {
    "searchText": ("ROUTER", lambda task: "router" in task["name"].lower()),
    "unresolved": (True, lambda task: task["status"]["statusCategory"] not in ("resolved", "closed")),
    "unassigned": (True, lambda task: not task["currAssignee"]),
    "mytask": (True, lambda task: task["currAssignee"].get("name") == "Priya Raghunathan"),
    "mycase": (True, lambda task: task["currAssignee"].get("name") == "Priya Raghunathan"),
    "priority": (["high", "Critical"], lambda task: task["priority"]["name"] in ("High", "Critical")),
    "status": (["open"], lambda task: task["status"]["name"] == "Open"),
    "channel": (["rtm"], lambda task: "rtm" in (*task["channel"], task["source"])),
    "queues": (["Billing"], lambda task: [each["name"] for each in task["queues"]] == ["Billing"]),
    "agents": (["田中 花子"], lambda task: task["currAssignee"].get("name") == "田中 花子"),
    "customFields": (["Produktgruppe"], lambda task: "Produktgruppe" in task),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_gives_exactly_the_tasks_that_pass_it(sandbox, session, name):
    server = sandbox(tasks=300, cap=500)
    value, passes = FILTERS[name]
    headers = {"AccountId": server.options.account_id, "auth": token(server, sub="Priya Raghunathan")}
    answer = session.post(path_of(server), json={"limit": 500, name: value}, headers=headers, timeout=10).json()
    expected = [each["_id"] for each in server.tasks() if passes(each)]
    assert 0 < len(expected) < 300
    assert ids(answer) == expected
    assert answer["totalResults"] == len(expected)


def test_a_due_date_is_matched_in_each_of_its_spellings(sandbox, ask):
    server = sandbox(tasks=0)
    spellings = ["2025-06-01T12:00:00.000Z", 1_748_779_200_000, "", None, "2025-06-02T12:00:00.000Z"]
    server.put({"_id": str(n), "dueDate": due} for n, due in enumerate(spellings))
    assert ids(ask(server, dueDate="2025-06-01T14:00:00+02:00")) == ["0", "1"]


def test_an_eta_is_matched_as_text(sandbox, ask):
    server = sandbox(tasks=0)
    server.put([{"_id": "a", "ETA": "2025-06-01T12:00:00.000Z"}, {"_id": "b", "ETA": ""}])
    assert ids(ask(server, ETAlist=["2025-06-01T12:00:00.000Z"])) == ["a"]


def test_a_custom_field_is_matched_by_its_value(sandbox, ask):
    server = sandbox(tasks=0)
    server.put(
        [{"_id": "a", "new field": {"selectedValue": "yes"}}, {"_id": "b", "new field": {"selectedValue": "no"}}]
    )
    assert ids(ask(server, customFields=[{"name": "new field", "value": "yes"}])) == ["a"]


def test_filters_and_dates_hold_together(sandbox, ask):
    server = sandbox(tasks=300, cap=500)
    since = sorted(each["createdAt"] for each in server.tasks())[100]
    expected = [
        each["_id"] for each in server.tasks() if each["createdAt"] >= since and each["status"]["name"] == "Open"
    ]
    assert ids(ask(server, limit=500, startDate=since, status=["Open"], priority=[], searchText="")) == expected


def test_unresolved_may_be_ignored(sandbox, ask):
    assert ask(sandbox(tasks=50, unresolved="ignored"), unresolved=True)["totalResults"] == 50


@pytest.mark.parametrize("meaning", ["ignored", "assigned"])
def test_unassigned_false_means_what_the_option_says(sandbox, ask, meaning):
    server = sandbox(tasks=50, unassigned_false=meaning)
    assigned = sum(bool(each["currAssignee"]) for each in server.tasks())
    assert ask(server, unassigned=False)["totalResults"] == (assigned if meaning == "assigned" else 50)


def test_filters_do_not_stumble_over_odd_records(sandbox, ask):
    server = sandbox(tasks=0)
    server.put([None, "text", {"_id": "a", "status": "Open", "queues": "Billing", "channel": None, "name": None}])
    for name, (value, _) in FILTERS.items():
        ask(server, **{name: value})
    assert ids(ask(server, status=["open"])) == ["a"]


def test_selected_columns_are_given_with_the_id(sandbox, ask):
    server = sandbox(tasks=3)
    server.put(["text"])
    rows = ask(server, selectedColumns=["name", "status", "nothing"])["results"]
    assert [list(row) for row in rows[:3]] == [["_id", "name", "status"]] * 3
    assert rows[3] == "text"


# --- what moves meanwhile -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("moment", "seen"), [("before", 22), ("after", 20)])
def test_tasks_change_at_every_nth_request(sandbox, ask, moment, seen):
    server = sandbox(tasks=20, churn_every=3, churn_add=3, churn_change=2, churn_delete=1, churn_when=moment)
    assert [ask(server)["totalResults"] for _ in range(3)] == [20, 20, seen]
    assert ask(server)["totalResults"] == 22


def test_changes_show_late(sandbox, ask):
    server = sandbox(tasks=20, visible_after=3600)
    before = server.tasks()
    server.change(update=5, insert=5, delete=5)
    assert server.tasks() == before
    assert ask(server)["totalResults"] == 20


def test_the_clock_may_be_ahead(sandbox, post):
    server = sandbox(tasks=1, clock_skew=3600)
    answer = post(server, {})
    ahead = parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)
    assert 3590 < ahead.total_seconds() < 3610


def test_tokens_are_checked_by_a_skewed_clock_only_when_asked(sandbox, post):
    assert post(sandbox(tasks=1, clock_skew=-3600), {}).status_code == 200
    assert post(sandbox(tasks=1, clock_skew=-3600, skew_tokens=True), {}).status_code == 401


def test_the_date_may_be_missing(sandbox, post):
    assert "Date" not in post(sandbox(tasks=1, date_header="missing"), {}).headers


def test_an_answer_may_take_its_time(sandbox, post):
    server = sandbox(tasks=1, latency_ms=150)
    began = time.monotonic()
    post(server, {})
    assert time.monotonic() - began >= 0.15


# --- the server itself --------------------------------------------------------------------------------------------


def test_a_stopped_server_can_start_again_with_its_tasks(sandbox, post):
    server = sandbox(tasks=5)
    assert post(server, {}).status_code == 200
    url = server.url
    server.stop()
    server.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    with pytest.raises(RuntimeError, match="not running"):
        server.url  # noqa: B018 - reading it is the point
    assert server.start().url == url
    assert post(server, {}).json()["totalResults"] == 5


def test_stopping_ends_connections_that_are_kept_alive(sandbox):
    server = sandbox(tasks=1)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 404")
        server.stop()
        assert connection.recv(1) == b""


def test_it_behaves_differently_from_the_next_request_on(sandbox, ask):
    server = sandbox(tasks=20)
    server.configure(cap=5)
    assert len(ask(server)["results"]) == 5
    server.reset_requests()
    assert (server.request_count, server.requests) == (0, [])
    server.remove([each["_id"] for each in server.tasks()])
    assert ask(server)["results"] == []


def test_it_answers_five_hundred_times_a_second(sandbox, session):
    server = sandbox(tasks=2000)
    headers = {"AccountId": server.options.account_id, "auth": token(server)}
    adapter = session.get_adapter("http://")
    assert adapter is not None
    began = time.process_time()
    for skip in range(100):
        body = {"skip": skip, "limit": 50, "sortBy": {"updatedAt": "desc"}}
        session.post(path_of(server), json=body, headers=headers, timeout=10)
    assert time.process_time() - began < 2  # ten times what it takes, whatever else the machine does
