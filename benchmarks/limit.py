"""The limit: fetch a page, parse it, upsert it with one raw statement; nothing checked, nothing kept beside the tasks.

``python -m benchmarks.limit PORT FILE``. No sync that stores these records by this interpreter can be quicker.
"""

from __future__ import annotations

import http.client
import sqlite3
import sys
from typing import Any

import orjson

PATH = "/caseManagement/api/public/analytics/limit/getTasks"
ROWS = 50
COLUMNS = ("_id", "case_id", "name", "status", "priority", "created_at", "updated_at", "raw")
MARKS = ", ".join("?" * len(COLUMNS))
WRITTEN = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
UPSERT = (
    f"insert into tasks ({', '.join(COLUMNS)}) values ({MARKS}) on conflict (_id) "
    f"do update set {WRITTEN} where excluded.updated_at >= tasks.updated_at"
)


def main(port: int, file: str) -> None:
    """Read all tasks by keyset and store them."""
    database = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        database.execute(f"pragma {pragma}")
    database.execute(
        f"create table if not exists tasks ({', '.join(COLUMNS).replace('_id', '_id text primary key', 1)})"
    )
    line = http.client.HTTPConnection("127.0.0.1", port)
    start, skip = None, 0
    while True:
        asked: dict[str, Any] = {"limit": ROWS, "skip": skip, "sortBy": {"updatedAt": "asc"}}
        if start:
            asked["startDate"] = start
        line.request("POST", PATH, orjson.dumps(asked), {"Content-Type": "application/json"})
        page = orjson.loads(line.getresponse().read())
        records = page["results"]
        database.execute("begin immediate")
        database.executemany(UPSERT, map(_row, records))
        database.execute("commit")
        if not page["hasMore"]:
            return
        last = records[-1]["updatedAt"]
        start, skip = last, skip + ROWS if start == last else 0  # more tasks than a page may share an instant


def _row(record: dict[str, Any]) -> tuple[Any, ...]:
    status, priority = record["status"], record["priority"]
    return (
        record["_id"], record["caseId"], record["name"], status["name"], priority["name"],
        record["createdAt"], record["updatedAt"], orjson.dumps(record).decode(),
    )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
