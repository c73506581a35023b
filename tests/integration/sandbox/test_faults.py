"""Each fault of the sandbox, as a client meets it."""

from __future__ import annotations

import time

import jwt
import pytest
import requests

from etl.sandbox.options import FAULT_KINDS


@pytest.fixture
def post():
    with requests.Session() as session:

        def send(server, timeout=10, **given):
            options = server.options
            claims = {"appId": options.client_id, "sub": "tests", "exp": int(time.time()) + 300}
            headers = {"AccountId": options.account_id, "auth": jwt.encode(claims, options.client_secret)}
            url = f"{server.url}/caseManagement/api/public/analytics/{options.stream_id}/getTasks"
            body = {"limit": 50}
            return session.post(url, json=body, headers=headers, timeout=timeout, allow_redirects=False, **given)

        yield send


@pytest.fixture
def faulty(sandbox):
    return lambda kind, **options: sandbox(**{"tasks": 60, "faults": {kind: 1.0}, **options})


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("401", 401, 4002), ("429", 429, 429), ("500", 500, 500), ("503", 503, 503), ("errors200", 200, 500)],
    ids=str,
)
def test_the_api_itself_fails(faulty, post, kind, status, code):
    answer = post(faulty(kind))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)


def test_a_made_up_429_has_the_real_ones_retry_after(faulty, post):
    assert post(faulty("429", retry_after="seconds")).headers["Retry-After"] == "1"


@pytest.mark.parametrize(("kind", "status"), [("502", 502), ("html200", 200)])
def test_a_gateway_answers_with_a_page(faulty, post, kind, status):
    answer = post(faulty(kind))
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert "<html>" in answer.text


def test_an_answer_is_empty(faulty, post):
    answer = post(faulty("empty200"))
    assert (answer.status_code, answer.content) == (200, b"")


def test_an_answer_points_elsewhere(faulty, post):
    answer = post(faulty("redirect", redirect_to="http://127.0.0.1:9/elsewhere"))
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.1:9/elsewhere")


def test_an_answer_has_the_wrong_content_type(faulty, post):
    answer = post(faulty("wrong-type"))
    assert answer.headers["Content-Type"] == "text/plain"
    assert len(answer.json()["results"]) == 50


def test_half_an_answer_that_claims_to_be_whole(faulty, post):
    answer = post(faulty("half"))
    assert answer.content.startswith(b'{"results":[')
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_where_an_answer_breaks_off_can_be_chosen(faulty, post):
    lengths = [len(post(faulty("half", broken_at=share)).content) for share in (0, 0.1, 1)]
    assert lengths[0] == 0
    assert lengths[1] == lengths[2] // 10


def test_an_answer_that_is_cut_off(faulty, post):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post(faulty("cut"))


def test_a_connection_that_is_reset(faulty, post):
    with pytest.raises(requests.ConnectionError, match="reset"):
        post(faulty("reset"))


def test_no_answer_at_all(faulty, post):
    with pytest.raises(requests.ReadTimeout):
        post(faulty("timeout"), timeout=0.2)


def test_a_server_that_stalls_gives_up_after_its_own_time(faulty, post):
    with pytest.raises(requests.ConnectionError):
        post(faulty("timeout", stall_seconds=0.1))


def test_an_answer_that_stalls_in_the_middle(faulty, post):
    with pytest.raises((requests.ConnectionError, requests.ReadTimeout)):
        post(faulty("stall"), timeout=0.2)


def test_an_answer_that_trickles_never_runs_into_a_read_timeout(faulty, post):
    with post(faulty("trickle"), timeout=1, stream=True) as answer:
        pieces = answer.iter_content(1)
        assert [next(pieces) for _ in range(3)] == [b"{", b'"', b"r"]


def test_an_answer_that_never_ends(faulty, post):
    with post(faulty("endless"), stream=True) as answer:
        assert "Content-Length" not in answer.headers
        assert sum(len(piece) for piece, _ in zip(answer.iter_content(1_000_000), range(20), strict=False)) > 10_000_000


def test_a_small_answer_that_unpacks_to_a_very_large_one(faulty, post):
    with post(faulty("gzipbomb"), stream=True) as answer:
        assert int(answer.headers["Content-Length"]) < 2_000_000
        assert sum(len(piece) for piece, _ in zip(answer.iter_content(1_000_000), range(50), strict=False)) > 40_000_000


def test_a_stalled_connection_ends_with_the_server(faulty, post):
    server = faulty("stall")
    with post(server, stream=True) as answer:
        server.stop()
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            answer.content  # noqa: B018 - reading it is the point


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_fault_is_in_the_log(faulty, post, kind):
    server = faulty(kind)
    try:
        with post(server, timeout=1, stream=True):
            pass
    except requests.RequestException:
        pass
    assert [each["fault"] for each in server.requests] == [kind]


def test_faults_come_at_their_rates_and_by_their_seed(sandbox, post):
    def run():
        server = sandbox(tasks=5, faults={"503": 0.2, "401": 0.1})
        return [post(server).status_code for _ in range(200)]

    statuses = run()
    assert statuses == run()
    assert (25 < statuses.count(503) < 60, 8 < statuses.count(401) < 35) == (True, True)


def test_a_request_that_is_refused_anyway_meets_no_fault(sandbox, post):
    server = sandbox(tasks=5, faults={"503": 1.0}, requests_per_minute=1)
    assert [post(server).status_code for _ in range(2)] == [503, 429]


def test_an_outage_begins_at_its_request_and_ends_in_time(sandbox, post):
    server = sandbox(tasks=5, outage_after=2, outage_seconds=1.5)
    assert [post(server).status_code for _ in range(4)] == [200, 200, 503, 503]
    deadline = time.monotonic() + 10
    while post(server).status_code == 503:
        assert time.monotonic() < deadline
    assert post(server).status_code == 200
