"""The token of a request: a JWT that the app's Client Secret signs.

Kore.ai documents the claims for its JWT apps: ``appId`` (the Client ID), ``sub``, ``iat`` and ``exp``. An app that
enforces ``jti`` accepts a token only once.
"""

from __future__ import annotations

import hmac
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
from msgspec import Struct

from etl.errors import ConfigError

_RENEW_BEFORE = timedelta(seconds=30)
_DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


class JwtApp(Struct, frozen=True, kw_only=True):
    """The JWT app's id and secret (a PEM key for RS and ES algorithms), and the form of its tokens."""

    client_id: str
    secret: str
    algorithm: str = "HS256"
    subject: str = ""
    jti: bool = False
    lifetime: timedelta = timedelta(minutes=5)

    def __repr__(self) -> str:
        return f"JwtApp(client_id={self.client_id!r}, algorithm={self.algorithm!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # a Struct's own one shows the secret
        return [("client_id", self.client_id), ("algorithm", self.algorithm)]


class Token:
    """Holds the current token and makes the next one before it expires.

    Times come from ``clock``, plus ``ahead`` if the server's clock differs.
    """

    def __init__(self, app: JwtApp, clock: Callable[[], datetime]) -> None:
        self.ahead = timedelta()
        self._app = app
        self._clock = clock
        self._text = ""
        self._good_until: datetime | None = None

    def text(self) -> str:
        """Return a valid token for the next request."""
        now = self._clock() + self.ahead
        if self._app.jti or self._good_until is None or now >= self._good_until:
            self._mint(now)
        return self._text

    def discard(self) -> None:
        """Forget the current token: the next one is fresh."""
        self._good_until = None

    def set_ahead(self, ahead: timedelta) -> None:
        """Use a clock that is ``ahead`` of this machine's; the next token is fresh."""
        self.ahead = ahead
        self.discard()

    def _mint(self, now: datetime) -> None:
        app = self._app
        issued = int(now.timestamp())
        claims: dict[str, object] = {
            "appId": app.client_id,
            "sub": app.subject or app.client_id,
            "iat": issued,
            "exp": issued + int(app.lifetime.total_seconds()),
        }
        if app.jti:
            claims["jti"] = str(uuid4())
        digest = _DIGESTS.get(app.algorithm)
        self._text = _signed_by_key(claims, app) if digest is None else _signed_by_secret(claims, app, digest)
        self._good_until = max(now, now + app.lifetime - _RENEW_BEFORE)


def _signed_by_secret(claims: dict[str, object], app: JwtApp, digest: str) -> str:
    """Return the compact form of RFC 7515, without PyJWT: it imports cryptography, which no secret needs."""
    header = {"alg": app.algorithm, "typ": "JWT"}
    content = b".".join(_base64url(orjson.dumps(part)) for part in (header, claims))
    return b".".join((content, _base64url(hmac.digest(app.secret.encode(), content, digest)))).decode()


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _signed_by_key(claims: dict[str, object], app: JwtApp) -> str:
    import jwt

    # The user chose the key, so a warning about a short one does not help.
    warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
    try:
        return jwt.encode(claims, app.secret, algorithm=app.algorithm)
    except (jwt.PyJWTError, AttributeError, ValueError, TypeError, NotImplementedError) as error:
        kind = type(error).__name__
        message = f"client_secret: cannot sign with {app.algorithm} ({kind}); RS, ES and PS take a PEM key"
        raise ConfigError(message) from None
