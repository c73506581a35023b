"""Names and pages use the words of docs/glossary.md, not the private ones that they replaced."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PRIVATE = {
    *("stranger", "strangers", "suspect", "suspects", "doubt", "doubts", "doubting", "course", "courses", "taken"),
    *("stretch", "stretches", "turns", "telling", "places", "witness", "witnesses", "scene", "scenes"),
}
# Files that still have some of them. The list only gets shorter.
LEFT = {"docs/how-to/troubleshoot.md"}


def parts(name: str) -> set[str]:
    """The words of an identifier."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def identifiers(source: str) -> Iterator[str]:
    """Every name that a module defines or uses."""
    for node in ast.walk(ast.parse(source)):
        for field in ("name", "id", "attr", "arg", "module"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name


def text_of(path: str) -> str:
    return (CHECKOUT / path).read_text(encoding="utf-8")


def files(folder: str, ending: str) -> list[str]:
    return sorted(str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / folder).rglob(f"*{ending}"))


def offenders() -> dict[str, set[str]]:
    modules = [*files("etl", ".py"), *files("tests", ".py")]
    found = {path: parts(path) for path in modules}
    for path, words in found.items():
        words.update(word for name in identifiers(text_of(path)) for word in parts(name))
    pages = ["README.md", "CONTRIBUTING.md", *files("docs", ".md")]
    found |= {path: {word.lower() for word in re.findall(r"[A-Za-z]+", text_of(path))} for path in pages}
    return {path: words & PRIVATE for path, words in found.items() if words & PRIVATE}


def test_no_private_word_is_a_name_or_in_a_page() -> None:
    assert {path: words for path, words in offenders().items() if path not in LEFT} == {}


def test_every_exception_is_still_needed() -> None:
    assert LEFT - offenders().keys() == set()


def test_a_page_that_names_first_response_says_it_is_no_reply() -> None:
    pages = [
        "README.md",
        "CHANGELOG.md",
        *files("docs", ".md"),
        "etl/report/page.html",
        "etl/load/schema/view_columns.py",
    ]
    named = [page for page in pages if re.search(r"first[_ ]response", text_of(page), re.IGNORECASE)]
    assert len(named) > 5
    assert [page for page in named if not re.search(r"no(t a)? reply", text_of(page))] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("_is_taken", {"is", "taken"}),
        ("Places", {"places"}),
        ("HTTPScene", {"http", "scene"}),
        ("replaces", {"replaces"}),
    ],
)
def test_a_name_is_read_word_by_word(name: str, words: set[str]) -> None:
    assert parts(name) == words
