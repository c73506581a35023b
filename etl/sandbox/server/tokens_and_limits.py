"""Who is let in: requests with a good token, up to the account's rate limit."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from email.utils import formatdate
from math import ceil
from typing import Any

import jwt

from etl.sandbox.options import Options
from etl.sandbox.server.requests_and_replies import Refusal

CLOCK_TOLERANCE = 60
LONGEST_WITH_JTI = 3600
#: The claims are compared with the server's clock here, which may be another than the machine's.
_CHECKS: jwt.types.Options = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
    "verify_sub": False,
}


class TokenChecker:
    """Checks tokens, and remembers the ids of those that work only once."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def check(self, token: str | None, options: Options, now: float) -> Mapping[str, Any]:
        """The token's claims; raises Refusal (401) for one that is not accepted at ``now``, in seconds."""
        claims = _decode(token, options)
        _check_dates(claims, options, now)
        if claims.get("appId") != options.client_id:
            raise Refusal(401, "invalid appId", 4002)
        if options.jti_required:
            self._check_replay(claims, now)
        if options.scope == "missing":
            raise Refusal(401, "the app lacks the scope Case Management Configuration", 4002)
        return claims

    def _check_replay(self, claims: Mapping[str, Any], now: float) -> None:
        jti, expiry = claims.get("jti"), claims.get("exp")
        if not isinstance(jti, str) or not jti or expiry is None or expiry > now + LONGEST_WITH_JTI + CLOCK_TOLERANCE:
            raise Refusal(401, "error verifying the jwt: jti and an exp within an hour are required", 4002)
        if jti in self._used:
            raise Refusal(401, "error verifying the jwt: possibly a replay", 401)
        self._used.add(jti)


def _decode(token: str | None, options: Options) -> dict[str, Any]:
    key = options.public_key if options.algorithm.startswith("RS") else options.client_secret
    try:
        claims: dict[str, Any] = jwt.decode(token or "", key, algorithms=[options.algorithm], options=_CHECKS)
    except jwt.InvalidTokenError as error:
        raise Refusal(401, f"error verifying the jwt: {error}", 4002) from error
    return claims


def _check_dates(claims: Mapping[str, Any], options: Options, now: float) -> None:
    issued, expiry = claims.get("iat"), claims.get("exp")
    for moment in (issued, expiry):
        if moment is not None and (isinstance(moment, bool) or not isinstance(moment, int | float)):
            raise Refusal(401, "error verifying the jwt: iat and exp are numbers", 4002)
    if issued is not None and issued > now + CLOCK_TOLERANCE:
        raise Refusal(401, "error verifying the jwt: iat is in the future", 4002)
    if expiry is not None and expiry <= now:
        raise Refusal(401, "error verifying the jwt: jwt expired", 4002)
    if options.token_lifetime and issued is not None and now >= issued + options.token_lifetime:
        raise Refusal(401, "error verifying the jwt: jwt expired", 4002)


MESSAGE = "You've exceeded the {} rate limit. Please wait for sometime before retrying."


class RateLimiter:
    """Sliding-window rate limiter: remembers when requests were accepted; refused ones do not count."""

    def __init__(self) -> None:
        self._accepted: dict[str, deque[float]] = {"hourly": deque(), "per-minute": deque(), "per-second": deque()}

    def acquire(self, options: Options, monotonic: float, now: float) -> None:
        """Count a request; raises Refusal where a limit is reached."""
        spans = (
            ("hourly", options.requests_per_hour, options.hour_seconds),
            ("per-minute", options.requests_per_minute, options.minute_seconds),
            ("per-second", options.requests_per_second, 1.0),
        )
        for name, most, span in spans:
            moments = self._accepted[name]
            while moments and moments[0] <= monotonic - span:
                moments.popleft()
            if most and len(moments) >= most:
                raise exceeded(options, moments[-most] + span - monotonic, now, name)
        for name, most, _ in spans:
            if most:
                self._accepted[name].append(monotonic)


def exceeded(options: Options, wait: float, now: float, limit: str = "per-minute") -> Refusal:
    """The refusal of a request past the limit; it may carry Retry-After."""
    retry_after = {"seconds": str(ceil(wait)), "date": formatdate(ceil(now + wait), usegmt=True)}.get(
        options.retry_after
    )
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Refusal(options.rate_limit_status, MESSAGE.format(limit), 429, headers)
