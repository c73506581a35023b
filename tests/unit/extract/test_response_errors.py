"""Judging answers: each status and body leads to a page or to the error with the right consequence."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etl.errors import ApiError, AuthError, EtlError, RefusedError
from etl.extract.http.response_errors import BadTokenError, UnusableAnswerError, parse_response, read_date, retry_after

LIMIT = "You've exceeded the per-minute rate limit. Please wait for sometime before retrying."
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJhcHBJZCI6ImNzLTEifQ.kQ5bB3cdefgh"
DATE = "Tue, 03 Mar 2026 12:00:00 GMT"


def errors(msg: str | None = "no", code: object = None, key: str = "msg") -> bytes:
    return json.dumps({"errors": [{key: msg, "code": code}]}).encode()


def failure(status: int, body: bytes, headers: dict[str, str] | None = None) -> EtlError:
    with pytest.raises(EtlError) as caught:
        parse_response(status, headers or {}, body)
    return caught.value


def outcome(status: int, body: bytes):
    try:
        return parse_response(status, {}, body), None
    except EtlError as error:
        return None, error


class TestPages:
    @pytest.mark.parametrize("status", [200, 201, 203])
    def test_results_make_a_page(self, status):
        assert parse_response(status, {}, b'{"results": [], "message": "ok"}') == {"results": [], "message": "ok"}

    def test_a_task_may_speak_of_errors_and_limits(self):
        record = {"_id": "ti-1", "name": LIMIT, "errors": [{"msg": "x", "code": 401}]}
        assert parse_response(200, {}, json.dumps({"results": [record]}).encode())["results"] == [record]

    @pytest.mark.parametrize("nothing", [None, [], "", {}, False], ids=repr)
    def test_errors_that_hold_nothing_are_none(self, nothing):
        assert parse_response(200, {}, json.dumps({"results": [1], "errors": nothing, "error": nothing}).encode())

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("123456789012345678901234567890", 123456789012345678901234567890),
            ("-9223372036854775809", -9223372036854775809),
            ("9" * 5000, "9" * 5000),
            ("NaN", None),
            ("-Infinity", None),
            (r'"\ud83d"', "\ud83d"),
            (r'"\u0000"', "\0"),
        ],
        ids=lambda value: repr(value)[:20],
    )
    def test_odd_values_are_kept_whole(self, text, value):
        assert parse_response(200, {}, f'{{"results": [{text}]}}'.encode())["results"] == [value]

    def test_a_byte_order_mark_is_no_obstacle(self):
        assert parse_response(200, {}, b'\xef\xbb\xbf{"results": []}') == {"results": []}


KINDS = [
    # The token: HTTP 401 whatever the body, 403 with an error's text, and the vendor's codes under any status.
    (401, errors("error verifying the jwt", 4002), BadTokenError),
    (401, HTML, BadTokenError),
    (401, b"", BadTokenError),
    (403, errors("forbidden"), BadTokenError),
    (400, errors("bad", 4002), BadTokenError),
    (400, errors("bad", "4002"), BadTokenError),
    (200, errors("bad", 401), BadTokenError),
    # The stream and the address.
    (400, errors("Invalid StreamId", 400), AuthError),
    (200, errors("Invalid Stream Id", 500), AuthError),
    (404, HTML, AuthError),
    (404, errors("Not Found", 404), AuthError),
    # The request.
    (400, errors("limit is too large"), RefusedError),
    (400, errors("limit is too large", key="message"), RefusedError),
    (400, b'{"message": "limit is too large"}', RefusedError),
    (400, b'{"error": "limit is too large"}', RefusedError),
    (400, b'{"errors": "limit is too large"}', RefusedError),
    (400, b'{"errors": [{}]}', RefusedError),
    (400, b'"limit is too large"', RefusedError),
    (405, errors("Method Not Allowed"), RefusedError),
    (412, errors("startDate is wrong", 412), RefusedError),
    (413, errors("too large"), RefusedError),
    (422, errors("no"), RefusedError),
    (200, errors("the range is too long", 412), RefusedError),
    # Where the server points away.
    (301, b"", ApiError),
    (302, HTML, ApiError),
    (307, errors("moved"), ApiError),
    # What may pass.
    (200, b"", UnusableAnswerError),
    (200, HTML, UnusableAnswerError),
    (200, b'{"results": [{"_id": "ti-1"', UnusableAnswerError),
    (200, b"[]", UnusableAnswerError),
    (200, b"{}", UnusableAnswerError),
    (200, b'{"results": null}', UnusableAnswerError),
    (200, b'{"results": {}}', UnusableAnswerError),
    (200, errors("Something went wrong", 500), UnusableAnswerError),
    (200, b'{"results": [1], "errors": [{"msg": "shard failed"}]}', UnusableAnswerError),
    (200, b'{"results": [1], "error": true}', UnusableAnswerError),
    (204, b"", UnusableAnswerError),
    (206, b'{"results": []}', UnusableAnswerError),
    (400, HTML, UnusableAnswerError),
    (403, HTML, UnusableAnswerError),
    (408, errors("timeout"), UnusableAnswerError),
    (429, b"", UnusableAnswerError),
    (500, errors("Internal Server Error"), UnusableAnswerError),
    (500, b'{"results": []}', UnusableAnswerError),
    (500, errors("streamId"), UnusableAnswerError),
    (502, HTML, UnusableAnswerError),
    (503, b"Service Unavailable", UnusableAnswerError),
    (504, b"", UnusableAnswerError),
    (200, b"[" * 100_000, UnusableAnswerError),
    (200, b'{"results": ["\xff"]}', UnusableAnswerError),
    (200, b'{"results": [], "x": "\xff"}', UnusableAnswerError),
]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    KINDS,
    ids=[f"{status} {body[:40]!r} {number}" for number, (status, body, _) in enumerate(KINDS)],
)
def test_each_answer_has_its_consequence(status, body, kind):
    assert type(failure(status, body)) is kind


class TestRateLimit:
    BODIES = (
        errors(LIMIT, 429),
        errors(LIMIT, 429, key="message"),
        json.dumps({"message": LIMIT}).encode(),
        json.dumps({"status": "failed", "reason": LIMIT}).encode(),
        json.dumps(LIMIT).encode(),
        LIMIT.encode(),
        f"<html><p>{LIMIT}</p></html>".encode(),
    )

    @pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500, 503])
    @pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:20].decode())
    def test_its_words_mean_to_wait_for_the_minute_under_any_status(self, status, body):
        error = failure(status, body)
        assert isinstance(error, UnusableAnswerError)
        assert error.minute_is_full
        assert error.rate_limited

    @pytest.mark.parametrize(("status", "body"), [(429, b""), (429, HTML), (503, b"Too Many Requests")], ids=str)
    def test_without_them_too_many_requests_are_no_full_minute(self, status, body):
        error = failure(status, body)
        assert isinstance(error, UnusableAnswerError)
        assert error.rate_limited
        assert not error.minute_is_full

    @pytest.mark.parametrize("status", [200, 403, 429, 503])
    @pytest.mark.parametrize("words", ["hourly rate limit", "rate limit for this hour", "per-hour rate limit"])
    def test_words_for_an_hour_mean_to_wait_for_the_hour(self, status, words):
        error = failure(status, errors(f"You've exceeded the {words}.", 429))
        assert isinstance(error, UnusableAnswerError)
        assert (error.rate_limited, error.hour_is_full, error.minute_is_full) == (True, True, False)
        assert "for this hour" in str(error)

    @pytest.mark.parametrize(("left", "is_full"), [("0", True), ("17", False)])
    def test_a_gateways_header_tells_that_the_hour_is_full(self, left, is_full):
        error = failure(429, b"", {"X-RateLimit-Remaining-Hour": left})
        assert error.hour_is_full is is_full

    def test_half_a_page_of_tasks_that_speak_of_it_is_none(self):
        error = failure(200, json.dumps({"results": [{"name": LIMIT}]}).encode()[:-3])
        assert not error.rate_limited


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None),
            ({"Retry-After": "7"}, 7),
            ({"Retry-After": " 7 "}, 7),
            ({"Retry-After": "0"}, 0),
            ({"Retry-After": "1.5"}, 1.5),
            ({"Retry-After": "-1"}, None),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "9" * 400}, None),
            ({"Retry-After": "٣"}, None),
            ({"Retry-After": "Tue, 03 Mar 2026 12:00:45 GMT", "Date": DATE}, 45),
            ({"Retry-After": "Tue, 03 Mar 2026 13:00:45 +0100", "Date": DATE}, 45),
            ({"Retry-After": "Tue, 03 Mar 2026 11:59:00 GMT", "Date": DATE}, 0),
            ({"Retry-After": "Tue, 03 Mar 1970 11:59:00 GMT"}, 0),
            ({"Retry-After": "Tue, 03 Mar 1970 11:59:00 GMT", "Date": "today"}, 0),
            ({"Retry-After": "Tue, 03 Mar 99999 11:59:00 GMT", "Date": DATE}, None),
            ({"Retry-After": "Tue, 03 Mar 2026 12:00:45 +99999999999999999999", "Date": DATE}, None),
        ],
        ids=str,
    )
    def test_both_its_forms_are_read(self, headers, seconds):
        assert retry_after(headers) == seconds

    @given(st.text() | st.from_regex(r"\w{3}, \d{1,2} \w{3} \d{1,12} \d\d:\d\d:\d\d [+-]?\w{1,25}", fullmatch=True))
    @example("Fri, 31 Dec 9999 23:59:59 -2359")
    @example("Mon, 01 Jan 0001 00:00:00 +2359")
    def test_no_header_is_an_obstacle(self, value):
        read_date(value)
        assert (retry_after({"Retry-After": value, "Date": value}) or 0) >= 0


class TestMessages:
    def test_the_servers_words_are_cut_and_printable(self):
        message = str(failure(400, errors("a\nb\x1b[2J\u202e" + "x" * 5000)))
        assert message.isprintable()
        assert "a b" in message
        assert len(message) < 300

    @pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500])
    def test_a_token_that_the_server_sends_back_is_not_among_them(self, status):
        assert TOKEN not in (message := str(failure(status, errors(f"cannot verify {TOKEN} today"))))
        assert '"cannot verify *** today"' in message

    def test_no_body_is_among_them(self):
        assert "Bad Gateway" not in str(failure(502, HTML))

    @pytest.mark.parametrize(("body", "kind"), [(HTML, "HTML"), (b"", "empty"), (b"gone", "no JSON")])
    def test_the_kind_of_a_body_is_told(self, body, kind):
        assert f"(HTTP 502, {kind})" in str(failure(502, body))

    @pytest.mark.parametrize("said", ["error verifying the jwt: possibly a replay", "jti is required"])
    def test_who_must_set_jti_is_told(self, said):
        assert str(failure(401, errors(said, 401))).endswith("the app takes a token only once: set jti")

    def test_who_must_look_at_the_settings_is_told_which(self):
        message = str(failure(401, errors("no", 4002)))
        for name in ("client_id", "client_secret", "algorithm", "account_id", "stream_id", "scope", "published"):
            assert name in message

    def test_a_refused_scope_must_be_enabled_and_published(self):
        message = str(failure(401, errors("the app lacks the scope Case Management Configuration", 4002)))
        advice = message.rpartition("; ")[2]
        assert "enable the app's scope Case Management Configuration" in advice
        assert "publish the app" in advice
        assert "client_secret" not in advice


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
keys = st.sampled_from(["results", "errors", "error", "msg", "message", "code"])
answers = st.dictionaries(keys, json_values | st.lists(st.dictionaries(keys, json_values)))
bodies = st.binary() | (json_values | answers).map(lambda value: json.dumps(value).encode())


@given(st.sampled_from([200, 201, 204, 301, 400, 401, 403, 404, 412, 429, 500, 503]) | st.integers(100, 999), bodies)
@example(200, b"")
@example(200, b'{"errors": [[]]}')
@example(200, b'{"errors": {"msg": {}}}')
@example(401, b'{"errors": [{"msg": "\\ud800", "code": 1e999}]}')
def test_any_answer_is_a_page_or_a_readable_error(status, body):
    page, error = outcome(status, body)
    if error is None:
        assert isinstance(page["results"], list)
        assert status in (200, 201, 203)
    else:
        assert str(error).isprintable()
        assert error.exit_code in (4, 5)


@given(st.lists(json_values, max_size=4), st.data())
def test_no_part_of_a_page_is_read_as_the_page(records, data):
    body = json.dumps({"results": records}).encode()
    cut = data.draw(st.integers(0, len(body) - 1))
    assert type(failure(200, body[:cut])) is UnusableAnswerError
