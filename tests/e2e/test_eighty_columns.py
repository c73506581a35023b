"""On terminals of 80 columns nothing is wider, no word is cut, and columns that matter less go first."""

from __future__ import annotations

import re

import pytest

from etl.logs.formatting import wrapped_for_terminal
from tests.e2e.terminal import on_terminal

STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
NAMES = ["source.default.requests_per_minute", "on_failure_timeout", "sqlite:///", "database_url"]


@pytest.fixture
def settings(sandbox, environment, sqlite_url, run_cli) -> dict[str, str]:
    settings = environment(sandbox(tasks=30), sqlite_url)
    for _ in range(2):
        assert run_cli("sync", env=settings).returncode == 0
    return settings


def shown(words: str, folder, env, columns: int = 80) -> list[str]:
    code, text = on_terminal(words.split(), folder, env, columns=columns)
    assert code == 0, text
    return [STYLE.sub("", line) for line in text.splitlines()]


@pytest.mark.parametrize("words", ["config show", "runs", "runs show 1", "status", "watermark", "source list", "check"])
def test_no_line_is_wider_and_no_word_is_cut(settings, tmp_path, words):
    wide = " ".join(shown(words, tmp_path, settings, columns=400)).split()
    narrow = shown(words, tmp_path, settings)
    long = {word for word in wide if len(word) > 40}
    assert [line for line in narrow if len(line) > 80 and not long & set(line.split())] == []
    dates = re.compile(r"\d|ago|^[a-z]+:$")
    assert {word.strip("(),;") for line in narrow for word in line.split() if not dates.search(word)} <= {
        word.strip("(),;") for word in wide
    } | {"left", "out", "a", "wider", "terminal", "or", "--output", "json", "shows", "them", "took"}


def test_runs_lose_columns_before_they_become_lists(settings, tmp_path):
    lines = shown("runs", tmp_path, settings)
    assert lines[0].split()[:3] == ["id", "command", "state"]
    assert "requests" in lines[0]
    assert "(left out: inserted" in " ".join(lines)
    assert "inserted" in shown("runs", tmp_path, settings, columns=160)[0]


def test_a_setting_keeps_its_whole_name_and_its_origin(settings, tmp_path):
    text = "\n".join(shown("config show", tmp_path, settings))
    assert re.search(r"^source\.default\.requests_per_minute +6000", text, re.MULTILINE)
    assert "(KORE_ETL_REQUESTS_PER_MINUTE)" in text
    assert re.search(r"^overlap +5m \(default\)$", text, re.MULTILINE)


def test_a_log_line_is_wrapped_by_word(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    line = "2026-11-26 20:00:00Z [info     ] probe.finished   requests=7 answered=['window_field', 'granularity']"
    lines = wrapped_for_terminal(line).split("\n")
    assert max(map(len, lines)) <= 40
    assert " ".join("\n".join(lines).split()) == " ".join(line.split())


def test_a_question_leaves_room_for_its_answer(settings, tmp_path):
    words = ["watermark", "set", "2025-01-31"]
    _, wide = on_terminal(words, tmp_path, settings, columns=400, typed=["n"])
    columns = wide.index("Continue?") + len("Continue?")
    _, narrow = on_terminal(words, tmp_path, settings, columns=columns, typed=["n"])
    assert " ".join(narrow.split()) == " ".join(wide.split())
    assert max(map(len, narrow.splitlines())) <= columns


def test_no_message_is_wider_and_no_word_is_cut(settings, tmp_path):
    wrong = {**settings, "KORE_ETL_CLIENT_SECRET": "wrong" * 8, "KORE_ETL_DATABASE_URL": "sqlite:///other.db"}
    for words, env in (
        ("export --view task_overveiw", settings),
        ("why TS999999", settings),
        ("prune --runs 1h", settings),
        ("backfill --plan --since 2025-01-01", settings),
        ("watermark set 2025-01-31 --yes", settings),
        ("restore nothing.db", settings),
        ("verify --requests 1", settings),
        ("status", {}),
        ("sync", wrong),
    ):
        _, text = on_terminal(words.split(), tmp_path, env)
        lines = [STYLE.sub("", line).rpartition("\r")[2] for line in text.splitlines()]
        # A command to copy stays on one line.
        wide = [line for line in lines if len(line) > 80 and not line.startswith("    kore-etl ")]
        assert (words, wide) == (words, [])
        assert len(lines) > 1, text


@pytest.mark.parametrize(
    ("words", "begin"),
    [
        ("backfill --plan --since 2025-01-01", "default: createdAt from"),
        ("watermark set 2025-01-31 --yes", "kore-etl: default: the watermark is"),
        ("verify --requests 1", "default: 30 tasks verified"),
    ],
)
def test_an_answer_begins_its_line_behind_the_progress(settings, tmp_path, words, begin):
    text = STYLE.sub("", on_terminal(words.split(), tmp_path, settings)[1])
    assert any(line.startswith(begin) for line in re.split(r"[\r\n]", text)), text
    assert not re.search(rf"\ds{begin}", text)


def test_the_demo_fits(tmp_path):
    code, text = on_terminal(["demo", "--tasks", "200", "--keep", "demo"], tmp_path, {})
    assert code == 0, text
    assert [line for line in text.splitlines() if len(STYLE.sub("", line)) > 80] == []
