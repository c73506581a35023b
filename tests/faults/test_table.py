"""The page of what was tried: written from a whole run alone, a line for each fault."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults import table

SCRIPT = Path(table.__file__)


def line(group: str = "api", **given: Any) -> dict[str, Any]:
    common = {"fault": "an outage", "of": "", "place": "SQLite", "trials": 1, "lost": 0, "ends": [], "told": ""}
    return {"group": group, **common, **given}


def written_from(folder: Path, lines: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    (folder / "ledger").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    command = [sys.executable, str(SCRIPT), "ledger", "page.md"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, encoding="utf-8")


def test_a_page_is_written_from_a_whole_run(tmp_path: Path) -> None:
    assert written_from(tmp_path, [line(group, trials=2) for group in table.GROUPS]).returncode == 0
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert f"**{2 * (len(table.GROUPS) - 1)} trials, 0 tasks lost**" in page


def test_a_part_of_a_run_leaves_the_page_as_it_was(tmp_path: Path) -> None:
    done = written_from(tmp_path, [line("api")])
    assert done.returncode == 1
    assert "nothing was tried of" in done.stderr
    assert not (tmp_path / "page.md").exists()


def test_faults_that_differ_in_a_number_are_one_line() -> None:
    lines = [line(of="40 %", ends=[5]), line(of="5 %", ends=[0], trials=3), line(place="PostgreSQL", lost=2)]
    assert table.table(lines).splitlines() == [
        "| fault | SQLite | PostgreSQL | lost | exits |",
        "| --- | ---: | ---: | ---: | --- |",
        "| an outage: 5 %, 40 % | 4 | 1 | 2 | 0, 5 |",
    ]


@pytest.mark.parametrize(
    ("kinds", "named"),
    [
        ({"2", "10", "5"}, "2, 5, 10"),
        ({"0 %", "0.1 %", "10 %", "50 %", "99.99 %"}, "0 % to 99.99 %"),
        ({"a", "b", "c", "d", "e"}, "a, b, c, d, e"),
    ],
)
def test_many_numbers_are_named_by_the_first_and_the_last(kinds: set[str], named: str) -> None:
    assert table.named(kinds) == named
