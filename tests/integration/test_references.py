"""The pages that are made from the program say what the program says now."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

GENERATORS = sorted((CHECKOUT / "docs/generate").glob("*.py"))


@pytest.mark.parametrize("generator", GENERATORS, ids=[path.stem for path in GENERATORS])
def test_a_page_that_is_made_is_up_to_date(generator: Path) -> None:
    for page, text in runpy.run_path(str(generator))["pages"]().items():
        message = f"{page.relative_to(CHECKOUT)} is out of date; run: make references"
        assert page.read_text("utf-8") == text, message


def test_there_are_pages_that_are_made() -> None:
    assert "schema" in [path.stem for path in GENERATORS]
