"""What Datasette gets beside its own: links from a task's id in views and answers, and a search of names by words."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

from datasette import hookimpl
from datasette.utils import tilde_encode
from markupsafe import Markup

from etl.explore.description import DATABASE
from etl.load.schema.views import VIEWS

_VIEWS = frozenset(view.name for view in VIEWS)


@hookimpl  # type: ignore[untyped-decorator]
def render_cell(value: Any, column: str, table: str | None) -> Markup | None:
    """Return the link, or None for what Datasette shows well itself."""
    if not value or column not in ("_id", "task_id") or (table is not None and table not in _VIEWS):
        return None
    return Markup('<a href="/{}/tasks/{}">{}</a>').format(DATABASE, tilde_encode(str(value)), value)


def holds_words(text: str | None, words: str | None) -> bool:
    """Tell whether a text holds every one of the words, or parts of words, whatever their case and accents.

    An index would have to be written, and the database is only read.
    """
    folded = _folded(text or "")
    return all(word in folded for word in _split(words or ""))


@lru_cache(maxsize=32)
def _split(words: str) -> tuple[str, ...]:
    return tuple(_folded(words).split())


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text).casefold()
    return "".join(each for each in parts if not unicodedata.combining(each))
