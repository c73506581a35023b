"""What README and docs show is run, looked up and compared: a page that went wrong fails here."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from click.testing import CliRunner
from sqlalchemy import create_engine

from etl import __version__
from etl.cli.main import cli
from etl.cli.notify.metrics_file import METRICS, PREFIX, WORKER_METRICS
from etl.errors import ExitCode
from etl.load.schema.task_tables import metadata
from etl.load.schema.view_columns import VIEWS
from etl.settings.definitions import KNOWN_KEYS, Settings, declared, variable
from etl.times import parse_duration

if TYPE_CHECKING:
    from etl.sandbox import Sandbox

Run = Callable[..., subprocess.CompletedProcess[str]]

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"
TEN_QUESTIONS = DOCS / "how-to/ten-questions.md"
TROUBLESHOOTING = DOCS / "how-to/troubleshoot.md"
EXIT_CODES = DOCS / "reference/exit-codes.md"
DATA_MODEL = DOCS / "reference/data-model.md"
EXACTNESS = DOCS / "exactness.md"
INSTALL = DOCS / "install.md"
DOCUMENTS = [*sorted(CHECKOUT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def offenders(wrong: Callable[[Path], set[str]]) -> dict[str, set[str]]:
    """What is wrong in each document."""
    assert README in DOCUMENTS
    return {str(document.relative_to(CHECKOUT)): found for document in DOCUMENTS if (found := wrong(document))}


def fenced(document: Path, language: str) -> list[str]:
    """The blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def inline(document: Path) -> list[str]:
    """What stands between backticks in a line."""
    prose = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)


def first_table(text: str) -> list[list[str]]:
    """The cells of the first table in a text, its header first."""
    found = re.search(r"^(\|.*\|\n)\|[ |-]+\|\n((?:\|.*\|\n?)*)", text, re.MULTILINE)
    assert found, "no table follows"
    lines = (found[1] + found[2]).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


# --- SQL ---


@dataclass(frozen=True, slots=True)
class Question:
    title: str
    dialect: str
    sql: str
    columns: list[str]
    sample: list[list[str]]


def questions(document: Path) -> Iterator[Question]:
    """The blocks of SQL with the first table after each: its header and its rows are what the answer looks like."""
    text = document.read_text("utf-8")
    for block in re.finditer(r"^```sql ?(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        columns, *sample = first_table(text[block.end() :])
        titles = re.findall(r"^(?:\*\*|## )(.*?)(?:\*\*.*)?$", text[: block.start()], re.MULTILINE)
        yield Question(titles[-1], block[1], block[2].strip(), columns, sample)


QUESTIONS = [question for document in DOCUMENTS for question in questions(document)]

_KINDS = {
    "number": r"-?\d+(\.\d+)?",
    "month": r"\d{4}-\d\d",
    "day": r"\d{4}-\d\d-\d\d",
    "moment": r"\d{4}-\d\d-\d\d \d\d:\d\d:.*",
}


def kind(cells: list[str]) -> str:
    """What a column holds, by the cells that are not empty; "nothing" where there are none."""
    told = [cell for cell in cells if cell]
    fitting = (name for name, pattern in _KINDS.items() if all(re.fullmatch(pattern, cell) for cell in told))
    return next(fitting, "text") if told else "nothing"


def shape(columns: list[str], rows: list[list[str]]) -> list[tuple[str, str]]:
    return [(column, kind([row[place] for row in rows])) for place, column in enumerate(columns)]


def synced_twice(server: Sandbox, env: dict[str, str], run_cli: Run) -> None:
    """Fill the database by a first sync and by one after changes, as a person's is."""
    for changes in ({}, {"update": 150, "insert": 10}):
        requests.post(f"{server.url}/_sandbox/change", json=changes, timeout=30).raise_for_status()
        done = run_cli("sync", env=env)
        assert done.returncode == 0, done.stderr


def answer(database_url: str, sql: str) -> tuple[list[str], list[list[str]]]:
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql("set time zone 'UTC'")
            result = connection.exec_driver_sql(sql)
            rows = [["" if value is None else str(value) for value in row] for row in result]
            return list(result.keys()), rows
    finally:
        engine.dispose()


def test_every_question_is_answered_in_the_shape_that_is_shown(
    database_url: str,
    sandbox: Callable[..., Sandbox],
    environment: Callable[[Sandbox, str], dict[str, str]],
    run_cli: Run,
) -> None:
    server = sandbox(tasks=600)
    synced_twice(server, environment(server, database_url), run_cli)
    dialect = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    asked = [question for question in QUESTIONS if question.dialect in ("", dialect)]
    answers = {question.title: shape(*answer(database_url, question.sql)) for question in asked}
    assert answers == {question.title: shape(question.columns, question.sample) for question in asked}


def test_the_ten_questions_are_the_same_on_both_databases() -> None:
    asked = list(questions(TEN_QUESTIONS))
    assert [question.title.split(".")[0] for question in asked] == [str(number) for number in range(1, 11)]
    assert {question.dialect for question in asked} == {""}


# --- commands ---


def shown_commands(document: Path) -> Iterator[list[str]]:
    """Each ``kore-etl ...`` that stands in a block of shell or between backticks, as words."""
    blocks = "".join(block for language in ("sh", "text", "ini") for block in fenced(document, language))
    quoted = [text for text in inline(document) if text.startswith("kore-etl ") and "…" not in text]
    for text in [*blocks.splitlines(), *quoted]:
        if found := re.search(r"(?:^|[\s/])kore-etl((?: +[^\s|&>#;]+)+)", text):
            yield shlex.split(found[1])


COMMANDS = sorted({tuple(words) for document in DOCUMENTS for words in shown_commands(document)})


def test_every_command_that_is_shown_exists_with_its_options() -> None:
    assert [words for words in COMMANDS if CliRunner().invoke(cli, [*words, "--help"]).exit_code != 0] == []


def test_commands_are_found_in_the_readme() -> None:
    assert {("status",), ("check",), ("config", "show"), ("sync", "--output", "json")} <= set(COMMANDS)


def test_every_make_target_that_is_shown_exists() -> None:
    makefile = (CHECKOUT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert offenders(lambda document: shown_targets(document) - targets) == {}


def shown_targets(document: Path) -> set[str]:
    texts = ["".join(fenced(document, "sh")), *inline(document)]
    return {target for text in texts for target in re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)}


# --- installing ---


def test_the_readme_begins_with_clone_and_demo() -> None:
    (first, *_) = fenced(README, "sh")
    assert README.read_text("utf-8").startswith(f"# kore-etl\n\n```sh\n{first}")
    assert [line.split()[:2] for line in first.splitlines()] == [["git", "clone"], ["cd", "kore-etl"], ["make", "demo"]]


def test_the_install_page_has_every_extra_that_a_user_wants() -> None:
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    shown = [name.strip("`") for name, _ in first_table(INSTALL.read_text("utf-8"))[1:]]
    assert sorted(shown) == sorted(extras.keys() - {"dev", "docs"})


def test_no_text_installs_from_an_index() -> None:
    code = (CHECKOUT / "etl").rglob("*.py")
    assert [path for path in (*DOCUMENTS, *code) if "kore-etl[" in path.read_text("utf-8")] == []


# --- settings ---


def test_the_settings_that_are_shown_are_accepted(run_cli: Run, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "client-secret").write_text("a secret that opens nothing at all\n", encoding="utf-8")
    text = "".join(fenced(README, "toml"))
    (config / "kore-etl.toml").write_text(text, encoding="utf-8")
    done = run_cli("config", "show", "--output", "json")
    assert done.returncode == 0, done.stderr
    in_force = {key.rpartition(".")[2]: shown["value"] for key, shown in json.loads(done.stdout).items()}
    written = tomllib.loads(text)
    assert written.pop("client_secret_file") == "client-secret"
    assert written.pop("database_url").partition("://")[2] == in_force["database_url"].partition("://")[2]
    assert written == {key: in_force[key] for key in written}


def test_every_variable_that_is_named_exists() -> None:
    known = {variable(key) for key in KNOWN_KEYS} | {"KORE_ETL_CONFIG", "KORE_ETL_COMPLETE"}
    form = r"KORE_ETL_(?!SANDBOX)[A-Z_]*[A-Z]"
    assert offenders(lambda document: set(re.findall(form, document.read_text("utf-8"))) - known) == {}


def test_names_in_code_are_settings_tables_or_columns() -> None:
    columns = {column.name for table in metadata.tables.values() for column in table.columns}
    columns |= {column for view in VIEWS for column in view.columns}
    known = KNOWN_KEYS | set(metadata.tables) | columns | {view.name for view in VIEWS} | {"complete_until"}
    known |= {"database_url", "base_url", "kore_etl_reader", "kore_etl_workers", "max_connections"}
    known |= {f"{PREFIX}{name}" for name in METRICS | WORKER_METRICS}
    form = r"[a-z]+(_[a-z]+)+"
    assert offenders(lambda document: {text for text in inline(document) if re.fullmatch(form, text)} - known) == {}


# --- exit codes and messages ---


def test_the_exit_codes_are_those_of_the_program() -> None:
    shown = [int(code) for code, _ in first_table(EXIT_CODES.read_text("utf-8"))[1:]]
    assert shown == sorted(ExitCode)


def texts_of_the_program() -> list[str]:
    """Every text that the program's source spells out; of one with values in it, each part between them."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (CHECKOUT / "etl").rglob("*.py")]
    nodes = (node for tree in trees for node in ast.walk(tree))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_every_message_that_is_explained_is_one_of_the_program() -> None:
    texts = texts_of_the_program()
    cells = " ".join(row[0] for row in first_table(TROUBLESHOOTING.read_text("utf-8"))[1:])
    parts = {part.strip() for message in re.findall("`(.+?)`", cells) for part in message.split("…")}
    assert sorted(part for part in parts if part and not any(part in text for text in texts)) == []


def test_explained_messages_have_an_exit_code_or_none() -> None:
    codes = {code for code, _ in first_table(EXIT_CODES.read_text("utf-8"))[1:]}
    assert {code for _, code, _ in first_table(TROUBLESHOOTING.read_text("utf-8"))[1:]} <= codes | {""}


# --- the diagram ---


def test_the_diagram_shows_exactly_the_relations() -> None:
    (diagram,) = fenced(DATA_MODEL, "mermaid")
    shown = set(re.findall(r"^ +(\w+) \|\|--o[{|] (\w+) :", diagram, re.MULTILINE))
    keys = {(key.column.table.name, table.name) for table in metadata.tables.values() for key in table.foreign_keys}
    assert shown == keys


def test_the_diagrams_columns_exist_and_are_marked_right() -> None:
    (diagram,) = fenced(DATA_MODEL, "mermaid")
    entities = dict(re.findall(r"^ +(\w+) \{\n(.*?)^ +\}", diagram, re.MULTILINE | re.DOTALL))
    assert set(entities) == set(metadata.tables)
    for name, lines in entities.items():
        for column_name, mark in re.findall(r"^ +\w+ (\w+) ?(PK|FK)?$", lines, re.MULTILINE):
            column = metadata.tables[name].columns[column_name]
            expected = "PK" if column.primary_key else "FK" if column.foreign_keys else ""
            assert mark == expected, f"{name}.{column_name}"


# --- the rest ---


def slugs(document: Path) -> set[str]:
    """The anchors of a page's headings, as they are made on GitHub."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_within_the_project_leads_somewhere() -> None:
    assert offenders(broken_links) == {}


def broken_links(document: Path) -> set[str]:
    links = set(re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")))
    return {link for link in links if "://" not in link and not leads_somewhere(document, link)}


def leads_somewhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    return target.exists() and (not anchor or anchor in slugs(target))


@pytest.mark.parametrize("key", ["settle", "overlap"])
def test_the_page_on_exactness_gives_the_programs_own_numbers(key: str) -> None:
    told = re.findall(rf"`{key}` \(([^)]+)\)", EXACTNESS.read_text("utf-8"))
    assert [parse_duration(re.sub(r" (\w)\w*", r"\1", text)) for text in told] == [declared(Settings)[key].default]


def test_the_changelog_has_this_version() -> None:
    heading = "Unreleased" if ".dev" in __version__ else __version__
    assert f"## [{heading}]" in (CHECKOUT / "CHANGELOG.md").read_text("utf-8")
