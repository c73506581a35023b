"""The layers hold: each part of etl imports only what stands below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FOUNDATION = {
    "api_record",
    "settings",
    "atomic_file",
    "errors",
    "exact_json",
    "logs",
    "optional_packages",
    "stop_request",
    "times",
}
#: What each part of etl may import besides itself. A dotted name is a package inside of a part: its rule is about its
#: neighbours there. Where one package has such a rule, each of its neighbours has one.
ALLOWED = {
    "cli": {"jobs", "extract", "transform", "load", "report", "explore", "sandbox", "scheduling", "workers"}
    | FOUNDATION,
    "jobs": {"extract", "transform", "load"} | FOUNDATION,
    "extract": FOUNDATION,
    "transform": FOUNDATION,
    "load": FOUNDATION,
    "extract.capabilities": {"extract.http"},
    "extract.http": set(),
    "extract.paging": {"extract.capabilities", "extract.http"},
    "extract.probe": {"extract.capabilities", "extract.http", "extract.paging"},
    "load.database": set(),
    "load.schema": {"load.database"},
    "load.ledger": {"load.database", "load.schema", "load.queries"},
    "load.queries": {"load.database", "load.schema", "load.upsert"},
    "load.upsert": {"load.database", "load.schema", "load.ledger"},
    "report": {"load"} | FOUNDATION,
    "explore": {"load"} | FOUNDATION,
    "sandbox": {"times"},
    "scheduling": FOUNDATION,
    "workers": FOUNDATION,
    "sandbox.server": {"sandbox.data", "sandbox.options"},
    "sandbox.data": {"sandbox.options"},
    "settings": {"errors", "logs", "times"},
    "logs": set(),
    "atomic_file": {"errors"},
    "exact_json": set(),
    "api_record": {"exact_json"},
    "stop_request": set(),
    "times": set(),
    "optional_packages": set(),
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


def within_etl(path: Path) -> str:
    """The name of a module as the rules write it: "load.schema.task_tables"."""
    parts = path.relative_to(CHECKOUT / "etl").with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def parent(name: str) -> str:
    return name.rpartition(".")[0]


def is_in(name: str, package: str) -> bool:
    """Whether a name is the package or in it; the empty one is etl itself."""
    return not package or name == package or name.startswith(f"{package}.")


def modules(folder: str) -> list[Path]:
    found = sorted((CHECKOUT / folder).rglob("*.py"))
    assert found, f"no module in {folder}"
    return found


def imported(path: Path) -> set[str]:
    package = ".".join(path.relative_to(CHECKOUT).parent.parts)
    return set(imports(path.read_text(encoding="utf-8"), package))


def imported_for_types(path: Path) -> set[str]:
    """What a module imports only for its type checker."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {name for node in checks for name in imports(ast.unparse(node.body), "")}


def of_etl(names: set[str]) -> set[str]:
    """Those names that are of etl, as the rules write them."""
    return {name.removeprefix("etl").removeprefix(".") or "__init__" for name in names if is_in(name, "etl")}


def breaches(name: str, used: set[str], rules: Mapping[str, set[str]]) -> set[str]:
    """What a module must not import, by the rule of each package that it is in."""
    return {
        each
        for package, allowed in rules.items()
        if is_in(name, package)
        for each in used
        if is_in(each, parent(package)) and not any(is_in(each, other) for other in (package, *allowed))
    }


def test_modules_import_only_from_the_layers_below() -> None:
    found = {}
    for path in modules("etl"):
        used = of_etl(imported(path)) - {"__version__"}
        if wrong := breaches(within_etl(path), used, ALLOWED):
            found[within_etl(path)] = wrong
    assert found == {}


def test_every_part_of_etl_has_a_rule() -> None:
    paths = modules("etl")
    named = {within_etl(path) for path in paths if path.parent.name == "etl" or path.name == "__init__.py"}
    ruled = {parent(name) for name in ALLOWED}
    assert {name for name in named if parent(name) in ruled} - set(ALLOWED) == set()


def test_every_rule_names_what_exists() -> None:
    named = set(ALLOWED) | {name for allowed in ALLOWED.values() for name in allowed}
    paths = {name: CHECKOUT / "etl" / name.replace(".", "/") for name in named}
    assert {
        name for name, path in paths.items() if not path.is_dir() and not path.with_suffix(".py").is_file()
    } == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    paths = {within_etl(path): path for path in modules("etl")}
    graph = {}
    for name, path in paths.items():
        used = of_etl(imported(path) - imported_for_types(path)) - {"__version__"}
        graph[name] = {module_of(each, paths) for each in used} - {name}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def module_of(name: str, paths: Mapping[str, Path]) -> str:
    """The module that defines an imported name."""
    while name not in paths:
        name = parent(name)
    return name


def test_transform_imports_nothing_that_reads_or_writes() -> None:
    found = {}
    for path in modules("etl/transform"):
        if wrong := {name.partition(".")[0] for name in imported(path)} & DOES_INPUT_OR_OUTPUT:
            found[within_etl(path)] = wrong
    assert found == {}


def test_migrations_import_nothing_of_etl() -> None:
    assert {path.name: used for path in modules("migrations/versions") if (used := of_etl(imported(path)))} == {}


@pytest.mark.parametrize(
    ("name", "used", "wrong"),
    [
        pytest.param("load.schema.task_tables", {"errors", "load.database.types"}, set(), id="what the rules allow"),
        pytest.param("load.schema.task_tables", {"jobs.sync"}, {"jobs.sync"}, id="a part above"),
        pytest.param("load.schema.task_tables", {"load.upsert"}, {"load.upsert"}, id="a neighbour above"),
        pytest.param("load.schema.task_tables", {"load"}, {"load"}, id="the part as a whole"),
        pytest.param("load.upsert.tasks", {"load.schema.task_tables", "load.upsert.rows"}, set(), id="itself"),
        pytest.param("jobs.sync", {"load.upsert.tasks"}, set(), id="the inside of a part below"),
        pytest.param("jobs.sync", {"loads.upsert"}, {"loads.upsert"}, id="a name that begins the same"),
    ],
)
def test_a_breach_of_a_rule_is_seen(name: str, used: set[str], wrong: set[str]) -> None:
    rules = {
        "jobs": {"load"}, "load": {"errors"},
        "load.database": set(), "load.schema": {"load.database"}, "load.upsert": {"load.database", "load.schema"},
    }  # fmt: skip
    assert breaches(name, used, rules) == wrong


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
