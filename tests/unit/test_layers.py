"""The layers hold: each part of etl imports only what stands below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FOUNDATION = {"settings", "errors", "logs", "times"}
ALLOWED = {
    "cli": {"jobs", "extract", "transform", "load", "report", "explore", "sandbox", "scheduling"} | FOUNDATION,
    "jobs": {"extract", "transform", "load"} | FOUNDATION,
    "extract": FOUNDATION,
    "transform": FOUNDATION,
    "load": FOUNDATION,
    "report": {"load"} | FOUNDATION,
    "explore": {"load"} | FOUNDATION,
    "sandbox": {"times"},
    "scheduling": FOUNDATION,
    "settings": {"errors", "times"},
    "logs": set(),
    "times": set(),
    "errors": set(),
    "__main__": {"cli"},
    "__init__": set(),
}
DOES_INPUT_OR_OUTPUT = {
    *("alembic", "click", "dotenv", "http", "io", "logging", "multiprocessing", "os", "pathlib", "psycopg", "requests"),
    *("rich", "shutil", "socket", "sqlalchemy", "sqlite3", "ssl", "structlog", "subprocess", "sys", "tempfile"),
    *("threading", "time", "urllib"),
}


def imports(source: str, package: str) -> Iterator[str]:
    """Every module that a text imports, wherever in it, by its full name; `package` is what "." stands for."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            yield from (f"{module}.{name.name}" for name in node.names)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, *filter(None, [node.module])])


def part(name: str) -> str | None:
    """Which part of etl a module belongs to: "load" for etl.load.store, None for what is not of etl."""
    top, _, rest = name.partition(".")
    return (rest.split(".")[0] or "__init__") if top == "etl" else None


def modules(folder: str) -> list[Path]:
    found = sorted((CHECKOUT / folder).rglob("*.py"))
    assert found, f"no module in {folder}"
    return found


def imported(path: Path) -> set[str]:
    package = ".".join(path.relative_to(CHECKOUT).parent.parts)
    return set(imports(path.read_text(encoding="utf-8"), package))


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize("path", modules("etl"), ids=name_of)
def test_a_module_imports_only_from_the_layers_below(path: Path) -> None:
    here = path.relative_to(CHECKOUT / "etl").parts[0].removesuffix(".py")
    used = {part(name) for name in imported(path)} - {None, here}
    if "__version__" in {name.rpartition(".")[2] for name in imported(path)}:
        used.discard("__version__")
    assert used <= ALLOWED[here]


@pytest.mark.parametrize("path", modules("etl/transform"), ids=name_of)
def test_transform_imports_nothing_that_reads_or_writes(path: Path) -> None:
    assert {name.partition(".")[0] for name in imported(path)}.isdisjoint(DOES_INPUT_OR_OUTPUT)


@pytest.mark.parametrize("path", modules("migrations/versions"), ids=name_of)
def test_a_migration_imports_nothing_of_etl(path: Path) -> None:
    assert {name for name in imported(path) if part(name)} == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("import etl.load.store", {"etl.load.store"}, id="import"),
        pytest.param("from etl.load import store", {"etl.load.store"}, id="from"),
        pytest.param("from ..load import store", {"etl.load.store"}, id="relative"),
        pytest.param("from . import budget", {"etl.extract.budget"}, id="the package itself"),
        pytest.param("from etl import load", {"etl.load"}, id="from the top"),
        pytest.param("def f():\n    import etl.load", {"etl.load"}, id="inside a function"),
    ],
)
def test_every_way_to_import_is_seen(source: str, expected: set[str]) -> None:
    assert set(imports(source, "etl.extract")) == expected
