"""Checks of a source: the route to its server, one request, the request budget, and the lock."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from msgspec.structs import replace
from sqlalchemy import Engine

from etl.errors import ApiError, AuthError, DatabaseError, EtlError, LockedError, RefusedError
from etl.extract.http.query import Query
from etl.extract.http.rate_limiter import RateLimiter
from etl.extract.http.response_errors import BadTokenError, UnusableAnswerError
from etl.jobs.diagnostics.check_result import CheckResult, failed, ok, unknown, warning
from etl.jobs.run.lifecycle import SourceSpec
from etl.load.database.engine import reading
from etl.load.database.locks import named_lock
from etl.load.queries import status

_WRONG_CLOCK = timedelta(seconds=30)
_ACCESS = ("token", "scope", "stream")


def check_source(source_spec: SourceSpec, budget: RateLimiter, engine: Engine | None) -> Iterator[CheckResult]:
    """Yield the results for a source. They cost one request at most."""
    for result in _check(source_spec, budget, engine):
        yield replace(result, source=source_spec.source.name)


def _check(source_spec: SourceSpec, budget: RateLimiter, engine: Engine | None) -> Iterator[CheckResult]:
    with closing(source_spec.client):
        route = list(_check_route(source_spec))
        yield from route
        if any(result.state == "failed" for result in route):
            yield from (unknown(what, "the server cannot be reached") for what in _ACCESS)
        elif reason := _no_request(budget):
            yield from (unknown(what, reason) for what in _ACCESS)
        else:
            yield from _check_access(source_spec)
    yield _check_budget(budget)
    if engine is not None:
        yield _check_lock(source_spec, engine)


def _check_route(source_spec: SourceSpec) -> Iterator[CheckResult]:
    parts = urlsplit(source_spec.source.base_url)
    host = parts.hostname or ""
    proxy = None if parts.scheme == "http" or proxy_bypass(host) else getproxies().get(parts.scheme)
    if proxy:
        yield ok("dns", f"resolved by the proxy {urlsplit(proxy).hostname}")
    else:
        yield (dns := _check_name(host, parts.port or 443))
        if dns.state == "failed":
            yield unknown("tls", "the host's name is not known")
            return
    yield from _check_host(source_spec, encrypted=parts.scheme == "https")


def _check_name(host: str, port: int) -> CheckResult:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return failed("dns", ApiError(f"the name {host} is not known; check base_url and the network"))
    return ok("dns", f"{host} is {found[0][4][0]}")


def _check_host(source_spec: SourceSpec, *, encrypted: bool) -> Iterator[CheckResult]:
    client = source_spec.client
    try:
        client.ping()
    except EtlError as error:
        yield failed("tls", error)
        return
    yield ok("tls", "the certificate is good" if encrypted else "not used: the server is on this machine")
    if client.skew is None:
        yield unknown("clock", "the server sends no Date")
    elif abs(client.skew) > _WRONG_CLOCK:
        seconds = abs(client.skew).total_seconds()
        behind = "behind" if client.skew > timedelta() else "ahead of"
        detail = f"this machine is {seconds:.0f} s {behind} the server"
        yield warning("clock", detail, "set the clock, for example with chrony or systemd-timesyncd")
    else:
        yield ok("clock", "agrees with the server's")


def _check_access(source_spec: SourceSpec) -> Iterator[CheckResult]:
    """Ask for one task. The answer shows whether token, scope and stream are right."""
    good = {"token": "accepted", "scope": "granted", "stream": f"{source_spec.source.stream_id} answers"}
    try:
        source_spec.client.ask_once(Query(limit=1))
    except EtlError as error:
        for result in _access_results(error):
            yield ok(result.what, good[result.what]) if result.state == "ok" else result
    else:
        yield from (ok(what, detail) for what, detail in good.items())


def _access_results(error: EtlError) -> list[CheckResult]:
    """Return what an error says about token, scope and stream."""
    if isinstance(error, BadTokenError):
        wrong = failed("scope" if error.is_scope_missing else "token", error)
        rest = unknown("stream", "the request was refused before that")
        return (
            [ok("token", ""), wrong, rest] if error.is_scope_missing else [wrong, unknown("scope", rest.detail), rest]
        )
    if isinstance(error, (AuthError, RefusedError)):
        return [ok("token", ""), ok("scope", ""), failed("stream", error)]
    if isinstance(error, UnusableAnswerError) and error.rate_limited:
        return [unknown(what, "the API is refusing requests as too many") for what in _ACCESS]
    return [failed("token", error), *(unknown(what, "no answer could be used") for what in _ACCESS[1:])]


def _no_request(budget: RateLimiter) -> str | None:
    """Return why no request can be sent now."""
    try:
        return "this minute's requests are used up" if budget.wait() else None
    except DatabaseError:
        return "the request budget cannot be used"


def _check_budget(budget: RateLimiter) -> CheckResult:
    try:
        share = budget.share()
    except DatabaseError as error:
        return failed("budget", error)
    detail = f"{round(share * budget.per_minute)} of {budget.per_minute} requests of this minute are used"
    return warning("budget", detail, "a sync would wait for the next minute") if share >= 1 else ok("budget", detail)


def _check_lock(source_spec: SourceSpec, engine: Engine) -> CheckResult:
    lock = named_lock(engine, f"sync {source_spec.identity}")
    try:
        is_free = lock.acquire(wait=False)
        lock.release()
    except DatabaseError as error:
        return failed("lock", error)
    if is_free:
        return ok("lock", "free: no sync is running")
    with reading(engine) as connection:
        rows = status.source_rows(connection, source_spec.source.name)
        run = status.latest_run(connection, rows[0]["id"], state="running") if rows else None
    if run is not None:
        since = f"{run['started_at']:%Y-%m-%d %H:%M}"
        return warning(
            "lock", f"run {run['id']}, a {run['command']}, has been running since {since}", "wait until it ends"
        )
    return failed("lock", LockedError("held, but by no recorded run; if it stays held, look for the process"))
