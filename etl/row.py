"""A row of a table: the name of a column to its value."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
