"""The two results of a request: a reply, or a refusal that becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

JSON_TYPE = "application/json; charset=utf-8"


class Refusal(Exception):  # noqa: N818 - the API's answer to the request, not a failure of the sandbox
    """The request is answered with a status and ``{"errors": [{"msg": ..., "code": ...}]}``."""

    def __init__(
        self, status: int, message: str, code: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, its body, what its log line tells, and how it is sent."""

    status: int
    body: bytes
    rows: int = 0
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str | None = None


def refuse(refusal: Refusal, key: str) -> Reply:
    """The answer to a refused request; ``key`` is what its text is called."""
    body = orjson.dumps({"errors": [{key: refusal.message, "code": refusal.code}]})
    return Reply(refusal.status, body, headers=refusal.headers)
