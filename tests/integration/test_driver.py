"""What is said where the extra for PostgreSQL was not installed."""

from __future__ import annotations

import sys

import pytest

from etl.errors import ConfigError
from etl.load.database.engine import open_engine


def test_a_missing_driver_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as python treats a package that is not there
    with pytest.raises(ConfigError, match=r"psycopg is not installed.*kore-etl\[postgres\]"):
        open_engine("postgresql+psycopg://somebody@localhost/anything")
