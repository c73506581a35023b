"""Ids for what the API names without an id: the same for the same name in the same stream, for ever."""

from __future__ import annotations

import uuid
from functools import lru_cache

# Made once for this project. To change it would give everything without an id of its own a new one.
_NAMESPACE = uuid.UUID("b7c2f0d4-5d0e-4a57-9a53-0c8f1f6d2e91")
# Longer names are not kept in memory: a few hundred of them could be a few hundred megabytes.
_REMEMBERED = 256


def stable_id(stream_id: str, prefix: str, kind: str, name: str | None) -> str | None:
    """The prefix and a UUID made of stream, kind and name; None where the name is missing or blank."""
    if name is None or not name.strip():
        return None
    make = _remembered if len(name) <= _REMEMBERED else _made
    return make(stream_id, prefix, kind, name)


def _made(stream_id: str, prefix: str, kind: str, name: str) -> str:
    return f"{prefix}{uuid.uuid5(_NAMESPACE, f'{stream_id}|{kind}|{name}')}"


_remembered = lru_cache(maxsize=2048)(_made)
