"""Changes one thing at a time in the core, runs the tests that cover it, and reports which changes no test notices.

python tests/mutate.py --sample 20 --seed 1 --minutes 30

One run of the tests records which of them execute which line, also in the commands that they start as processes, and
how long each takes. The record is kept under .mutate/ and used again until the core or its tests change. Then all tests
are loaded once. For each change, a child process changes the loaded code and runs the tests that execute the changed
lines, the quickest first, then some of each file, as many as fit in --seconds by the record. Commands that they start
run from a copy of the code with the change. A change dies if a test fails or hangs. What a function does at import
stays as it was in the child. Changes that live are listed: look at each, and add a test unless the change makes no
difference.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path

import hypothesis
import pytest
from coverage import CoverageData
from mutations import CHECKOUT, Change, changed, count, make, module_of

CORE = ("etl/extract", "etl/jobs", "etl/load", "etl/transform")
TESTS = (
    *("tests/unit/extract", "tests/unit/jobs", "tests/unit/transform"),
    *("tests/integration/extract", "tests/integration/jobs", "tests/integration/load"),
    *("tests/integration/test_account.py", "tests/integration/test_request_budget.py"),
    *("tests/integration/test_same_numbers.py", "tests/e2e/commands"),
)
# A command that a test starts takes the test's name from the environment.
COVERAGE = """[run]
source_pkgs = etl.extract, etl.jobs, etl.load, etl.transform
data_file = {}
parallel = true
context = ${{PYTEST_CURRENT_TEST-}}
"""
RESULTS = {0: "LIVES", 3: "cannot be made"}  # by the exit code of the child; otherwise the change died


def main() -> None:
    """Report the share of sampled changes that die."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30, help="start no change after them")
    parser.add_argument("--seconds", type=float, default=60, help="recorded duration of the tests of one change")
    parser.add_argument("--jobs", type=int, default=2, help="changes that are tried at once")
    parser.add_argument("--only", default="", help="a part of the path")
    options = parser.parse_args()
    os.chdir(CHECKOUT)
    sys.path[0] = str(CHECKOUT)
    importlib.import_module("tests.conftest").keep_files_in_memory()
    record = TestRecord(recorded())
    without_shrinking = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutate", deadline=None, derandomize=True, phases=without_shrinking)
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        arguments = ["-q", "-p", "no:cacheprovider", "--hypothesis-profile", "mutate", f"--basetemp={folder}/tests"]
        arguments += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is loaded already
        trial = Trial(options, record, Path(folder))
        pytest.main([*arguments, *TESTS], plugins=[trial])
    sys.exit("LIVES" in trial.results)


class Trial:
    """Tries changes instead of running all tests."""

    def __init__(self, options: argparse.Namespace, record: TestRecord, folder: Path) -> None:
        self._options = options
        self._record = record
        self._folder = folder
        self.results = list[str]()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined] # children share it
        paths = sorted(path.relative_to(CHECKOUT) for part in CORE for path in (CHECKOUT / part).rglob("*.py"))
        every = [(path, number) for path in paths if self._options.only in str(path) for number in range(count(path))]
        picked = random.Random(self._options.seed).sample(every, min(self._options.sample, len(every)))
        waiting = [changed(path, number) for path, number in reversed(picked)]
        items = {item.nodeid: item for item in session.items}
        for path in paths:
            importlib.import_module(module_of(path))
        end = time.monotonic() + 60 * self._options.minutes
        running = dict[int, tuple[Change, int, float, Path]]()
        while running or (waiting and time.monotonic() < end):
            while waiting and len(running) < self._options.jobs and time.monotonic() < end:
                change = waiting.pop()
                names = self._record.that_execute(change, self._options.seconds)
                chosen = [items[name] for name in names if name in items]
                limit = time.monotonic() + 120 + 5 * self._options.seconds
                folder = self._folder / str(len(waiting))
                running[start(change, chosen, folder)] = change, len(chosen), limit, folder
            time.sleep(0.05)
            for process, (change, tests, limit, folder) in list(running.items()):
                ended, status = os.waitpid(process, os.WNOHANG)
                if ended or time.monotonic() > limit:
                    with suppress(ProcessLookupError):
                        os.killpg(process, signal.SIGKILL)  # with all that the tests started
                    if not ended:
                        _, status = os.waitpid(process, 0)
                    del running[process]
                    remove(folder)
                    result = RESULTS.get(os.waitstatus_to_exitcode(status), "died ")
                    self.results.append(result)
                    self._tell(session, f"{result} {change} ({tests} tests)")
        tried, live = len(self.results) - self.results.count("cannot be made"), self.results.count("LIVES")
        share = 100 * (tried - live) / max(1, tried)
        self._tell(session, f"{tried} of {len(every)} changes tried, {live} live: {share:.0f} % died")
        return True

    def _tell(self, session: pytest.Session, line: str) -> None:
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        reporter.write_line(line)
        reporter.flush()


def start(change: Change, items: list[pytest.Item], folder: Path) -> int:
    """Start a process that makes a change and runs tests up to the first that fails; return its id."""
    if (process := os.fork()) != 0:
        return process
    status = 3
    try:
        os.setsid()
        folder.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        os.environ["PROGRAM_FOLDER"] = str(copy_with(change, folder / "program"))
        make(change)
        status = 1
        for item in items[:1]:
            item.config.pluginmanager.unregister(name="terminalreporter")
        for item, following in zip(items, [*items[1:], None], strict=False):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if item.session.testsfailed:
                item.session._setupstate.teardown_exact(None)  # stops PostgreSQL
                break
        else:
            status = 0
    finally:
        os._exit(status)


def copy_with(change: Change, folder: Path) -> Path:
    """Copy the program with a change, for the commands that tests start as processes."""
    for name in ("etl", "migrations"):
        shutil.copytree(CHECKOUT / name, folder / name)
    (folder / change.path).write_text(ast.unparse(change.tree), encoding="utf-8")
    return folder


def remove(folder: Path) -> None:
    """Remove what a child left; one that hung left its PostgreSQL, too."""
    for file in folder.glob("*/data/postmaster.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(file.read_text(encoding="utf-8").split()[0]), signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)


class TestRecord:
    """Which tests execute which lines, and how many seconds each takes."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self._lines = CoverageData(str(folder / "coverage"))
        self._lines.read()
        self._seconds = dict[str, float]()
        log = (folder / "log").read_text(encoding="utf-8")
        for seconds, test in re.findall(r"^([\d.]+)s (?:call|setup) +(.+)$", log, re.MULTILINE):
            self._seconds[test] = self._seconds.get(test, 0) + float(seconds)
        for test in failures(log):  # they tell nothing
            self._seconds.pop(test, None)

    def that_execute(self, change: Change, seconds: float) -> list[str]:
        """Return the tests that execute a change, as many as fit in ``seconds``: the quickest, then some of each file.

        What only a fixture executes concerns all tests of its file, and what runs at import all tests of the module.
        """
        contexts = self._lines.contexts_by_lineno(str(CHECKOUT / change.path))
        found = {context for line in change.lines for context in contexts.get(line, ())}
        if "" in found:  # outside of a test
            found = {context for line in contexts.values() for context in line}
        by_tests = {
            context.removesuffix(end) for end in ("|run", " (call)") for context in found if context.endswith(end)
        }
        files = set() if by_tests else {context.split("::")[0] for context in found}
        concerned = [test for test in self._seconds if test in by_tests or test.split("::")[0] in files]
        quickest, of_file, spent = list[str](), dict[str, list[str]](), 0.0
        for test in sorted(concerned, key=self._seconds.__getitem__):
            spent += self._seconds[test]
            if spent <= seconds / 2:
                quickest.append(test)
            else:
                of_file.setdefault(test.split("::")[0], []).append(test)
        tests = quickest + [test for row in zip_longest(*of_file.values()) for test in row if test is not None]
        while tests[1:] and sum(self._seconds[test] for test in tests) > seconds:
            del tests[-1]
        return tests


def failures(log: str) -> list[str]:
    """Return the tests that failed in a run."""
    return re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", log, re.MULTILINE)


def recorded() -> Path:
    """Return the folder of the record for this core and these tests; run them once if there is none."""
    digest = hashlib.sha256()
    for path in sorted(path for part in ("etl", "tests") for path in (CHECKOUT / part).rglob("*.py")):
        digest.update(path.read_bytes())
    folder = CHECKOUT / ".mutate" / digest.hexdigest()[:16]
    if not (folder / "log").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "settings").write_text(COVERAGE.format(folder / "coverage"), encoding="utf-8")
        measure = ["--cov", f"--cov-config={folder / 'settings'}", "--cov-context=test", "--cov-report="]
        command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "worksteal", "-vv", "--durations=0"]
        tests = ["-p", "no:cacheprovider", *TESTS]
        environment = {**os.environ, "RECORD_PROCESSES": str(folder / "settings")}
        done = subprocess.run(
            [*command, *measure, *tests], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            sys.exit(f"the tests do not run:\n{done.stdout[-3000:]}")
        for test in failures(done.stdout):
            sys.stderr.write(f"fails without a change, so it is left out: {test}\n")
        (folder / "log").write_text(done.stdout, encoding="utf-8")
    return folder


if __name__ == "__main__":
    main()
