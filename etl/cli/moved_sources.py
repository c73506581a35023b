"""Asks whether a source with a new host in the settings is still the same server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.settings import SourceSettings


def settle_move(engine: Engine, source: SourceSettings, *, moved: bool = False, ask: bool = True) -> str | None:
    """Give a source its new host if ``moved``, or if the user confirms it on the terminal.

    Return the old base_url if nobody confirmed, None if there is no open question.
    """
    from etl.load.database.engine import reading
    from etl.load.ledger import sources

    identity = {"base_url": source.base_url, "account_id": source.account_id, "stream_id": source.stream_id}
    with reading(engine) as connection:
        before = sources.moved_from(connection, name=source.name, **identity)
    if before is None:
        return None
    question = f"Source {source.name} was read from {before} before. Is {source.base_url} the same server, moved?"
    if moved or (ask and sys.stdin.isatty() and click.confirm(question, err=True)):
        with engine.begin() as connection:
            sources.move(connection, name=source.name, **identity)
        return None
    return before
