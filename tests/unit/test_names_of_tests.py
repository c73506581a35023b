"""Every test has a name that fits on a line of a report."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
LONGEST = 59  # characters


def test_test_names_are_under_sixty_characters() -> None:
    files = sorted(TESTS.rglob("test_*.py"))
    nodes = ((file, node) for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    tests = [
        (file, node.name) for file, node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert len(tests) > len(files)
    assert [f"{file.name}: {name}" for file, name in tests if len(name) > LONGEST] == []
