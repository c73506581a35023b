"""The client against real servers: the sandbox, and bare sockets for what no server of good faith would send."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from etl.errors import ApiError, AuthError, ConfigError, EtlError, RefusedError, TransientApiError
from etl.extract.http.auth import Token
from etl.extract.http.connection import Endpoint
from etl.extract.http.query import Query
from etl.extract.http.rate_limiter import MINUTE, RateLimiter
from etl.extract.http.response_errors import (
    BadTokenError,
    NoConnectionError,
    SlowAnswerError,
    TooLargeAnswerError,
    UnusableAnswerError,
)
from etl.extract.http.retrying_client import Client
from etl.sandbox import Options, Sandbox
from etl.sandbox.options import FAULT_KINDS
from etl.settings import SourceSettings
from etl.stop_request import Stop, Terminated

SECRET = "a secret of the tests, long enough for HS512 and in no way a real one"
PAGE = b'{"results": [{"_id": "ti-1"}], "hasMore": false, "totalResults": 1}'
DATE = "Date: Tue, 03 Mar 2026 12:00:00 GMT\r\n"


class Time:
    """Time that goes on by itself and jumps where somebody would sleep, and a clock that may be ``astray``."""

    def __init__(self, astray: float = 0.0) -> None:
        self.slept: list[float] = []
        self.astray = astray

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def monotonic(self) -> float:
        return time.monotonic() + sum(self.slept)

    def clock(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.astray)


class Asking:
    """A client, and what it did."""

    def __init__(
        self,
        endpoint: Endpoint,
        source: SourceSettings,
        *,
        per_minute: int = 6000,
        on_retry: Callable[[], object] = lambda: None,
        astray: float = 0.0,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.time = Time(astray)
        clock = clock or self.time.clock
        self.told: list[tuple[str, float]] = []
        self._on_retry = on_retry
        self.budget = RateLimiter(per_minute, monotonic=self.time.monotonic, sleep=self.time.sleep)
        self.stop = Stop()
        self.client = Client(
            endpoint,
            Token(source, clock),
            self.budget,
            clock=clock,
            on_retry=self._note,
            sleep=self.time.sleep,
            monotonic=self.time.monotonic,
            stop=self.stop,
        )

    def fetch(self, **query):
        return self.client.fetch(Query(**query))

    def fails(self, kind: type[Exception] = EtlError) -> EtlError:
        with pytest.raises(EtlError) as caught:
            self.fetch(limit=50)
        assert type(caught.value) is kind
        return caught.value

    def _note(self, reason: str, wait: float) -> None:
        self.told.append((reason, wait))
        self._on_retry()


@pytest.fixture
def asking() -> Iterator[Callable[..., Asking]]:
    """Make clients of a sandbox or of an address; ``how`` is how they go about it, the rest is the endpoint's."""
    with ExitStack() as open_clients:

        def make(server: Sandbox | str, *, source: SourceSettings | None = None, how: dict | None = None, **endpoint):
            source = source or source_of(server)
            mine = {key: getattr(source, key) for key in ("base_url", "account_id", "stream_id")}
            made = Asking(Endpoint(**{**mine, "connect_timeout": 5.0, **endpoint}), source, **(how or {}))
            open_clients.callback(made.client.close)
            return made

        yield make


def source_of(server: Sandbox | str, **changes) -> SourceSettings:
    options, url = (server.options, server.url) if isinstance(server, Sandbox) else (Options(), server)
    ids = {key: getattr(options, key) for key in ("account_id", "stream_id", "client_id", "client_secret")}
    return SourceSettings(**{"base_url": url, **ids, **changes})


class Bare:
    """A bare socket that sends what it is told, a piece at a time; each connection takes the next answer."""

    def __init__(self, answers: list[list[bytes]], pause: float = 0.0, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.on_request: Callable[[], object] = lambda: None
        self._answers = answers
        self._pause = pause
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopping = threading.Event()
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._stopping.is_set():
                    return
                try:
                    self._answer(
                        self._context.wrap_socket(connection, server_side=True) if self._context else connection
                    )
                except OSError:
                    continue

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            request = b""
            while b"\r\n\r\n" not in request or len(request.partition(b"\r\n\r\n")[2]) < _length(request):
                if not (piece := connection.recv(65536)):
                    return
                request += piece
            self.requests.append(request)
            self.on_request()
            pieces = self._answers[min(len(self.requests), len(self._answers)) - 1]
            for piece in pieces:
                if self._stopping.wait(self._pause):
                    return
                connection.sendall(piece)


def _length(request: bytes) -> int:
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").lower().split("\r\n")
    return next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)


@pytest.fixture
def bare() -> Iterator[Callable[..., Bare]]:
    with ExitStack() as started:

        def start(*answers: bytes | list[bytes], **rest) -> Bare:
            server = Bare([[answer] if isinstance(answer, bytes) else answer for answer in answers], **rest)
            started.callback(server.close)
            return server

        yield start


def http(body: bytes = PAGE, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("latin-1") + body


#: What each kind of fault leads to if it does not pass.
ENDS = {
    "401": BadTokenError,
    "429": UnusableAnswerError,
    "500": UnusableAnswerError,
    "502": UnusableAnswerError,
    "503": UnusableAnswerError,
    "timeout": SlowAnswerError,
    "stall": SlowAnswerError,
    "trickle": SlowAnswerError,
    "endless": TooLargeAnswerError,
    "reset": TransientApiError,
    "half": UnusableAnswerError,
    "cut": TransientApiError,
    "html200": UnusableAnswerError,
    "errors200": UnusableAnswerError,
    "empty200": UnusableAnswerError,
    "gzipbomb": TooLargeAnswerError,
    "redirect": ApiError,
}
HARMLESS = {"wrong-type"}
QUICK = {"connect_timeout": 0.5, "read_timeout": 0.5, "most_bytes": 300_000}


def hasty(kind: str) -> dict:
    """Return how to ask where a kind of fault is met: only one that gives no answer is to run into a timeout."""
    return QUICK if ENDS[kind] is SlowAnswerError else {"most_bytes": QUICK["most_bytes"]}


class TestFaults:
    def test_each_kind_is_tried_here(self):
        assert {*ENDS, *HARMLESS} == set(FAULT_KINDS)

    @pytest.mark.parametrize("kind", [kind for kind in ENDS if kind != "redirect"])
    def test_one_that_passes_is_overcome(self, sandbox, asking, kind):
        server = sandbox(tasks=60, faults={kind: 1.0})
        mine = asking(server, how={"on_retry": lambda: server.configure(faults={})}, **hasty(kind))
        assert len(mine.fetch(limit=50)) == 50
        assert [entry["fault"] for entry in server.requests] == [kind, None]
        assert (mine.client.usage.requests, mine.client.usage.retries) == (2, 1)

    @pytest.mark.parametrize("kind", HARMLESS)
    def test_one_that_is_harmless_is_not_noticed(self, sandbox, asking, kind):
        server = sandbox(tasks=60, faults={kind: 1.0})
        assert len(asking(server).fetch(limit=50)) == 50
        assert server.request_count == 1

    @pytest.mark.parametrize(("kind", "end"), ENDS.items(), ids=list(ENDS))
    def test_one_that_stays_ends_in_its_error_within_the_deadline(self, sandbox, asking, kind, end):
        server = sandbox(tasks=60, faults={kind: 1.0}, stall_seconds=5)
        mine = asking(server, deadline=20.0, **hasty(kind))
        began = mine.time.monotonic()
        error = mine.fails(end)
        assert mine.time.monotonic() - began < 20 + 10
        assert error.exit_code == (4 if end is BadTokenError else 5)
        tries = {BadTokenError: range(2, 3), ApiError: range(1, 2), SlowAnswerError: range(3, 4)}
        assert server.request_count in tries.get(end, range(1 if kind == "429" else 3, 60))
        assert mine.client.usage.requests == server.request_count

    def test_many_that_come_and_go_are_overcome(self, sandbox, asking):
        kinds = ("429", "500", "502", "503", "reset", "half", "cut", "html200", "errors200", "empty200")
        server = sandbox(tasks=60, faults=dict.fromkeys(kinds, 0.05), seed=7)
        mine = asking(server)
        assert all(len(mine.fetch(limit=50, skip=skip)) for skip in range(60))
        assert server.request_count > 80

    def test_tries_come_less_and_less_often(self, sandbox, asking):
        server = sandbox(tasks=1, faults={"503": 1.0})
        mine = asking(server, deadline=3600.0)
        mine.fails(UnusableAnswerError)
        waits = mine.time.slept
        assert all(0.5 <= wait <= 30 for wait in waits)
        assert len(set(waits)) > len(waits) / 2  # they are spread, so that many clients do not come at once
        assert sum(waits[-20:]) > 4 * sum(waits[:5])

    def test_nobody_listens(self, asking):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        mine = asking(url)
        error = mine.fails(NoConnectionError)
        assert error.exit_code == 5
        assert "refuses the connection; check base_url and its port" in str(error)
        assert len(mine.time.slept) == 2  # it is not waited for: nothing has answered yet

    def test_a_host_that_does_not_exist_is_told(self, asking):
        mine = asking("http://nowhere.invalid")
        assert "the host's name is not known" in str(mine.fails(NoConnectionError))
        assert len(mine.time.slept) == 2

    def test_a_server_that_answered_is_waited_for_to_the_deadline(self, asking):
        with Sandbox(Options(tasks=1)) as server:
            mine = asking(server, deadline=120.0)
            mine.fetch()
        mine.fails(NoConnectionError)
        assert sum(mine.time.slept) > 60.0


class TestPauses:
    @pytest.mark.parametrize("status", [429, 400, 503])
    def test_the_words_of_the_limit_mean_to_wait_for_the_minute(self, sandbox, asking, status):
        server = sandbox(tasks=60, requests_per_minute=1, rate_limit_status=status)
        mine = asking(server, how={"on_retry": server.reset_requests})
        mine.fetch(limit=10)
        assert len(mine.fetch(limit=10)) == 10
        assert mine.time.slept == [60]
        assert mine.client.usage.rate_limited == 1

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_retry_after_is_obeyed_in_both_its_forms(self, sandbox, asking, form):
        server = sandbox(tasks=60, requests_per_minute=1, minute_seconds=20, retry_after=form)
        mine = asking(server, how={"on_retry": server.reset_requests})
        mine.fetch(limit=10)
        assert len(mine.fetch(limit=10)) == 10
        assert mine.time.slept == [pytest.approx(20, abs=1.5)]

    @pytest.mark.parametrize("value", ["0", "Tue, 03 Mar 2026 11:00:00 GMT"])
    def test_there_is_a_floor_under_it(self, bare, asking, value):
        server = bare(http(b"", "503 Busy", f"{DATE}Retry-After: {value}\r\n"))
        mine = asking(server.url, deadline=60.0)
        mine.fails(UnusableAnswerError)
        assert min(mine.time.slept) >= 0.5
        assert len(server.requests) < 40

    def test_one_past_the_deadline_is_not_waited_for(self, bare, asking):
        server = bare(http(b"", "503 Busy", "Retry-After: 3600\r\n"))
        mine = asking(server.url)
        mine.fails(UnusableAnswerError)
        assert mine.time.slept == []
        assert len(server.requests) == 1

    def test_no_last_try_hides_the_reason_for_want_of_time(self, bare, asking):
        server = bare(http(b"", "503 Busy", "Retry-After: 60\r\n"), b"")
        mine = asking(server.url, deadline=60.5)
        mine.fails(UnusableAnswerError)
        assert len(server.requests) == 1

    def test_waiting_for_the_budget_is_no_fault_of_the_servers(self, bare, asking):
        server = bare(http(), http(b"", "503 Busy"), http())
        mine = asking(server.url, how={"per_minute": 1}, deadline=5.0)
        assert [len(mine.fetch()), len(mine.fetch())] == [1, 1]
        assert sum(mine.time.slept) > 2 * MINUTE - 2

    def test_the_budget_counts_every_try(self, bare, asking):
        bad = (http(b"", "503 Busy"), http(b"<html>"), http(b""), b"")
        server = bare(*bad, *[http()] * 30, *bad, http())
        mine = asking(server.url, how={"per_minute": 7})
        moments = []
        server.on_request = lambda: moments.append(mine.time.monotonic())
        for _ in range(33):
            mine.fetch()
        assert len(moments) == 41
        assert all(later - earlier >= MINUTE for earlier, later in zip(moments, moments[7:], strict=False))
        assert moments[-1] - moments[0] < 41 // 7 * MINUTE + MINUTE  # and hardly slower than it must be


class TestBounds:
    """What comes is bounded in real time: these servers send, or are waited for, for a minute and more."""

    SOON = 30  # a busy machine takes its time

    def takes(self, mine: Asking, kind: type[Exception]) -> float:
        began = time.monotonic()
        mine.fails(kind)
        return time.monotonic() - began

    @pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
    @pytest.mark.parametrize(
        "start",
        [
            b"",
            b"HTTP/1.1 200 OK\r\nX: ",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + PAGE,
            b"HTTP/1.1 200 OK\r\n\r\n" + PAGE,
            b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
        ],
        ids=["status line", "headers", "body", "body without a length", "redirect"],
    )
    def test_bytes_that_trickle_in_for_ever(self, bare, asking, authority, tls, start):
        server = bare([start, *[b" "] * 10_000], pause=0.02, context=authority.server if tls else None)
        mine = asking(server.url, deadline=0.4, read_timeout=5.0, ca_bundle=authority.file)
        assert self.takes(mine, SlowAnswerError) < self.SOON

    def test_the_deadline_bounds_the_last_try_too(self, sandbox, asking):
        server = sandbox(tasks=1, faults={"timeout": 1.0})
        assert self.takes(asking(server, deadline=0.3, read_timeout=60.0), SlowAnswerError) < self.SOON

    def test_an_answer_as_large_as_may_be_is_accepted(self, bare, asking):
        body = PAGE + b" " * (300_000 - len(PAGE))
        assert len(asking(bare(http(body)).url, **QUICK).fetch()) == 1
        error = asking(bare(http(body + b" ")).url, deadline=5.0, **QUICK).fails(TooLargeAnswerError)
        assert "more than 300,000 bytes" in str(error)

    def test_an_answer_that_unpacks_to_more_is_not(self, bare, asking):
        body = gzip.compress(PAGE + b" " * 50_000_000)
        server = bare(http(body, headers="Content-Encoding: gzip\r\n"))
        asking(server.url, deadline=0.4, **QUICK).fails(TooLargeAnswerError)

    def test_a_packed_answer_is_unpacked(self, bare, asking):
        server = bare(http(gzip.compress(PAGE), headers="Content-Encoding: gzip\r\n"))
        assert len(asking(server.url).fetch()) == 1

    def test_slow_answers_are_told_from_a_bad_connection(self, sandbox, asking):
        server = sandbox(tasks=1, faults={"timeout": 1.0})
        mine = asking(server, connect_timeout=5, read_timeout=0.5)
        mine.fails(SlowAnswerError)
        assert server.request_count == 3


class TestStop:
    def test_cuts_a_request_that_is_under_way(self, sandbox, asking):
        server = sandbox(tasks=1, faults={"stall": 1.0}, stall_seconds=30)
        mine = asking(server)

        def stop_once_asked() -> None:
            while not server.request_count:
                time.sleep(0.01)
            time.sleep(0.1)  # the headers come before the stall
            mine.stop.request(Terminated)

        threading.Thread(target=stop_once_asked).start()
        began = time.monotonic()
        with pytest.raises(Terminated):
            mine.fetch(limit=50)
        assert time.monotonic() - began < 20

    def test_lets_no_other_request_begin(self, sandbox, asking):
        server = sandbox(tasks=1)
        mine = asking(server)
        mine.stop.request(KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            mine.fetch(limit=50)
        assert server.request_count == 0


class TestRefusals:
    @pytest.mark.parametrize("status", [400, 412])
    def test_a_refused_query_is_never_sent_again(self, sandbox, asking, status):
        server = sandbox(tasks=1, cap=10, cap_mode="refuse", cap_status=status)
        asking(server).fails(RefusedError)
        assert server.request_count == 1

    def test_a_stream_that_is_not_known(self, sandbox, asking):
        server = sandbox(tasks=1)
        error = asking(server, stream_id="st-other").fails(AuthError)
        assert server.request_count == 1
        assert "check stream_id" in str(error)

    @pytest.mark.parametrize(
        ("options", "endpoint"),
        [({"wrong_stream": 401}, {"stream_id": "st-other"}), ({}, {"account_id": "other"}), ({"scope": "missing"}, {})],
        ids=["stream", "account", "scope"],
    )
    def test_what_looks_like_a_bad_token_is_tried_once_more(self, sandbox, asking, options, endpoint):
        server = sandbox(tasks=1, **options)
        assert asking(server, **endpoint).fails(BadTokenError).exit_code == 4
        assert server.request_count == 2

    @pytest.mark.parametrize("status", ["301 M", "302 F", "307 T", "308 P"])
    def test_a_redirect_is_not_followed_and_the_token_goes_nowhere(self, asking, bare, status):
        elsewhere = bare(http())
        server = bare(http(b"", status, f"Location: {elsewhere.url}/x\r\n"))
        error = asking(server.url).fails(ApiError)
        assert "set base_url to the final host" in str(error)
        assert (len(server.requests), elsewhere.requests) == (1, [])

    @pytest.mark.parametrize("location", ["", "http://[", "file:///etc/passwd", "http://\udcff", "//", "x" * 60_000])
    def test_where_a_redirect_points_is_not_even_looked_at(self, bare, asking, location):
        line = b"Location: " + location.encode("utf-8", "surrogateescape") + b"\r\n"
        server = bare(b"HTTP/1.1 302 Found\r\n" + line + b"Content-Length: 0\r\n\r\n")
        asking(server.url).fails(ApiError)


class TestTokens:
    def test_one_is_used_again(self, bare, asking):
        server = bare(http())
        mine = asking(server.url)
        mine.fetch()
        mine.fetch()
        first, second = (header(request, "auth") for request in server.requests)
        assert first == second

    def test_one_for_single_use_is_fresh_for_each_try(self, sandbox, asking):
        server = sandbox(tasks=60, jti_required=True, faults={"503": 0.5}, seed=3)
        mine = asking(server, source=source_of(server, jti=True))
        assert all(len(mine.fetch(limit=5)) for _ in range(10))
        assert {entry["status"] for entry in server.requests} == {200, 503}

    def test_who_must_use_each_only_once_is_told_so(self, sandbox, asking):
        server = sandbox(tasks=1, jti_required=True)
        assert str(asking(server).fails(BadTokenError)).endswith("set jti")

    def test_one_that_dies_after_a_second_is_replaced(self):
        clock = [1_800_000_000.0]  # stands still but for what is added to it
        options = Options(tasks=1, token_lifetime=1, requests_per_minute=0)
        with Sandbox(options, clock=lambda: clock[0]) as server:
            endpoint = Endpoint(base_url=server.url, account_id=options.account_id, stream_id=options.stream_id)
            mine = Asking(endpoint, source_of(server), clock=lambda: datetime.fromtimestamp(clock[0], UTC))
            for _ in range(30):
                assert len(mine.fetch()) == 1
                clock[0] += 0.3
            mine.client.close()
            statuses = [entry["status"] for entry in server.requests]
        assert statuses.count(200) == 30
        assert 5 < statuses.count(401) < 12

    @pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
    def test_the_algorithm_is_the_apps(self, sandbox, asking, algorithm):
        server = sandbox(tasks=1, algorithm=algorithm)
        assert asking(server, source=source_of(server, algorithm=algorithm)).fetch()
        other = {"HS256": "HS512", "HS512": "HS256"}[algorithm]
        asking(server, source=source_of(server, algorithm=other)).fails(BadTokenError)

    HOUR = 3600.0

    @pytest.mark.parametrize(
        ("server_ahead", "own_clock", "mine_ahead", "refused"),
        [
            (0.0, False, 0.0, 0),
            (HOUR, False, 0.0, 0),  # Date is wrong, tokens are checked by the true time
            (-HOUR, False, 0.0, 0),
            (HOUR, True, 0.0, 1),  # the server is wrong in both
            (-HOUR, True, 0.0, 1),
            (0.0, False, HOUR, 1),  # this machine is wrong
            (0.0, False, -HOUR, 1),
            (HOUR, True, HOUR, 0),
            (15.0, True, 0.0, 0),  # what does not matter is not noticed
            (-15.0, True, 0.0, 0),
            (-120.0, True, 0.0, 1),
        ],
    )
    def test_the_clock_that_tokens_are_checked_by_is_found_and_kept(
        self, sandbox, asking, server_ahead, own_clock, mine_ahead, refused
    ):
        server = sandbox(tasks=1, clock_skew=server_ahead, skew_tokens=own_clock)
        each_is_new = source_of(server, token_lifetime=timedelta(seconds=30))
        mine = asking(server, source=each_is_new, how={"astray": mine_ahead})
        for _ in range(4):
            assert len(mine.fetch()) == 1
        assert [entry["status"] for entry in server.requests] == [401] * refused + [200] * 4
        assert mine.client.usage.retries == refused

    @pytest.mark.parametrize("own_clock", [False, True])
    @pytest.mark.parametrize("date", ["present", "missing"])
    @pytest.mark.parametrize("server_ahead", [0.0, HOUR, -HOUR])
    @pytest.mark.parametrize("mine_ahead", [0.0, HOUR])
    def test_a_wrong_secret_is_told_soon_whatever_the_clocks(
        self, sandbox, asking, own_clock, date, server_ahead, mine_ahead
    ):
        server = sandbox(tasks=1, clock_skew=server_ahead, skew_tokens=own_clock, date_header=date)
        mine = asking(server, source=source_of(server, client_secret=SECRET), how={"astray": mine_ahead})
        assert mine.fails(BadTokenError).exit_code == 4
        differs = date == "present" and server_ahead != mine_ahead
        assert server.request_count == (3 if differs else 2)

    def test_a_clock_that_is_set_right_meanwhile_is_followed(self, sandbox, asking):
        server = sandbox(tasks=1)
        mine = asking(server, how={"astray": self.HOUR})
        mine.fetch()
        mine.time.astray = 0.0
        mine.client._token.discard()
        assert len(mine.fetch()) == 1
        assert [entry["status"] for entry in server.requests] == [401, 200, 401, 401, 200]


def header(request: bytes, name: str) -> str | None:
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    found = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(f"{name.lower()}:")]
    assert len(found) < 2
    return found[0] if found else None


class TestRequests:
    def test_one_is_as_the_vendor_wants_it(self, bare, asking):
        server = bare(http())
        asking(server.url, account_id="acc-1", stream_id="st/1 ü", timezone_offset=-330).fetch(limit=7, unresolved=True)
        (request,) = server.requests
        assert request.startswith(b"POST /caseManagement/api/public/analytics/st%2F1%20%C3%BC/getTasks HTTP/1.1\r\n")
        names = ("AccountId", "client-app", "X-Timezone-Offset", "Content-Type")
        assert [header(request, name) for name in names] == [
            "acc-1",
            "unified",
            "-330",
            "application/json;charset=UTF-8",
        ]
        claims = jwt.decode(header(request, "auth"), options={"verify_signature": False})
        assert claims["appId"] == Options().client_id
        assert json.loads(request.partition(b"\r\n\r\n")[2]) == {"skip": 0, "limit": 7, "unresolved": True}

    def test_the_connection_is_kept(self, sandbox, asking):
        server = sandbox(tasks=1)
        mine = asking(server)
        mine.fetch()
        mine.fetch()
        assert len(mine.client._transport._adapter.lines) == 1

    def test_nothing_of_the_machine_is_sent_along(self, bare, asking, tmp_path, monkeypatch):
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("NETRC", raising=False)
        server = bare(http())
        asking(server.url).fetch()
        assert header(server.requests[0], "authorization") is None

    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
    def test_what_stays_on_this_machine_goes_through_no_proxy(self, bare, asking, monkeypatch, name):
        proxy, server = bare(http()), bare(http())
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        asking(server.url).fetch()
        assert (len(server.requests), proxy.requests) == (1, [])

    @pytest.mark.parametrize("spared", ["", "127.0.0.1", "127.0.0.0/8"])
    def test_requests_go_through_the_proxy_of_the_environment(self, bare, asking, monkeypatch, authority, spared):
        proxy, server = bare(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), bare(http(), context=authority.server)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", spared)
        mine = asking(server.url, ca_bundle=authority.file, deadline=0.4)
        if spared:
            assert len(mine.fetch()) == 1
            assert proxy.requests == []
        else:
            assert "the proxy failed; check HTTPS_PROXY" in str(mine.fails(NoConnectionError))
            assert proxy.requests[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP".encode())

    def test_a_cookie_of_the_gateway_goes_back_to_it(self, bare, asking):
        server = bare(http(headers="Set-Cookie: node=a\r\n"), http(headers="Set-Cookie: node=b\r\n"), http())
        mine = asking(server.url)
        for _ in range(3):
            mine.fetch()
        assert [header(request, "cookie") for request in server.requests] == [None, "node=a", "node=b"]

    def test_each_request_has_its_own_body(self, bare, asking):
        server = bare(http(), http())
        mine = asking(server.url)
        mine.fetch(limit=7)
        mine.fetch(limit=50, skip=1000)
        bodies = [request.partition(b"\r\n\r\n")[2] for request in server.requests]
        assert [json.loads(body) for body in bodies] == [{"skip": 0, "limit": 7}, {"skip": 1000, "limit": 50}]
        assert [header(request, "content-length") for request in server.requests] == [str(len(body)) for body in bodies]

    def test_the_servers_time_is_known_and_never_ahead(self, sandbox, asking):
        server = sandbox(tasks=1, clock_skew=7200.0)
        mine = asking(server)
        assert mine.client.skew is None
        mine.fetch()
        behind = timedelta(hours=2) - mine.client.skew
        assert timedelta() <= behind < timedelta(seconds=2)

    def test_without_a_date_header_it_is_not_known(self, sandbox, asking):
        mine = asking(sandbox(tasks=1, date_header="missing"))
        mine.fetch()
        assert mine.client.skew is None


DAY = timedelta(days=1)
Signer = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def certificate(
    name: str, *, host: str = "127.0.0.1", since: timedelta = -DAY, until: timedelta = DAY, signer: Signer | None = None
) -> Signer:
    """A key and a certificate for it, signed by itself unless a signer is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[1].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + until)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .sign(signer[0] if signer else key, hashes.SHA256())
    )
    return key, signed


class Authority:
    """A certificate of its own, the file that vouches for it, and what servers show it with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.signer = certificate("tests")
        self.file = str(folder / "authority.pem")
        Path(self.file).write_bytes(self.signer[1].public_bytes(serialization.Encoding.PEM))
        self.server = self.shows(self.signer)

    def shows(self, signed: Signer, *chain: Signer) -> ssl.SSLContext:
        """What a server shows this certificate with, and those of a chain behind it."""
        private = signed[0].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = [each[1].public_bytes(serialization.Encoding.PEM) for each in (signed, *chain)]
        file = self._folder / "server.pem"
        file.write_bytes(private + b"".join(public))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class TestTls:
    @pytest.mark.parametrize(
        ("made", "words"),
        [
            ({"since": -2 * DAY, "until": -DAY}, "the certificate has expired"),
            ({"since": DAY, "until": 2 * DAY}, "the certificate is not valid yet; check this machine's clock"),
            ({"host": "127.0.0.9"}, "the certificate is for another host; check base_url"),
        ],
        ids=["expired", "not yet valid", "wrong host"],
    )
    def test_what_is_wrong_with_a_certificate_is_told_at_once(self, bare, asking, authority, made, words):
        server = bare(http(), context=authority.shows(certificate("server", signer=authority.signer, **made)))
        mine = asking(server.url, ca_bundle=authority.file)
        assert words in str(mine.fails(NoConnectionError))
        assert (server.requests, mine.time.slept) == ([], [])

    @pytest.mark.parametrize("kind", ["self-signed", "signed by a self-signed one", "nobody known here"])
    def test_who_signed_a_certificate_that_is_not_trusted_is_told(self, bare, asking, authority, kind):
        signer = certificate("another")
        signed = signer if kind == "self-signed" else certificate("server", signer=signer)
        chain = [signer] if kind == "signed by a self-signed one" else []
        server = bare(http(), context=authority.shows(signed, *chain))
        mine = asking(server.url, ca_bundle=authority.file)
        error = mine.fails(NoConnectionError)
        assert kind in str(error)
        assert "ca_bundle" in str(error)
        assert (server.requests, mine.time.slept) == ([], [])

    def test_a_port_that_speaks_no_tls_is_told(self, sandbox, asking):
        server = sandbox(tasks=1)
        mine = asking(server.url.replace("http:", "https:"))
        assert "check that base_url's port speaks TLS" in str(mine.fails(NoConnectionError))
        assert len(mine.time.slept) == 2

    def test_a_file_of_certificates_that_is_gone_is_told(self, bare, asking, authority, monkeypatch, tmp_path):
        server = bare(http(), context=authority.server)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "gone.pem"))
        mine = asking(server.url)
        assert "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE: there is no" in str(mine.fails(ConfigError))
        with pytest.raises(ConfigError, match=r"gone\.pem"):
            mine.client.ping()

    def test_a_proxy_that_needs_a_library_is_told(self, bare, asking, authority, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", "socks5h://127.0.0.1:9")
        monkeypatch.delenv("NO_PROXY", raising=False)
        server = bare(http(), context=authority.server)
        assert "install PySocks, or change HTTPS_PROXY" in str(
            asking(server.url, ca_bundle=authority.file).fails(ConfigError)
        )

    def test_a_named_authority_wins_over_the_environment(self, bare, asking, authority, monkeypatch):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", __file__)
        server = bare(http(), context=authority.server)
        assert len(asking(server.url, ca_bundle=authority.file).fetch()) == 1


HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip, gzip, gzip, gzip, gzip, gzip\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Domain=\xff\r\nDate: \xff\r\nRetry-After: \xff\r\n\r\n",
    b"HTTP/1.1 999999 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"\0" * 1000,
    b"",
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(HEADS)
    | st.binary(max_size=200)
    | st.tuples(st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 503 \r\n"]), st.binary(max_size=200)).map(b"".join)
)
@example(HEADS[0])
def test_whatever_bytes_come_only_our_own_errors_are_raised(bare, asking, answer):
    mine = asking(bare(answer).url, deadline=0.45, read_timeout=0.4)
    try:
        mine.fetch()
    except EtlError:
        return


@pytest.mark.parametrize("answer", HEADS, ids=lambda answer: repr(answer[:60]))
def test_broken_heads_are_no_page_and_may_pass(bare, asking, answer):
    server = bare(answer, http())
    mine = asking(server.url, read_timeout=1.0)
    assert len(mine.fetch()) == 1
    # Beside a request that may be lost since the server closes the line without a word of it.
    assert len(server.requests) == 2


def test_asking_once_needs_no_date_header(sandbox, asking):
    mine = asking(sandbox(tasks=3, date_header="missing"))
    mine.client.ping()
    assert len(mine.client.ask_once(Query(limit=50))["results"]) == 3


def test_the_newest_update_that_was_shown_is_known(sandbox, asking):
    asked = asking(sandbox(tasks=120, shape="eight"))
    assert asked.client.newest_update is None
    pages = [asked.fetch(limit=50, skip=skip, sort_by=("updatedAt", "asc")) for skip in (0, 50)]
    assert asked.client.newest_update == max(moment for page in pages for moment in page.updated)
    asked.fetch(limit=50, sort_by=("updatedAt", "asc"))
    assert asked.client.newest_update == pages[-1].updated[-1]
