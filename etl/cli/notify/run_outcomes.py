"""Reports the outcome of a run: to Prometheus by a file, to people by a command or a webhook.

A notice is JSON. A command gets it on its standard input, a webhook by POST, both within a time limit. A failure here
is a warning in the log. It changes no exit code and stops no work.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from msgspec import Struct, field
from sqlalchemy import Engine

from etl import __version__
from etl.errors import ExitCode
from etl.logs import get_logger, redact
from etl.settings import Settings
from etl.times import format_time

log = get_logger()

_SYNCS = ("sync", "reconcile")  # after these everything up to now is stored
_TOLD_OF = range(ExitCode.BUG, ExitCode.DATABASE + 1)
_HINTS: dict[int, str] = {
    ExitCode.BUG: "a bug: the log has a traceback; please report it",
    ExitCode.USAGE: "a setting is wrong: kore-etl config show",
    ExitCode.INCOMPLETE: "done, but not all is stored or certain: kore-etl rejected list, kore-etl status",
    ExitCode.REFUSED: "the API refused the token, its scope, the stream or the request: kore-etl check",
    ExitCode.UNREACHABLE: "the API was not reached or failed after all tries; the next run goes on from here: "
    "kore-etl check",
    ExitCode.DATABASE: "the database cannot be read or written: kore-etl db check",
}


class Outcome(Struct, frozen=True):
    """The outcome of a command on one source; ``budget_used`` is the share of the budget used in the last minute."""

    name: str
    stream_id: str
    exit_code: int
    began: datetime
    ended: datetime
    error: str | None = None
    run: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    watermark: str | None = None
    budget_used: float = 0.0


class Notifier:
    """Reports the outcome of each source as the settings say."""

    def __init__(self, settings: Settings, command: str, streams: Collection[str] = ()) -> None:
        self._settings = settings
        self._command = command
        self._streams = streams
        self._writing = Lock()

    def tell(self, ending: Outcome, engine: Engine | None) -> None:
        """Write the metrics file, and send a notice of a failure or a success."""
        if self._settings.metrics_file is not None and ending.exit_code != ExitCode.LOCKED:
            from etl.cli.notify.metrics_file import write_metrics

            self._write(lambda path: write_metrics(path, self._command, ending, engine, self._streams))
        action = self._action(ending.exit_code)
        if action:
            give_notice(self._settings, action, self._command, ending)

    def tell_of_worker(self, figures: Mapping[str, float]) -> None:
        """Write the figures of this worker into the metrics file, and when."""
        if self._settings.metrics_file is not None:
            from etl.cli.notify.metrics_file import write_worker_metrics

            self._write(lambda path: write_worker_metrics(path, figures))

    def _action(self, exit_code: int) -> str | tuple[str, ...] | None:
        """Return the command or the address that hears of a run with this exit code."""
        is_good = exit_code == ExitCode.INCOMPLETE and not self._settings.notify_incomplete
        if exit_code == ExitCode.DONE or is_good:
            return self._settings.on_success if self._command in _SYNCS else None
        return self._settings.on_failure if exit_code in _TOLD_OF else None

    def _write(self, write: Callable[[Path], None]) -> None:
        path = self._settings.metrics_file
        assert path is not None  # noqa: S101 - the caller saw to it
        try:
            with self._writing:
                write(path)
        except Exception as error:  # noqa: BLE001 - the tasks are stored; missing figures fail no run
            reason = getattr(error, "strerror", None) or str(error)
            log.warning("metrics.failed", file=str(path), reason=reason)


class _NoticeError(Exception):
    """The notice was not delivered; the text shows neither the address nor the answer."""


def summary(command: str, ending: Outcome) -> dict[str, Any]:
    """Return the summary of an outcome."""
    return {
        "program": "kore-etl",
        "version": __version__,
        "source": ending.name,
        "stream_id": ending.stream_id,
        "command": command,
        "run": ending.run,
        "exit_code": ending.exit_code,
        "error": ending.error,
        "hint": _HINTS.get(ending.exit_code),
        "started_at": format_time(ending.began),
        "finished_at": format_time(ending.ended),
        "watermark": ending.watermark,
        "counts": dict(ending.counts),
    }


def give_notice(settings: Settings, action: str | tuple[str, ...], command: str, ending: Outcome) -> None:
    """Send the notice to a command or an address; if that fails, log a warning."""
    import orjson

    seconds = settings.on_failure_timeout.total_seconds()
    told = redact(orjson.dumps(summary(command, ending)).decode())
    try:
        if isinstance(action, str):
            _post(action, told.encode(), seconds, str(settings.ca_bundle) if settings.ca_bundle else None)
        else:
            _run(action, told.encode(), seconds)
    except _NoticeError as error:
        log.warning("notice.failed", reason=str(error))
    else:
        log.debug("notice.given")


def _run(command: Sequence[str], told: bytes, seconds: float) -> None:
    import subprocess

    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise _NoticeError(f"the command cannot be run: {getattr(error, 'strerror', None) or 'unusable'}") from None
    try:
        process.communicate(told, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise _NoticeError(f"the command took longer than {seconds:g} s and was ended") from None
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):  # with all that it started
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        raise _NoticeError(f"the command ended with {process.returncode}")


def _environment() -> dict[str, str]:
    """Return the environment without our settings, credentials and every variable that holds a secret."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KORE_ETL_") and name != "CREDENTIALS_DIRECTORY" and redact(value) == value
    }


def _post(url: str, told: bytes, seconds: float, ca_bundle: str | None) -> None:
    outcome: list[str] = []
    # The library's timeout restarts with each byte. A thread can be abandoned.
    thread = Thread(target=lambda: outcome.append(_posted(url, told, seconds, ca_bundle)), daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise _NoticeError(f"the webhook did not answer within {seconds:g} s")
    if outcome[0]:
        raise _NoticeError(outcome[0])


def _posted(url: str, told: bytes, seconds: float, ca_bundle: str | None) -> str:
    """Post the notice and return the error, or an empty text."""
    import requests

    headers = {"Content-Type": "application/json", "User-Agent": f"kore-etl/{__version__}"}
    try:
        with requests.post(
            url,
            data=told,
            headers=headers,
            timeout=seconds,
            allow_redirects=False,
            stream=True,
            verify=ca_bundle or True,
        ) as answer:
            return "" if answer.status_code < 300 else f"the webhook answered {answer.status_code}"
    except (requests.exceptions.RequestException, OSError, ValueError) as error:
        return f"the webhook cannot be reached ({type(error).__name__})"
