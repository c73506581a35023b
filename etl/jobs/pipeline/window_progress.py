"""The ledger's row of a window as a value: each stored batch gives the next one."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from etl.extract.http.query import Field
from etl.extract.paging.read_strategy import Paging
from etl.load.upsert.batch_and_counts import Batch


class WindowProgress(Struct, frozen=True):
    """The window ``[start, end)`` that a job reads; all before ``checkpoint`` is stored.

    ``end`` is known once the server has answered. ``id`` is None until the ledger has a row.
    """

    job: str
    field: Field
    paging: Paging
    start: datetime
    end: datetime
    checkpoint: datetime
    id: int | None = None
    state: str = "running"
    rows: int = 0
    total: int | None = None
    requests: int = 0
    problem: str = ""

    @classmethod
    def begin(
        cls, job: str, field: Field, paging: Paging, start: datetime, row_id: int | None = None
    ) -> WindowProgress:  # fmt: skip
        """Return the record of a window that has no stored rows yet."""
        return cls(job, field, paging, start, end=start, checkpoint=start, id=row_id)

    @property
    def is_open(self) -> bool:
        """Tell whether the window is still being read."""
        return self.state == "running"

    def extended(self, batch: Batch, *, end: datetime, requests: int) -> WindowProgress:
        """Return the record once a batch is stored; ``requests`` is what the window took so far."""
        after = replace(
            self,
            end=max(self.start, end),
            rows=self.rows + len(batch),
            total=batch.total if self.total is None else self.total,
            requests=requests,
            problem=self.problem if batch.verified else batch.reason,
        )
        if batch.checkpoint is None:
            return after
        after = replace(after, checkpoint=min(batch.checkpoint, after.end))
        return _concluded(after) if after.checkpoint >= after.end else after

    def finished(self, end: datetime, *, requests: int) -> WindowProgress:
        """Return the record of a window that was read to its end."""
        end = max(self.start, end)
        return _concluded(replace(self, end=end, checkpoint=end, requests=requests))

    def cut_short(self) -> WindowProgress:
        """Return the record of a window that ends at its checkpoint: another window goes on from there."""
        return _concluded(replace(self, end=self.checkpoint))

    def failed(self, error: Exception, end: datetime, *, requests: int) -> WindowProgress:
        """Return the record of a window that failed behind its checkpoint."""
        return replace(self, end=max(self.start, end), state="failed", problem=str(error), requests=requests)


def _concluded(record: WindowProgress) -> WindowProgress:
    return replace(record, state="unverified" if record.problem else "verified")
