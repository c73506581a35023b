"""A getTasks server written from the vendor's page alone; it shares no code with the sandbox or the program.

A misunderstanding of that page that the program and the sandbox share shows here.
Now and then it fails, it refuses more than so many requests a second, and its tokens die within a second.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import threading
import time
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

SECRET = "a secret that only the independent server and its client know"
ACCOUNT, STREAM, CLIENT = "6639f7bd58c97ffac03b0001", "st-084d3c5e-376a-559f-9987-a012bb2b0001", "cs-independent"
LARGEST_PAGE = 30
STATUSES = [("New", "open"), ("In-Progress", "open"), ("Waiting", "pending"), ("Done", "resolved")]
FAILURES = ("500", "502", "503", "close", "half", "errors", "short", "nothing")


def spelled(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class IndependentServer:
    failing = 0.16
    a_second = 8
    token_life = 1.0  # seconds
    delay = 0.0  # seconds that an answer takes

    def __init__(self, count: int, *, filter_on: str, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.lock = threading.RLock()
        self.records: dict[str, dict[str, Any]] = {}
        self.filter_on = filter_on
        self.recent: list[float] = []
        self.tokens: dict[str, float] = {}
        self.request_count = 0
        self.answers: dict[str, int] = {}
        now = time.time()
        for _ in range(count):
            created = now - self.random.uniform(600, 200 * 86_400)
            self._add(created, self.random.uniform(created, now - 500))
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KORE_ETL_BASE_URL": f"http://127.0.0.1:{self.http.server_address[1]}",
            "KORE_ETL_ACCOUNT_ID": ACCOUNT,
            "KORE_ETL_STREAM_ID": STREAM,
            "KORE_ETL_CLIENT_ID": CLIENT,
            "KORE_ETL_CLIENT_SECRET": SECRET,
        }

    def tasks(self) -> list[Any]:
        with self.lock:
            return [json.loads(json.dumps(record)) for record in self.records.values()]

    def change(self, *, update: int = 0, insert: int = 0, delete: int = 0) -> None:
        with self.lock:
            for key in self.random.sample(sorted(self.records), delete):
                del self.records[key]
            for key in self.random.sample(sorted(self.records), update):
                name, category = self.random.choice(STATUSES)
                self.records[key]["status"] = {"name": name, "statusCategory": category}
                self.records[key]["updatedAt"] = spelled(time.time())
            for _ in range(insert):
                self._add(time.time(), time.time())

    def _add(self, created: float, updated: float) -> None:
        key = f"ti-{uuid.UUID(int=self.random.getrandbits(128))}"
        name, category = self.random.choice(STATUSES)
        number = len(self.records)
        self.records[key] = {
            "_id": key,
            "caseId": f"ci-{number % 50}",
            "caseRefId": f"CS{number % 50:06}",
            "name": f"Demo task {number} ✓",
            "priority": {"name": self.random.choice(["Low", "Medium", "High"]), "color": "#16A34A"},
            "status": {"name": name, "statusCategory": category},
            "createdAt": spelled(created),
            "updatedAt": spelled(updated),
        }

    # Answering

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        time.sleep(self.delay)
        with self.lock:
            self.request_count += 1
            status, answer = self._answer(request, body)
            failure = self.random.choice(FAILURES) if status == 200 and self.random.random() < self.failing else ""
            self.answers[failure or str(status)] = self.answers.get(failure or str(status), 0) + 1
        self._send(request, status, json.dumps(answer).encode(), failure)

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any]:
        if request.path != f"/caseManagement/api/public/analytics/{STREAM}/getTasks":
            return 400, error("Invalid StreamId", 400)
        if request.headers.get("AccountId") != ACCOUNT or not self._is_good(request.headers.get("auth", "")):
            return 401, error("error verifying the jwt", 4002)
        now = time.monotonic()
        self.recent = [moment for moment in self.recent if moment > now - 1]
        if len(self.recent) >= self.a_second:
            return 429, error("Too many requests", 429)
        self.recent.append(now)
        return 200, self._page(json.loads(body))

    def _is_good(self, token: str) -> bool:
        try:
            head, claims, signature = token.split(".")
            expected = hmac.new(SECRET.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
            given = json.loads(base64.urlsafe_b64decode(claims + "=="))
        except ValueError:
            return False
        signed = base64.urlsafe_b64encode(expected).rstrip(b"=").decode() == signature
        first_seen = self.tokens.setdefault(token, time.time())
        alive = time.time() - first_seen < self.token_life and given["exp"] > time.time()
        return signed and alive and given["appId"] == CLIENT

    def _page(self, asked: dict[str, Any]) -> dict[str, Any]:
        rows = list(self.records.values())
        for key, keep in (("startDate", lambda value, end: value >= end), ("endDate", lambda value, end: value <= end)):
            if asked.get(key):
                end = milliseconds(asked[key])
                rows = [row for row in rows if keep(milliseconds(row[self.filter_on]), end)]
        for field, direction in (asked.get("sortBy") or {}).items():
            rows.sort(key=lambda row, field=field: row.get(field, ""), reverse=direction == "desc")
        skip = asked.get("skip", 0)
        limit = min(asked.get("limit", 10), LARGEST_PAGE)
        return {
            "results": rows[skip : skip + limit],
            "page": skip // limit + 1,
            "limit": limit,
            "hasMore": skip + limit < len(rows),
            "totalPages": -(-len(rows) // limit),
            "totalResults": len(rows),
        }

    def _send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, failure: str) -> None:
        if failure == "close":
            request.close_connection = True
            return
        length = len(body)
        if failure.isdecimal():
            status, body = int(failure), b"<html>Bad Gateway</html>"
        elif failure == "errors":
            body = json.dumps(error("Something went wrong", 500)).encode()
        elif failure in ("half", "short"):
            body = body[: length // 2]
        elif failure == "nothing":
            body = b""
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(length if failure == "short" else len(body)))
        if status == 429:
            request.send_header("Retry-After", "1")
        request.end_headers()
        request.wfile.write(body)
        request.close_connection = failure == "short"


def error(message: str, code: int) -> dict[str, Any]:
    return {"errors": [{"msg": message, "code": code}]}
