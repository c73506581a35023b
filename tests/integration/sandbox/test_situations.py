"""The sandbox over real HTTP: what befalls a server in the long run, and what its counts and dates hide."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import jwt
import pytest
import requests

LIMIT = 10


@pytest.fixture
def session():
    with requests.Session() as opened:
        yield opened


@pytest.fixture
def post(session):
    def send(server, **body):
        options = server.options
        claims = {"appId": options.client_id, "sub": "tests", "exp": int(time.time()) + 300}
        headers = {"AccountId": options.account_id, "auth": jwt.encode(claims, options.client_secret)}
        url = f"{server.url}/caseManagement/api/public/analytics/{options.stream_id}/getTasks"
        return session.post(url, json=body, headers=headers, timeout=10)

    return send


@pytest.fixture
def ask(post):
    def send(server, **body):
        answer = post(server, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return send


@pytest.fixture
def control(session):
    def send(server, name, **body):
        answer = session.post(f"{server.url}/_sandbox/{name}", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return send


@pytest.fixture
def pages(ask):
    """All pages up to the total, each asked for by the limit."""

    def read(server, **body):
        total = ask(server)["totalResults"]
        return [ask(server, skip=skip, limit=LIMIT, **body) for skip in range(0, total, LIMIT)]

    return read


def ids(*answers):
    return [each["_id"] for answer in answers for each in answer["results"]]


def by_id(server):
    return {task["_id"]: task for task in server.tasks()}


# --- counts and pages ---


def test_short_pages_say_that_more_follow(sandbox, ask):
    server = sandbox(tasks=10, short_pages=1.0)
    answers = [ask(server, limit=LIMIT) for _ in range(40)]
    assert {len(answer["results"]) for answer in answers} == set(range(10))
    assert {(answer["hasMore"], answer["totalResults"]) for answer in answers} == {(True, 10)}


def test_hidden_tasks_are_counted_and_skipped_but_not_shown(sandbox, pages):
    server = sandbox(tasks=200, hidden=0.2)
    read = pages(server)
    assert ids(*read) == [task["_id"] for task in server.tasks()]
    assert 20 < 200 - len(ids(*read)) < 60
    assert {answer["totalResults"] for answer in read} == {200}
    assert [answer["hasMore"] for answer in read] == [True] * 19 + [False]
    assert any(len(answer["results"]) < LIMIT for answer in read[:-1])


def test_hidden_tasks_in_a_row_leave_pages_empty(sandbox, pages):
    read = pages(sandbox(tasks=200, hidden=0.4, hidden_run=40))
    assert any(not answer["results"] and answer["hasMore"] for answer in read)


def test_totals_end_at_their_cap(sandbox, ask):
    server = sandbox(tasks=50, total_cap=30)
    last = ask(server, skip=40, limit=9)
    assert (last["totalResults"], last["totalPages"], last["hasMore"], len(last["results"])) == (30, 4, True, 9)
    assert ask(server, startDate=server.tasks()[-5]["createdAt"])["totalResults"] == 5


# --- dates ---


@pytest.mark.parametrize(
    ("option", "field", "other"),
    [("null_created", "createdAt", "updatedAt"), ("null_updated", "updatedAt", "createdAt")],
)
def test_a_share_of_the_tasks_has_no_date(sandbox, option, field, other):
    tasks = sandbox(tasks=200, **{option: 0.3}).tasks()
    assert 30 < sum(task[field] is None for task in tasks) < 90
    assert all(task[other] for task in tasks)


@pytest.mark.parametrize(("null_dates", "found"), [("now", 9), ("unmatched", 8)])
@pytest.mark.parametrize("body", [{"startDate": "2001-01-01T00:00:00Z"}, {"endDate": "2100-01-01T00:00:00Z"}], ids=str)
def test_a_row_without_a_date_matches_no_dates(sandbox, ask, null_dates, found, body):
    server = sandbox(tasks=8, window_field="updatedAt", null_dates=null_dates)
    server.put([{"_id": "ti-undated", "createdAt": "2025-01-01T00:00:00Z", "updatedAt": None}])
    assert len(ids(ask(server, **body))) == found
    assert len(ids(ask(server))) == 9


@pytest.mark.parametrize(("null_dates", "place"), [("now", -1), ("unmatched", 0)])
def test_a_row_without_a_date_has_its_place(sandbox, ask, null_dates, place):
    server = sandbox(tasks=8, null_dates=null_dates)
    server.put([{"_id": "ti-undated", "createdAt": "2025-01-01T00:00:00Z"}])
    assert ids(ask(server, sortBy={"updatedAt": "asc"}))[place] == "ti-undated"


@pytest.mark.parametrize("seconds", [600, -600])
def test_the_date_header_may_be_off_the_tasks_clock(sandbox, post, seconds):
    server = sandbox(tasks=1, date_offset=seconds)
    server.change(update=1)
    now = datetime.now(UTC)
    header = parsedate_to_datetime(post(server).headers["Date"])
    assert abs(header - now - timedelta(seconds=seconds)) < timedelta(seconds=5)
    assert abs(datetime.fromisoformat(server.tasks()[0]["updatedAt"]) - now) < timedelta(seconds=5)


def test_imported_tasks_are_dated_in_the_past(sandbox, control):
    server = sandbox(tasks=3)
    (name,) = control(server, "change", insert=1, days_ago=3000)["inserted"]
    task = by_id(server)[name]
    assert task["createdAt"] == task["updatedAt"]
    age = datetime.now(UTC) - datetime.fromisoformat(task["createdAt"])
    assert timedelta(days=2999) < age < timedelta(days=3001)


# --- what befalls a server ---


def test_an_empty_outage_answers_200_with_nothing(sandbox, ask):
    server = sandbox(tasks=20, outage="empty", outage_after=1, outage_seconds=3600)
    assert ask(server)["totalResults"] == 20
    out = ask(server)
    assert (out["results"], out["totalResults"], out["hasMore"]) == ([], 0, False)
    assert len(server.tasks()) == 20
    server.configure(outage_after=0)
    assert ask(server)["totalResults"] == 20


def test_an_outage_can_be_repeated(sandbox, post):
    server = sandbox(tasks=1, outage_after=1, outage_seconds=0.0)
    assert [post(server).status_code for _ in range(2)] == [200, 200]
    server.configure(outage_seconds=3600)
    assert post(server).status_code == 503


def test_a_restored_server_shows_what_it_held_at_the_backup(sandbox, ask, control):
    server = sandbox(tasks=20, visible_after=0)
    before = server.tasks()
    control(server, "back-up")
    server.change(update=5, insert=5, delete=5)
    assert server.tasks() != before
    control(server, "restore")
    assert server.tasks() == before
    newest = max(before, key=lambda task: task["updatedAt"])
    assert ids(ask(server, sortBy={"updatedAt": "desc"}, limit=1)) == [newest["_id"]]


def test_changes_that_do_not_show_yet_are_lost_by_a_restore(sandbox, control):
    server = sandbox(tasks=20, visible_after=0.2)
    control(server, "back-up")
    before = server.tasks()
    server.change(update=5)
    control(server, "restore")
    time.sleep(0.25)
    assert server.tasks() == before


def test_a_rename_shows_in_all_tasks_and_moves_no_date(sandbox, control):
    server = sandbox(tasks=100)
    before = by_id(server)
    shown = {key for key, task in before.items() if task["status"]["name"] == "Open"}
    assert control(server, "rename", old="Open", new="To do") == {"tasks": len(shown)}
    after = by_id(server)
    assert {after[key]["status"]["name"] for key in shown} == {"To do"}
    assert {after[key]["status"]["lname"] for key in shown} == {"to do"}
    assert {key for key in before if after[key] != before[key]} == shown
    assert {key: task["updatedAt"] for key, task in after.items()} == {k: t["updatedAt"] for k, t in before.items()}


def test_later_changes_show_the_new_name_too(sandbox):
    server = sandbox(tasks=5)
    server.rename("Open", "To do")
    server.change(update=5, insert=200)
    names = {task["status"]["name"] for task in server.tasks()}
    assert "To do" in names
    assert "Open" not in names


def test_a_renamed_agent_has_one_name_wherever_it_stands(sandbox):
    server = sandbox(tasks=100)
    server.rename("Priya Raghunathan", "Priya R. Nair")
    text = str(server.tasks())
    assert "Priya R. Nair" in text
    assert "Priya Raghunathan" not in text


# --- rate limits ---


def test_the_hourly_limit_has_its_own_words(sandbox, post):
    server = sandbox(tasks=1, requests_per_hour=2, requests_per_minute=60, retry_after="seconds")
    assert [post(server).status_code for _ in range(3)] == [200, 200, 429]
    refused = post(server)
    assert refused.json()["errors"][0]["msg"] == (
        "You've exceeded the hourly rate limit. Please wait for sometime before retrying."
    )
    assert 3590 <= int(refused.headers["Retry-After"]) <= 3600


def test_an_hour_can_be_short(sandbox, post):
    server = sandbox(tasks=1, requests_per_hour=1, hour_seconds=0.3)
    assert [post(server).status_code for _ in range(2)] == [200, 429]
    give_up = time.monotonic() + 10
    while post(server).status_code == 429:
        assert time.monotonic() < give_up
    assert server.requests[-1]["status"] == 200
