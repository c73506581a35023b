"""kore-etl: Kore.ai case-management tasks in a SQL database, exactly."""

from __future__ import annotations

__version__ = "0.2.0.dev0"
