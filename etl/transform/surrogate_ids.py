"""Makes ids for objects without one: the same name in the same stream always has the same id."""

from __future__ import annotations

import uuid
from functools import lru_cache

# Made once for this project. A change would give a new id to everything without one.
_NAMESPACE = uuid.UUID("b7c2f0d4-5d0e-4a57-9a53-0c8f1f6d2e91")
# Longer names are not cached: a few hundred of them could take a few hundred megabytes.
_REMEMBERED = 256


def stable_id(stream_id: str, prefix: str, kind: str, name: str | None) -> str | None:
    """Return the prefix and a UUID made of stream, kind and name; None if the name is missing or blank."""
    if name is None or not name.strip():
        return None
    make = _remembered if len(name) <= _REMEMBERED else _made
    return make(stream_id, prefix, kind, name)


def _made(stream_id: str, prefix: str, kind: str, name: str) -> str:
    return f"{prefix}{uuid.uuid5(_NAMESPACE, f'{stream_id}|{kind}|{name}')}"


_remembered = lru_cache(maxsize=2048)(_made)
