"""On terminals of 80 columns nothing is wider, no word is cut, and columns that matter less go first."""

from __future__ import annotations

import re

import pytest

from etl.logs.formatting import _wrapped
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
    } | {"left", "out", "a", "wider", "terminal", "or", "--output", "json", "shows", "it", "took"}


def test_runs_lose_columns_before_they_become_lists(settings, tmp_path):
    lines = shown("runs", tmp_path, settings)
    assert lines[0].split()[:3] == ["id", "command", "state"]
    assert "requests" not in lines[0]
    assert "(left out: requests" in " ".join(lines)
    assert "requests" in shown("runs", tmp_path, settings, columns=160)[0]


def test_a_setting_keeps_its_whole_name_and_its_origin(settings, tmp_path):
    text = "\n".join(shown("config show", tmp_path, settings))
    assert re.search(r"^source\.default\.requests_per_minute +6000", text, re.MULTILINE)
    assert "(KORE_ETL_REQUESTS_PER_MINUTE)" in text
    assert re.search(r"^overlap +5m \(default\)$", text, re.MULTILINE)


def test_a_log_line_is_wrapped_by_word(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    line = "2026-11-26 20:00:00Z [info     ] probe.finished   requests=7 answered=['window_field', 'granularity']"
    lines = _wrapped(line).split("\n")
    assert max(map(len, lines)) <= 40
    assert " ".join("\n".join(lines).split()) == " ".join(line.split())
