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
from uuid import uuid4

import orjson

from etl.errors import ConfigError
from etl.settings import SourceSettings

_RENEW_BEFORE = timedelta(seconds=30)
_DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


class Token:
    """Holds the current token of a source's app and makes the next one before it expires.

    Times come from ``clock``, plus ``ahead`` if the server's clock differs.
    """

    def __init__(self, source: SourceSettings, clock: Callable[[], datetime]) -> None:
        self.ahead = timedelta()
        self._source = source
        self._clock = clock
        self._text = ""
        self._good_until: datetime | None = None

    def text(self) -> str:
        """Return a valid token for the next request."""
        now = self._clock() + self.ahead
        if self._source.jti or self._good_until is None or now >= self._good_until:
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
        source = self._source
        issued = int(now.timestamp())
        claims: dict[str, object] = {
            "appId": source.client_id,
            "sub": source.subject,
            "iat": issued,
            "exp": issued + int(source.token_lifetime.total_seconds()),
        }
        if source.jti:
            claims["jti"] = str(uuid4())
        digest = _DIGESTS.get(source.algorithm)
        self._text = _signed_by_key(claims, source) if digest is None else _signed_by_secret(claims, source, digest)
        self._good_until = max(now, now + source.token_lifetime - _RENEW_BEFORE)


def _signed_by_secret(claims: dict[str, object], source: SourceSettings, digest: str) -> str:
    """Return the compact form of RFC 7515, without PyJWT: it imports cryptography, which no secret needs."""
    header = {"alg": source.algorithm, "typ": "JWT"}
    content = b".".join(_base64url(orjson.dumps(part)) for part in (header, claims))
    return b".".join((content, _base64url(hmac.digest(source.client_secret.encode(), content, digest)))).decode()


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _signed_by_key(claims: dict[str, object], source: SourceSettings) -> str:
    import jwt

    # The user chose the key, so a warning about a short one does not help.
    warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
    try:
        return jwt.encode(claims, source.client_secret, algorithm=source.algorithm)
    except (jwt.PyJWTError, AttributeError, ValueError, TypeError, NotImplementedError) as error:
        kind = type(error).__name__
        message = f"client_secret: cannot sign with {source.algorithm} ({kind}); RS, ES and PS take a PEM key"
        raise ConfigError(message) from None
