"""The ten questions of docs/how-to/ten-questions.md: each is a file of SQL whose first line is the question."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the statement that answers it on SQLite."""

    name: str
    title: str
    sql: str


def questions() -> list[Question]:
    """Return the questions in their order."""
    folder = files(__package__).joinpath("questions")
    found = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name)
    return [_read(each.name.removesuffix(".sql"), each.read_text(encoding="utf-8")) for each in found]


def _read(name: str, text: str) -> Question:
    title, _, sql = text.partition("\n")
    return Question(name, title.removeprefix("-- "), sql.strip())
