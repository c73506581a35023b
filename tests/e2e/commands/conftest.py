"""What the tests of workers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from etl.sandbox import Sandbox
from tests.e2e.commands.company import Company
from tests.processes import Preloaded


@pytest.fixture
def company(migrated_postgres_url: str, tmp_path: Path, preloaded: Preloaded) -> Iterator[Company]:
    with closing(Company(migrated_postgres_url, tmp_path, preloaded)) as company:
        yield company


@pytest.fixture
def serve(sandbox: Callable[..., Sandbox]) -> Callable[..., Sandbox]:
    """Start a server of an account and a stream by their numbers."""

    def start(account: int, stream: int, **options: Any) -> Sandbox:
        ids = {"account_id": f"a-{account}", "stream_id": f"st-{account}-{stream}"}
        return sandbox(**{"tasks": 20, "seed": 10 * account + stream, **ids, **options})

    return start
