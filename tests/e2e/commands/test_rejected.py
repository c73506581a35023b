"""``kore-etl rejected`` as a process, on both databases."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial

import pytest
from sqlalchemy import text

from etl.load.database.engine import open_engine
from tests.conftest import clean_environment
from tests.integration.mirror import Mirror

MOMENT = "2025-05-28T12:05:38.807Z"
NO_ID = {"name": "who am I", "updatedAt": MOMENT}
BAD_DATE = {"_id": "ti-bad", "name": "a \x1b[31m red \u202e name", "updatedAt": "yesterday"}
MENDED = {"_id": "ti-bad", "name": "mended", "updatedAt": MOMENT}


@pytest.fixture
def settings(sandbox, environment, migrated_url) -> dict[str, str]:
    """A server, and a database that was synced with it and has two records kept aside."""
    server = sandbox(tasks=3)
    server.put([NO_ID, BAD_DATE])
    assert Mirror(server, migrated_url).sync().exit_code == 3
    return environment(server, migrated_url)


@pytest.fixture
def rejected(run_cli, settings) -> Callable[..., subprocess.CompletedProcess[str]]:
    return partial(run_cli, "rejected", env=settings)


def listed(rejected) -> dict[str, int]:
    """The ID of each kept record by its reason."""
    return {entry["reason"]: entry["id"] for entry in json.loads(rejected("list", "--output", "json").stdout)}


def the_bad_date(rejected) -> int:
    return next(number for reason, number in listed(rejected).items() if reason.startswith("updatedAt"))


def mend(database_url: str, number: int) -> None:
    """Put a good text in the place of a kept one, as if today's rules took that."""
    engine = open_engine(database_url)
    with engine.begin() as connection:
        statement = text("update rejected_records set raw = :raw where id = :id")
        connection.execute(statement, {"raw": json.dumps(MENDED), "id": number})
    engine.dispose()


class TestList:
    def test_shows_a_table_of_what_is_kept_and_why(self, rejected):
        done = rejected("list")
        assert (done.returncode, done.stderr) == (0, "")
        header, *lines = done.stdout.splitlines()
        assert header.split("  ")[0].strip() == "id"
        assert "times seen" in header
        assert any("_id is missing" in line for line in lines)
        assert any("ti-bad" in line and 'updatedAt is unreadable: "yesterday"' in line for line in lines)
        assert len(lines) == 2

    def test_writes_json_for_a_pipe(self, rejected):
        entries = json.loads(rejected("list", "--output", "json").stdout)
        assert all(entry["times_seen"] >= 1 for entry in entries)
        assert {entry["record_id"] for entry in entries} == {None, "ti-bad"}
        assert entries[0]["first_seen_at"].endswith("Z")
        assert "raw" not in entries[0]

    def test_says_that_nothing_is_kept(self, run_cli, sandbox, environment, migrated_sqlite_url):
        settings = environment(sandbox(tasks=1), migrated_sqlite_url)
        run_cli("sync", env=settings)
        done = run_cli("rejected", "list", env=settings)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "kore-etl: there is no rejected record\n")

    def test_needs_no_credentials(self, settings, run_cli):
        done = run_cli("rejected", "list", env={"KORE_ETL_DATABASE_URL": settings["KORE_ETL_DATABASE_URL"]})
        assert "ti-bad" in done.stdout

    def test_takes_one_source_and_knows_no_other(self, rejected):
        assert "ti-bad" in rejected("list", "--source", "default").stdout
        done = rejected("list", "--source", "elsewhere")
        assert done.returncode == 2
        assert done.stderr.endswith("--source 'elsewhere': no such source; accepted: default\n")


class TestShow:
    def test_prints_all_with_a_text_that_no_terminal_obeys(self, rejected):
        number = the_bad_date(rejected)
        done = rejected("show", str(number))
        assert done.returncode == 0
        shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        assert shown["record_id"] == "ti-bad"
        assert shown["source"] == "default"
        assert shown["raw"].startswith('{"_id":"ti-bad"')
        assert "\\u202e" in shown["raw"]
        assert "\u202e" not in done.stdout
        assert "\x1b" not in done.stdout

    def test_gives_json_the_text_itself(self, rejected):
        done = rejected("show", str(the_bad_date(rejected)), "--output", "json")
        assert json.loads(json.loads(done.stdout)["raw"]) == BAD_DATE

    @pytest.mark.parametrize("arguments", [["show", "99"], ["replay", "99"], ["drop", "99", "--yes"]], ids=" ".join)
    def test_a_number_that_is_not_kept_is_refused(self, rejected, arguments):
        done = rejected(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "kore-etl: error: ID 99: no such record is kept; see: kore-etl rejected list\n"

    @pytest.mark.parametrize("number", ["0", "x", str(2**63)])
    def test_what_is_no_number_is_refused(self, run_cli, migrated_sqlite_url, number):
        assert run_cli("rejected", "show", number, env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url}).returncode == 2


class TestReplay:
    def test_stores_what_is_good_now_and_exits_3_for_the_rest(self, rejected, migrated_url):
        number = the_bad_date(rejected)
        mend(migrated_url, number)
        done = rejected("replay", "--output", "json")
        (source,) = json.loads(done.stdout)["sources"]
        assert done.returncode == source["exit_code"] == 3
        assert (source["replayed"], source["released"], source["inserted"], source["rejected"]) == (2, 1, 1, 1)
        assert source["requests"] == 0
        assert number not in listed(rejected).values()

    def test_of_chosen_records_exits_0_when_all_are_stored(self, rejected, migrated_url):
        number = the_bad_date(rejected)
        mend(migrated_url, number)
        assert rejected("replay", str(number), str(number)).returncode == 0
        assert list(listed(rejected)) == ["_id is missing"]

    def test_asks_nothing_of_the_server(self, run_cli, settings):
        elsewhere = {**settings, "KORE_ETL_BASE_URL": "http://127.0.0.1:1"}
        assert run_cli("rejected", "replay", env=elsewhere).returncode == 3

    def test_has_nothing_to_do_where_nothing_is_kept(self, rejected):
        rejected("drop", *map(str, listed(rejected).values()), "--yes")
        done = rejected("replay")
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == "kore-etl: there is no rejected record; there was nothing to do\n"

    def test_refuses_records_of_a_source_that_it_is_not_to_work_on(self, rejected, run_cli, settings):
        other = {**settings, "KORE_ETL_STREAM_ID": "st-other"}
        done = run_cli("rejected", "replay", str(the_bad_date(rejected)), env=other)
        assert done.returncode == 2
        assert "records of source default were chosen" in done.stderr


class TestDrop:
    def test_deletes_what_is_named(self, rejected):
        number = the_bad_date(rejected)
        done = rejected("drop", str(number), "--yes")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "kore-etl: 1 record dropped\n")
        assert list(listed(rejected)) == ["_id is missing"]

    def test_drops_none_if_one_is_not_kept(self, rejected):
        assert rejected("drop", str(the_bad_date(rejected)), "99", "--yes").returncode == 2
        assert len(listed(rejected)) == 2

    def test_is_refused_where_nobody_can_be_asked(self, rejected):
        done = rejected("drop", str(the_bad_date(rejected)), input="y\n")
        assert done.returncode == 2
        assert "add --yes" in done.stderr
        assert len(listed(rejected)) == 2

    @pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, 1), ("n", 130, 2)])
    def test_asks_on_a_terminal(self, rejected, settings, tmp_path, answer, code, left):
        parent, child = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "etl", "rejected", "drop", str(the_bad_date(rejected))],
            cwd=tmp_path,
            env=clean_environment(tmp_path, settings),
            stdin=child,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        os.close(child)
        os.write(parent, f"{answer}\n".encode())
        said = process.communicate(timeout=60)[1]
        os.close(parent)
        assert process.returncode == code
        assert said.startswith("This deletes 1 record, with all of its text. Continue?")
        assert len(listed(rejected)) == left


@pytest.mark.parametrize("arguments", [["list"], ["show", "1"], ["drop", "1", "--yes"], ["replay"]], ids=" ".join)
def test_makes_no_database_where_there_is_none(run_cli, sandbox, environment, sqlite_url, tmp_path, arguments):
    done = run_cli("rejected", *arguments, env=environment(sandbox(tasks=0), sqlite_url))
    assert done.returncode == 6
    assert "there is no such file; run: kore-etl sync" in done.stderr
    assert not (tmp_path / "kore-etl.db").exists()


@pytest.mark.parametrize("command", ["list", "show", "replay", "drop"])
def test_help_has_an_example(run_cli, command):
    assert f"  Example:\n    kore-etl rejected {command}" in run_cli("rejected", command, "--help").stdout


class TestAcknowledge:
    def test_known_records_make_no_sync_incomplete(self, rejected, run_cli, settings):
        assert run_cli("sync", "--full", env=settings).returncode == 3
        done = rejected("acknowledge")
        assert (done.returncode, done.stderr) == (0, "kore-etl: 2 records acknowledged\n")
        assert run_cli("sync", "--full", env=settings).returncode == 0
        (standing,) = json.loads(run_cli("status", "--output", "json", env=settings).stdout)["sources"]
        assert standing["rejected"] == 0
        entries = json.loads(rejected("list", "--output", "json").stdout)
        acknowledged, seen = (
            [datetime.fromisoformat(entry[name]) for entry in entries] for name in ("acknowledged_at", "last_seen_at")
        )
        assert max(acknowledged) < min(seen)
        assert json.loads(rejected("acknowledge", "--output", "json").stdout) == {"acknowledged": 0}

    def test_one_that_is_not_known_still_does(self, rejected, run_cli, settings):
        assert rejected("acknowledge", str(the_bad_date(rejected))).returncode == 0
        assert run_cli("sync", "--full", env=settings).returncode == 3
        (standing,) = json.loads(run_cli("status", "--output", "json", env=settings).stdout)["sources"]
        assert standing["rejected"] == 1

    def test_a_known_record_with_other_content_is_a_new_one(self, sandbox, environment, migrated_url, run_cli):
        server = sandbox(tasks=3)
        server.put([BAD_DATE])
        settings = environment(server, migrated_url)
        assert run_cli("sync", env=settings).returncode == 3
        assert run_cli("rejected", "acknowledge", env=settings).returncode == 0
        server.put([{**BAD_DATE, "name": "another"}])
        assert run_cli("sync", "--full", env=settings).returncode == 3

    def test_an_unknown_id_is_reported_and_acknowledges_nothing(self, rejected):
        done = rejected("acknowledge", str(the_bad_date(rejected)), "999")
        assert done.returncode == 2
        assert "ID 999: no such record is kept" in done.stderr
        assert not any(entry["acknowledged_at"] for entry in json.loads(rejected("list", "--output", "json").stdout))
