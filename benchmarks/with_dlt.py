"""The same work by dlt's rest_api source, as its documentation sets it up: run by the environment that dlt is in.

``python with_dlt.py PORT FOLDER SQLALCHEMY_URL`` syncs what changed since the last time that the folder remembers.
"""

from __future__ import annotations

import os
import sys


def main(port: str, folder: str, url: str) -> None:
    """Sync all tasks that are new or changed."""
    os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR")
    if not url.startswith("postgresql"):
        os.environ["LOAD__WORKERS"] = "1"  # several find the database locked from some 100,000 tasks on, and give up
    import dlt
    from dlt.sources.rest_api import rest_api_source

    by_offset = {
        "type": "offset", "limit": 50, "total_path": "totalResults",
        "offset_body_path": "skip", "limit_body_path": "limit",
    }  # fmt: skip
    endpoint = {
        "path": "getTasks",
        "method": "POST",
        "json": {"sortBy": {"updatedAt": "asc"}, "startDate": "{incremental.start_value}"},
        "data_selector": "results",
        "incremental": {"cursor_path": "updatedAt", "initial_value": "1970-01-02T00:00:00.000Z"},
    }
    tasks = {"name": "tasks", "primary_key": "_id", "write_disposition": "merge", "endpoint": endpoint}
    base_url = f"http://127.0.0.1:{port}/caseManagement/api/public/analytics/dlt/"
    source = rest_api_source({"client": {"base_url": base_url, "paginator": by_offset}, "resources": [tasks]})
    kind = dlt.destinations.postgres if url.startswith("postgresql") else dlt.destinations.sqlalchemy
    pipeline = dlt.pipeline("bench", pipelines_dir=folder, destination=kind(url), dataset_name="bench")
    pipeline.run(source).raise_on_failed_jobs()


if __name__ == "__main__":
    main(*sys.argv[1:])
