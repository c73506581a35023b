"""``python -m benchmarks.scale``: two workers sync the sources of many accounts on one machine.

Reports syncs a second, lateness, requests of an account in any minute as its server counts, commits, and CPU a sync.
With ``--faults`` one worker is killed and one stands still in the middle, twice; then everything is compared. The exit
code is 1 where an account is above its limit, or a source is not equal to its server.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from threading import Thread
from typing import Any

import orjson
import psutil
import psycopg

from benchmarks.account_servers import options_of
from benchmarks.contenders import postgres_server
from benchmarks.machine import description
from benchmarks.processes import CHECKOUT
from etl.load.ledger.schedules import next_due

LIMIT = 50  # requests in any minute: what the settings allow, where the API allows 60
STALL = 10  # seconds after which a silent worker's syncs are taken over
LATE = 5.0  # seconds
MOST = 1800.0  # seconds that a phase may take
_CPU_OF_ENDED = 4  # the first times of psutil are those of the process and of its ended children

Figures = dict[str, Any]


class Company:
    """The servers of many accounts, their settings and database, and the workers that sync them."""

    def __init__(self, given: argparse.Namespace, folder: Path, port: int, database: str, postmaster: int) -> None:
        self.given, self.folder, self.port = given, folder, port
        self.database = psycopg.connect(database.replace("+psycopg", ""), autocommit=True)
        self.workers: list[psutil.Popen] = []
        self.broken_at: datetime | None = None
        self._postmaster = psutil.Process(postmaster)
        self._ended = 0.0  # CPU seconds of workers that were killed
        settings = folder / "kore-etl.toml"
        settings.write_text("\n".join(self._settings(database)))
        settings.chmod(0o600)
        self._environment = {**os.environ, "KORE_ETL_CONFIG": str(settings), "TMPDIR": str(folder)}

    def _settings(self, database: str) -> Iterator[str]:
        yield f'database_url = "{database}"\nrequests_per_minute = {LIMIT}'
        for number in range(self.given.sources):
            options = options_of(number, self.given.accounts, 0)
            yield f'[[source]]\nname = "source-{number}"\nbase_url = "http://127.0.0.1:{self.port}"'
            for key in ("account_id", "stream_id", "client_id", "client_secret"):
                yield f'{key} = "{getattr(options, key)}"'

    def command(self, *arguments: str) -> int:
        """Run a command of kore-etl to its end, and return its exit code."""
        command = [sys.executable, "-m", "etl", *arguments]
        with (self.folder / "commands.log").open("ab") as log:
            return subprocess.run(
                command, cwd=CHECKOUT, env=self._environment, stdout=log, stderr=log, check=False
            ).returncode

    def start_worker(self) -> psutil.Popen:
        """Start a worker; its log is in the folder."""
        command = [sys.executable, "-m", "etl", "worker", "--threads", str(self.given.threads)]
        command += ["--tick", "1s", "--stall-after", f"{STALL}s"]
        with (self.folder / "workers.log").open("ab") as log:
            worker = psutil.Popen(
                command, cwd=CHECKOUT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.workers.append(worker)
        return worker

    def kill(self, worker: psutil.Popen) -> None:
        """Kill a worker as the system does where memory is short."""
        self._ended += sum(worker.cpu_times()[:2])
        self.workers.remove(worker)
        worker.kill()
        worker.wait()

    def close(self) -> list[int]:
        """Stop the workers, and return their exit codes."""
        for worker in self.workers:
            worker.terminate()
        return [worker.wait() for worker in self.workers]

    def rows(self, query: str) -> list[Any]:
        """Return what a query finds."""
        return self.database.execute(query).fetchall()  # type: ignore[call-overload]

    def value(self, query: str) -> Any:
        """Return the one value that a query finds."""
        ((value,),) = self.rows(query)
        return value

    def ask(self, order: str, body: object = None) -> Any:
        """Ask the servers' process."""
        line = http.client.HTTPConnection("127.0.0.1", self.port)
        line.request("POST", f"/_scale/{order}", orjson.dumps(body))
        answer = orjson.loads(line.getresponse().read())
        line.close()
        return answer

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        end = time.monotonic() + MOST
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"a phase took longer than {MOST:,.0f} s; see {self.folder}")
            time.sleep(0.2)

    def spent(self) -> dict[str, float]:
        """Return what was spent so far: seconds, CPU of workers and of PostgreSQL, commits, bytes of its log, syncs."""
        ended = "select coalesce(sum(runs), 0)::int from sync_runs where finished_at is not null"
        return {
            "seconds": time.monotonic(),
            "worker CPU": self._ended + sum(sum(each.cpu_times()[:2]) for each in self.workers),
            "PostgreSQL CPU": self._postgres_cpu(),
            "commits": self.value("select xact_commit from pg_stat_database where datname = current_database()"),
            "writes": self.value("select txid_snapshot_xmax(txid_current_snapshot())"),
            "log bytes": int(self.value("select pg_current_wal_lsn() - '0/0'")),
            "syncs": self.value(ended),
            "requests": sum(count for count, _ in self.ask("counts").values()),
        }

    def _postgres_cpu(self) -> float:
        cpu = sum(self._postmaster.cpu_times()[:_CPU_OF_ENDED])
        for each in self._postmaster.children():
            try:
                cpu += sum(each.cpu_times()[:2])
            except psutil.NoSuchProcess:  # it ended, and counts for the postmaster
                continue
        return cpu


def first_syncs(company: Company) -> None:
    """Sync each source for the first time."""
    company.until(lambda: company.value("select count(*) from watermarks") == company.given.sources)
    company.until(lambda: company.value("select count(*) from sync_runs where state = 'running'") == 0)


def backlog(company: Company) -> None:
    """Let all sources be due at once, as after an outage, and sync them."""
    begin = company.value("select clock_timestamp()")
    company.rows("update sources set next_due_at = clock_timestamp(), paused = false returning id")
    left = f"""
        select count(*) from sources s where not exists
        (select from sync_runs r where r.source_id = s.id and r.finished_at is not null and r.started_at > '{begin}')
    """
    company.until(lambda: company.value(left) == 0)


def steady(company: Company) -> None:
    """Let tasks change for some minutes, at some sources in each second."""
    end, draw = time.monotonic() + company.given.seconds, random.Random(1)
    streams = [f"st-{number}" for number in range(company.given.sources)]
    each_second = max(1, round(company.given.sources * company.given.changing / company.given.every))
    while time.monotonic() < end:
        company.ask("change", draw.sample(streams, each_second))
        time.sleep(1)


def idle(company: Company) -> None:
    """Let nothing be due."""
    company.rows("update sources set paused = true returning id")
    time.sleep(10)


def measured(company: Company, phase: Callable[[Company], None]) -> Figures:
    """Return what a phase has spent, in all and for each sync."""
    before = company.spent()
    phase(company)
    spent = {name: after - before[name] for name, after in company.spent().items()}
    syncs = spent["syncs"] or 1
    found = {
        "seconds": round(spent["seconds"], 1),
        "syncs": spent["syncs"],
        "requests": spent["requests"],
        "syncs a second": round(spent["syncs"] / spent["seconds"], 2),
        "requests a sync": round(spent["requests"] / syncs, 2),
        "commits a second": round(spent["commits"] / spent["seconds"], 1),
        "of them writing": round(spent["writes"] / spent["seconds"], 1),
        "cores of the workers": round(spent["worker CPU"] / spent["seconds"], 2),
        "cores of PostgreSQL": round(spent["PostgreSQL CPU"] / spent["seconds"], 2),
    }
    if spent["syncs"]:
        found |= {
            "commits a sync": round(spent["commits"] / syncs, 1),
            "writing commits a sync": round(spent["writes"] / syncs, 1),
            "CPU ms a sync, worker": round(1000 * spent["worker CPU"] / syncs, 1),
            "CPU ms a sync, PostgreSQL": round(1000 * spent["PostgreSQL CPU"] / syncs, 1),
            "KB of PostgreSQL's log a sync": round(spent["log bytes"] / syncs / 1024, 1),
        }
    return found


def lateness(company: Company, begin: datetime, end: datetime) -> Figures:
    """Return how many seconds after its time a sync begins, of all times in ``[begin, end)`` at which one is due."""
    waiting = f"select count(*) from sources where next_due_at < '{end}'"
    company.until(lambda: company.value(waiting) == 0)
    time.sleep(1)
    every = timedelta(seconds=company.given.every)
    late: list[tuple[datetime, float]] = []
    for identity, started in _runs(company):
        due = next_due(identity, every, begin - timedelta(microseconds=1))
        while due < end:
            place = bisect_left(started, due)
            late.append((due, (started[place] - due).total_seconds() if place < len(started) else MOST))
            due += every
    seconds = [each for _, each in late]
    found = {
        "times": len(late),
        "median": round(median(seconds), 2),
        "99 %": round(quantiles(seconds, n=100, method="inclusive")[98], 2),
        "most": round(max(seconds), 2),
        "most in the last interval": round(max(each for due, each in late if due >= end - every), 2),
    }
    if company.broken_at is not None:
        after = [(due - company.broken_at).total_seconds() for due, each in late if each > LATE]
        found[f"more than {LATE:.0f} s late"] = len(after)
        found["seconds after the kill at which the last of them was due"] = round(max(after, default=0))
    return found


def _runs(company: Company) -> Iterator[tuple[tuple[str, str, str], list[datetime]]]:
    rows = company.rows("""
        select s.host, s.account_id, s.stream_id, array_agg(r.started_at order by r.started_at)
          from sources s join sync_runs r on r.source_id = s.id and r.command = 'sync'
         where r.state in ('finished', 'running')
         group by 1, 2, 3
    """)
    for host, account, stream, started in rows:
        yield (host, account, stream), started


def broken(phase: Callable[[Company], None]) -> Callable[[Company], None]:
    """Return a phase in whose middle one worker is killed, and one stands still for longer than its stall time.

    As under systemd, another worker starts a second after the kill.
    """

    def both(company: Company) -> None:
        killed, stopped = company.workers[:2]
        done = company.value("select count(*) from sync_runs where state = 'finished'")
        at_work = "select count(*) from sync_runs where state = 'running'"
        middle = done + company.given.sources // 2
        company.until(lambda: company.value("select count(*) from sync_runs where state = 'finished'") >= middle)
        company.until(lambda: company.value(at_work) > 0)
        stopped.send_signal(signal.SIGSTOP)
        company.broken_at = datetime.now(UTC)
        company.kill(killed)
        print(f"killed and stopped with {company.value(at_work)} syncs at work", file=sys.stderr)
        time.sleep(1)
        company.start_worker()
        time.sleep(2 * STALL)
        stopped.send_signal(signal.SIGCONT)

    def broken_phase(company: Company) -> None:
        breaking = Thread(target=both, args=(company,))
        breaking.start()
        phase(company)
        breaking.join()

    return broken_phase


def differences(company: Company) -> Figures:
    """Return what is not as it should be, by its name; nothing where all is well."""
    stored: dict[str, dict[str, Any]] = {f"st-{number}": {} for number in range(company.given.sources)}
    live = "select s.stream_id, t._id, t.raw::text from tasks t join sources s on s.id = t.source_id"
    for stream, key, raw in company.rows(f"{live} where deleted_at is null"):
        stored[stream][key] = orjson.loads(raw)
    unequal = [
        stream
        for stream, tasks in stored.items()
        if tasks != {task["_id"]: task for task in company.ask("tasks", stream)}
    ]
    twice = """
        select count(*) from (select source_id, sum(inserted) as inserted from sync_runs group by 1) r
        join (select source_id, count(*) as tasks from tasks group by 1) t using (source_id) where inserted <> tasks
    """
    most = max(most for _, most in company.ask("counts").values())
    found = {
        "sources that are not equal to their server": unequal,
        "sources that have counted other inserts than they have tasks": company.value(twice),
        "gaps": company.value("select count(*) from coverage_gaps"),
        "runs that still say that they work": company.value("select count(*) from sync_runs where state = 'running'"),
        "requests above the limit in the fullest minute": max(0, most - LIMIT),
        "exit code of kore-etl db check --deep": company.command("db", "check", "--deep"),
    }
    return {name: each for name, each in found.items() if each}


def main() -> int:
    """Measure, print what was found as JSON, and return 1 where something is wrong."""
    given = _options()
    with ExitStack() as stack:
        port = stack.enter_context(_servers(given))
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scale-")))
        url, postmaster = stack.enter_context(postgres_server(short))
        company = Company(given, given.keep or short, port, url.format(name="postgres"), postmaster)
        found = {"machine": description(), "options": vars(given), **_measure(company)}
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2, default=str).decode())
    return int(bool(found["wrong"]))


def _measure(company: Company) -> Figures:
    given = company.given
    names = [f"source-{number}" for number in range(given.sources)]
    if company.command("db", "upgrade") or company.command("schedule", "set", *names, "--every", f"{given.every}s"):
        raise RuntimeError((company.folder / "commands.log").read_text()[-2000:])
    company.rows("update sources set next_due_at = clock_timestamp() returning id")
    for _ in range(2):
        company.start_worker()
    phases = {"first syncs": first_syncs, "all due at once": backlog, "steady": steady, "idle": idle}
    if given.faults:
        phases = {"first syncs": broken(first_syncs), "steady, broken": broken(steady), "steady": steady, "idle": idle}
    found: Figures = {}
    try:
        for name, phase in phases.items():
            company.broken_at, began = None, datetime.now(UTC)
            found[name] = measured(company, phase)
            if "steady" in name:
                found[name]["lateness"] = lateness(company, began, datetime.now(UTC))
            print(name, found[name], file=sys.stderr)
        counts = company.ask("counts").values()
        found["requests of an account in its fullest minute"] = max(most for _, most in counts)
        states = "select state, command, exit_code, sum(runs)::int from sync_runs group by 1, 2, 3 order by 1, 2, 3"
        found["runs"] = [" ".join(map(str, row)) for row in company.rows(states)]
        found["PostgreSQL MB"] = round(company.value("select pg_database_size(current_database())") / 1e6)
        found["worker MB"] = [round(each.memory_info().rss / 1e6) for each in company.workers]
        backlog(company)  # so that the latest changes are stored
    finally:
        codes = company.close()
    found["wrong"] = differences(company) | ({"exit codes of workers": codes} if any(codes) else {})
    company.database.close()
    return found


@contextmanager
def _servers(given: argparse.Namespace) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.account_servers", "--latency", str(given.latency)]
    for name in ("sources", "accounts", "tasks"):
        command += [f"--{name}", str(getattr(given, name))]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdout is None or process.stdin is None:
            raise AssertionError
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--sources", type=int, default=500)
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=20, help="Of a source, to begin with.")
    parser.add_argument("--every", type=int, default=60, help="Seconds between the syncs of a source.")
    parser.add_argument("--seconds", type=int, default=180, help="How long the steady phase takes.")
    parser.add_argument("--changing", type=float, default=0.5, help="Changes of a source in each interval.")
    parser.add_argument("--threads", type=int, default=4, help="Of each worker.")
    parser.add_argument("--latency", type=float, default=0.0, help="Milliseconds that each answer takes.")
    parser.add_argument("--faults", action="store_true", help="Kill a worker and stop one, in the middle of a phase.")
    parser.add_argument("--keep", type=Path, help="A folder that keeps the logs.")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
