"""Searches names by words, without an index: explore never writes to the database."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


def holds_words(text: str | None, words: str | None) -> bool:
    """Tell whether a text contains all the words or parts of words; case and accents do not matter."""
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
