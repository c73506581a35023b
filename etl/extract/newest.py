"""Newest first: from the latest change down to the watermark, for servers whose dates do not filter on updatedAt.

A task that is changed meanwhile moves to the top, which shifts the rest down: that only repeats rows. A task that
vanishes shifts them up. So each page begins on the last row of the page before, the anchor; where no row is known
any more the reading steps back until it meets known rows again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from etl.extract.abilities import Abilities
from etl.extract.page import Page, moment_of, record_id
from etl.extract.query import Query
from etl.extract.reading import Chunk, Fetch, Window, check_order, moments, nothing_follows

_PAGES_REMEMBERED = 8
_MOST_STEPS_BACK = 1000


def read_newest(fetch: Fetch, window: Window, abilities: Abilities) -> Iterator[Chunk]:
    """Yield what was updated since ``window.start``, newest first; only the last chunk covers anything."""
    skip, steps_back = 0, 0
    known: deque[set[tuple[str | None, datetime | None]]] = deque(maxlen=_PAGES_REMEMBERED)
    query = replace(window.filters, sort_by=("updatedAt", "desc"), limit=abilities.limit())
    while True:
        asked = replace(query, skip=skip)
        page = fetch(asked)
        values = moments(page, "updatedAt")
        check_order(values, "updatedAt", descending=True)
        versions = {(record_id(record), moment_of(record, "updatedAt")) for record in page.records}
        if skip and not any(versions & earlier for earlier in known):
            steps_back += 1
            yield Chunk(page.records)
            if steps_back > _MOST_STEPS_BACK:
                yield Chunk([], window.end, settled=False, reason="the rows never stopped moving")
                return
            skip = max(0, skip - max(1, len(page) // 2) * steps_back)
            continue
        steps_back = 0
        known.append(versions)
        if _is_done(fetch, asked, page, values, window, abilities):
            yield Chunk(page.records, window.end, page.total)
            return
        yield Chunk(page.records, None, page.total)
        skip += max(1, len(page) - 1)


def _is_done(
    fetch: Fetch, asked: Query, page: Page, values: list[datetime], window: Window, abilities: Abilities
) -> bool:
    if values and values[-1] < window.start:
        return True
    return nothing_follows(fetch, asked, page, abilities)
