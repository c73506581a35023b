"""A source whose host has changed in the settings: the same server under a new address, or another one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.settings import SourceSettings


def settle_move(engine: Engine, source: SourceSettings, *, moved: bool = False, ask: bool = True) -> str | None:
    """Let a source have its new host if ``moved``, or if a person at the terminal says so.

    Return the base_url that it had where nobody has said so, None where nothing is to be settled.
    """
    from etl.load.database.engine import reading
    from etl.load.ledger import sources

    identity = {"base_url": source.base_url, "account_id": source.account_id, "stream_id": source.stream_id}
    with reading(engine) as connection:
        before = sources.moved_from(connection, name=source.name, **identity)
    if before is None:
        return None
    question = f"Source {source.name} was read from {before} so far. Is {source.base_url} the same server, moved?"
    if moved or (ask and sys.stdin.isatty() and click.confirm(question, err=True)):
        with engine.begin() as connection:
            sources.move(connection, name=source.name, **identity)
        return None
    return before
