"""The changes that can be made to a file of the core, and how one is made to the code that is loaded."""

from __future__ import annotations

import ast
import gc
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import CodeType, FunctionType

CHECKOUT = Path(__file__).resolve().parent.parent
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.And: ast.Or, ast.Or: ast.And}
OURS = ("etl.", "tests.")
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one node of a file: what it is, the node, the file's text, and its tree with the change."""

    path: Path
    what: str
    node: ast.expr
    text: str
    tree: ast.Module

    @property
    def lines(self) -> range:
        changed = self.node.test.operand if isinstance(self.node, ast.If | ast.While) else self.node
        return range(changed.lineno, changed.end_lineno + 1)

    def __str__(self) -> str:
        return f"{self.path}:{self.node.lineno} {self.what}"


def count(path: Path) -> int:
    """Return how many changes of a file there are."""
    return sum(1 for _ in changes(ast.parse((CHECKOUT / path).read_text(encoding="utf-8"))))


def changed(path: Path, number: int) -> Change:
    """Return one change of a file."""
    text = (CHECKOUT / path).read_text(encoding="utf-8")
    node, what = next(islice(changes(tree := ast.parse(text)), number, None))
    return Change(path, what, node, text, ast.fix_missing_locations(tree))


def changes(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Yield each change of a tree, which has it while the caller looks at it.

    The decorators of classes are left alone: ``frozen`` and ``slots`` make no difference to what a run does.
    """
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    decorators = {each for node in classes for decorator in node.decorator_list for each in ast.walk(decorator)}
    for node in ast.walk(tree):
        for name, old, new in () if node in decorators else alternatives(node):
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


def make(change: Change) -> None:
    """Change the loaded code: the functions that differ, or else the statement of the module."""
    path = CHECKOUT / change.path
    pairs = zip(codes(compile(change.text, path, "exec")), codes(compile(change.tree, path, "exec")), strict=True)
    differing = {key: code for (key, before), (_, code) in pairs if code != before}
    statement = next(each for each in change.tree.body if change.node in ast.walk(each))
    if differing and isinstance(statement, ast.FunctionDef | ast.ClassDef):
        for function in [each for each in gc.get_objects() if isinstance(each, FunctionType)]:
            function.__code__ = differing.get(key_of(function.__code__), function.__code__)
    else:
        module = sys.modules[module_of(change.path)]
        before, others = dict(vars(module)), [each for name, each in sys.modules.items() if name.startswith(OURS)]
        future = ast.parse("from __future__ import annotations").body
        exec(compile(ast.Module([*future, statement], []), path, "exec"), vars(module))  # noqa: S102
        for other in others:
            for name, value in vars(module).items():
                if name in before and value is not before[name] and vars(other).get(name) is before[name]:
                    setattr(other, name, value)


def codes(code: CodeType) -> Iterator[tuple[object, CodeType]]:
    """Yield the code of each function in a module's code."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_flags & inspect.CO_OPTIMIZED:
                yield key_of(each), each
            yield from codes(each)


def key_of(code: CodeType) -> object:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def module_of(path: Path) -> str:
    return path.with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
