"""One holder at a time, across processes; a dead one holds nothing."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from etl.errors import DatabaseError, LockedError
from etl.load.database.engine import open_engine
from etl.load.database.locks import held, named_lock
from tests.conftest import CHECKOUT, clean_environment

HOLD = """
import sys
from etl.load.database.engine import open_engine
from etl.load.database.locks import held, named_lock
with held(named_lock(open_engine(sys.argv[1]), "sync s-1"), "source main"):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def holder(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds "sync s-1" of the same database."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, database_url],
        cwd=tmp_path,
        env=clean_environment(tmp_path) | {"PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    with process:
        process.kill()


def test_a_second_process_is_refused_at_once(engine: Engine, holder: subprocess.Popen[str]) -> None:
    with (
        pytest.raises(LockedError, match="another run is working on source main; this one changed nothing") as raised,
        held(named_lock(engine, "sync s-1"), "source main"),
    ):
        pass
    assert raised.value.exit_code == 75
    assert holder.poll() is None


def test_the_lock_of_a_killed_process_is_free(engine: Engine, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    lock = named_lock(engine, "sync s-1")
    assert lock.acquire(wait=True)  # the server takes a moment to see that the connection is gone
    lock.release()


def test_the_lock_of_a_process_that_ended_well_is_free(engine: Engine, holder: subprocess.Popen[str]) -> None:
    holder.communicate("\n")
    lock = named_lock(engine, "sync s-1")
    assert lock.acquire(wait=True)
    lock.release()


def test_another_name_is_another_lock(engine: Engine, holder: subprocess.Popen[str]) -> None:
    with held(named_lock(engine, "sync s-2"), "source other"), held(named_lock(engine, "backfill s-1"), "source main"):
        assert holder.poll() is None


def test_another_database_is_another_lock(
    holder: subprocess.Popen[str], database_url: str, pg_server: Callable[[str], str], tmp_path: Path
) -> None:
    on_sqlite = database_url.startswith("sqlite")
    engine = open_engine(f"sqlite:///{tmp_path / 'other.db'}" if on_sqlite else pg_server("postgres"))
    with held(named_lock(engine, "sync s-1"), "source main"):
        assert holder.poll() is None
    engine.dispose()


def test_who_is_refused_takes_nothing_with_it(engine: Engine) -> None:
    first, second = named_lock(engine, "sync s-1"), named_lock(engine, "sync s-1")
    assert first.acquire(wait=False)
    assert not second.acquire(wait=False)
    second.release()
    assert not second.acquire(wait=False)
    first.release()
    assert second.acquire(wait=False)
    second.release()


def test_a_released_lock_can_be_acquired_at_once(engine: Engine) -> None:
    for _ in range(50):
        with held(named_lock(engine, "sync s-1"), "source main"):
            pass


def test_release_is_quiet_where_the_session_has_ended(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    lock = named_lock(engine, "sync s-1")
    lock.acquire(wait=False)
    with engine.begin() as connection:
        others = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
        connection.execute(text(f"{others} and pid <> pg_backend_pid()"))
    lock.release()
    assert lock.acquire(wait=True)
    lock.release()
    engine.dispose()


def test_an_error_inside_lets_go(engine: Engine) -> None:
    def fail() -> None:
        with held(named_lock(engine, "sync s-1"), "source main"):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fail()


def test_who_waits_gets_it_as_soon_as_it_is_free(engine: Engine) -> None:
    first, second = named_lock(engine, "sync s-1"), named_lock(engine, "sync s-1")
    acquired = threading.Event()

    def wait_for_it() -> None:
        second.acquire(wait=True)
        acquired.set()

    assert first.acquire(wait=True)
    waiting = threading.Thread(target=wait_for_it)
    waiting.start()
    assert not acquired.wait(0.3)
    first.release()
    assert acquired.wait(60)
    waiting.join()
    second.release()


def test_letting_go_twice_is_no_matter(engine: Engine) -> None:
    lock = named_lock(engine, "sync s-1")
    lock.release()
    assert lock.acquire(wait=False)
    lock.release()
    lock.release()


def test_the_lock_holds_through_a_restart_of_other_connections(engine: Engine) -> None:
    with held(named_lock(engine, "sync s-1"), "source main"):
        engine.dispose()
        assert not named_lock(engine, "sync s-1").acquire(wait=False)


def test_a_link_to_a_sqlite_file_shares_its_lock(sqlite_url: str, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "kore-etl.db")
    engine, linked = open_engine(sqlite_url), open_engine(f"sqlite:///{link}")
    with held(named_lock(engine, "sync s-1"), "source main"):
        assert not named_lock(linked, "sync s-1").acquire(wait=False)


def test_a_lock_file_is_its_owners_alone(sqlite_url: str, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with held(named_lock(open_engine(sqlite_url), "sync s-1"), "source main"):
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.lock-*")}
    finally:
        os.umask(before)
    assert list(modes.values()) == [0o600]


def test_a_released_lock_leaves_no_file(sqlite_url: str, tmp_path: Path) -> None:
    engine = open_engine(sqlite_url)
    with held(named_lock(engine, "sync s-1"), "source main"):
        assert not named_lock(engine, "sync s-1").acquire(wait=False)
        assert len(list(tmp_path.glob("*.lock-*"))) == 1
    assert list(tmp_path.glob("*.lock-*")) == []


def test_a_hard_link_to_a_sqlite_file_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    open_engine(sqlite_url).dispose()
    (tmp_path / "other.db").hardlink_to(tmp_path / "kore-etl.db")
    with pytest.raises(DatabaseError, match="has another name"):
        open_engine(f"sqlite:///{tmp_path / 'other.db'}")


def test_a_lock_tells_whether_it_is_held(engine: Engine) -> None:
    lock = named_lock(engine, "sync s-1")
    assert not lock.is_held()
    with held(lock, "source main"):
        assert named_lock(engine, "sync s-1").is_held()
        assert not named_lock(engine, "sync s-2").is_held()
    assert not lock.is_held()


def test_a_lock_file_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    lock = named_lock(open_engine(f"sqlite:///{folder / 'kore-etl.db'}"), "sync s-1")
    shutil.rmtree(folder)
    with pytest.raises(
        DatabaseError, match=r"lock file .*kore-etl.db.lock-.*: No such file or directory; the database"
    ):
        lock.acquire(wait=False)


def test_a_database_in_memory_needs_no_lock() -> None:
    engine = open_engine("sqlite://")
    with held(named_lock(engine, "sync s-1"), "source main"), held(named_lock(engine, "sync s-1"), "source main"):
        pass


def test_all_locks_of_a_process_are_in_one_session(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    mine = "select count(distinct pid), count(*) from pg_locks join pg_database on oid = database where"
    query = text(f"{mine} locktype = 'advisory' and datname = current_database()")
    with held(named_lock(engine, "sync s-1"), "it"), held(named_lock(engine, "turn s-1"), "it"):
        with held(named_lock(engine, "sync s-2"), "other"), engine.connect() as connection:
            assert connection.execute(query).one() == (1, 3)
        with engine.connect() as connection:
            assert connection.execute(query).one() == (1, 2)
    with engine.connect() as connection:
        assert connection.execute(query).one() == (0, 0)
    engine.dispose()


def test_locks_can_be_had_again_after_their_session_ended(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    with held(named_lock(engine, "sync s-1"), "it"):
        with engine.begin() as connection:
            others = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            connection.execute(text(f"{others} and pid <> pg_backend_pid()"))
        with pytest.raises(DatabaseError):
            named_lock(engine, "sync s-2").acquire(wait=False)
        with held(named_lock(engine, "sync s-2"), "other"):
            assert named_lock(engine, "sync s-2").is_held()
    engine.dispose()


def test_a_released_lock_costs_the_work_no_new_session(postgres_url: str) -> None:
    engine, sessions = open_engine(postgres_url), []
    event.listen(engine, "connect", lambda connection, _: sessions.append(connection))
    with held(named_lock(engine, "sync s-1"), "it"):
        pass
    for _ in range(3):
        with engine.connect():
            pass
    engine.dispose()
    assert len(sessions) == 2  # one for the lock, which ends with it
