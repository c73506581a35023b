"""Changes one thing in the core, runs the tests that cover it, and reports which changes no test notices.

python tests/mutate.py --sample 20 --seed 1 --minutes 30

Each change is made in a copy of the tree. It dies if a test fails or runs out of time. Changes that live are listed:
look at each, and add a test unless the change makes no difference.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
TESTS = {
    "extract": ("tests/unit/extract", "tests/integration/extract", "tests/integration/jobs"),
    "jobs": ("tests/unit/jobs", "tests/integration/jobs", "tests/integration/test_account.py"),
    "load": ("tests/integration/load", "tests/integration/jobs"),
    "transform": ("tests/unit/transform", "tests/integration/load/test_store.py"),
}
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.And: ast.Or, ast.Or: ast.And}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one node of a file: its line, what it is, and the file's text with it."""

    path: Path
    line: int
    what: str
    text: str


def main() -> None:
    """Report the share of sampled changes that die."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seconds", type=int, default=900, help="for the tests without a change")
    parser.add_argument("--only", default="", help="a part of the path")
    options = parser.parse_args()
    paths = [path for part in TESTS for path in sorted((CHECKOUT / "etl" / part).rglob("*.py"))]
    every = [(path, number) for path in paths if options.only in str(path) for number in range(count(path))]
    dice = random.Random(options.seed)
    sample = dice.sample(every, min(options.sample, len(every)))
    end, tried, living = time.monotonic() + options.minutes * 60, 0, list[Change]()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
        shutil.copytree(CHECKOUT, copy, ignore=ignored)
        limits = {
            part: 30 + 3 * time_of_tests(copy, part, options.seconds) for part in sorted(set(map(part_of, sample)))
        }
        for path, number in sample:
            if time.monotonic() > end:
                break
            change, tried = changed(path, number), tried + 1
            dies = is_noticed(copy, change, limits[part_of((path, number))])
            living += [] if dies else [change]
            state = "died " if dies else "LIVES"
            print(f"{state} {path.relative_to(CHECKOUT)}:{change.line} {change.what}", flush=True)  # noqa: T201
    share = 100 * (tried - len(living)) / max(1, tried)
    print(f"{tried} of {len(every)} changes tried, {len(living)} live: {share:.0f} % died (seed {options.seed})")  # noqa: T201
    sys.exit(bool(living))


def part_of(place: tuple[Path, int]) -> str:
    """Return the part of the core that a file belongs to."""
    return place[0].relative_to(CHECKOUT).parts[1]


def time_of_tests(copy: Path, part: str, seconds: float) -> float:
    """Return how many seconds the tests of a part take without a change; end if they fail."""
    begin = time.monotonic()
    if not passes(copy, part, seconds):
        sys.exit(f"the tests of etl/{part} fail without a change, or take more than {seconds:.0f} s")
    return time.monotonic() - begin


def is_noticed(copy: Path, change: Change, seconds: float) -> bool:
    """Tell whether a test fails with the change; the file is as it was afterwards."""
    relative = change.path.relative_to(CHECKOUT)
    target = copy / relative
    before = target.read_text(encoding="utf-8")
    target.write_text(change.text, encoding="utf-8")
    try:
        return not passes(copy, relative.parts[1], seconds)
    finally:
        target.write_text(before, encoding="utf-8")


def passes(copy: Path, part: str, seconds: float) -> bool:
    """Tell whether the tests of a part pass in time."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "not postgresql"]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *TESTS[part]], cwd=copy, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def count(path: Path) -> int:
    """Return how many changes of a file there are."""
    return sum(1 for _ in changes(ast.parse(path.read_text(encoding="utf-8"))))


def changed(path: Path, number: int) -> Change:
    """Return one change of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for place, (node, what) in enumerate(changes(tree)):
        if place == number:
            return Change(path, getattr(node, "lineno", 0), what, ast.unparse(tree))
    raise AssertionError(path, number)


def changes(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Yield each change of a tree, which has it while the caller looks at it."""
    for node in ast.walk(tree):
        for name, old, new in alternatives(node):
            setattr(node, name, new)
            yield node, f"{describe(old)} -> {describe(new)}"
            setattr(node, name, old)


def alternatives(node: ast.AST) -> Iterator[tuple[str, object, object]]:
    """Yield an attribute of a node, its value, and another one for it."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
        yield "ops", node.ops, [COMPARISONS[type(node.ops[0])]()]
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OPERATORS:
        yield "op", node.op, OPERATORS[type(node.op)]()
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "value", node.value, not node.value if isinstance(node.value, bool) else node.value + 1
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NAMES:
        yield "id", node.id, NAMES[node.id]
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield "test", node.test, ast.UnaryOp(ast.Not(), node.test)


def describe(value: object) -> str:
    """Return a short name of a node or a value."""
    if isinstance(value, list):
        return " ".join(type(each).__name__ for each in value)
    if isinstance(value, ast.UnaryOp):
        return "not"
    return type(value).__name__ if isinstance(value, ast.AST) else repr(value)


if __name__ == "__main__":
    main()
