"""The page on architecture names only files and functions that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "architecture.md"
ANSWERS = 20


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@cache
def defined(path: str) -> set[str]:
    """The functions, classes, methods and constants of a module, methods as ``Class.method``."""
    return set(_names(ast.parse((CHECKOUT / path).read_text(encoding="utf-8")).body))


def _names(nodes: list[ast.stmt], within: str = "") -> list[str]:
    found = []
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(within + node.name)
            found += _names(node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else []
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [within + target.id for target in targets if isinstance(target, ast.Name)]
    return found


def test_every_path_on_the_page_exists() -> None:
    paths = set(re.findall(r"\b(?:etl|tests|migrations|docs)/[\w/.]*\w", page()))
    assert len(paths) > ANSWERS
    assert {path for path in paths if not (CHECKOUT / path).exists()} == set()


def test_every_function_on_the_page_exists() -> None:
    named = re.findall(r"`(etl/[\w/]+\.py)::([\w.]+)`", page())
    assert len(named) > ANSWERS
    assert [f"{path}::{name}" for path, name in named if name not in defined(path)] == []


def test_every_folder_in_the_diagram_exists() -> None:
    folders = {"cli", "jobs", "extract", "load"}
    diagram = page().partition("```text")[2].partition("```")[0]
    inner = set(re.findall(r"(?<![\w/])(\w+)/(?=\s)", diagram))
    assert len(inner) > ANSWERS // 2
    assert {name for name in inner if not any((CHECKOUT / "etl" / each / name).is_dir() for each in folders)} == set()


def test_the_page_answers_twenty_questions() -> None:
    table = page().partition("## Where do I change X?")[2]
    rows = [
        line for line in table.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| To change"))
    ]
    assert len(rows) == ANSWERS
    assert [row for row in rows if not re.search(r"`etl/[\w/]+\.py", row)] == []
