"""Turns whatever a command raised into one line and an exit code.

    EtlError            its own code, one line
    usage (click)       2, one line and the hint to --help
    KeyboardInterrupt   130, Terminated 143; no traceback
    a closed pipe       141 and no output, like a program that SIGPIPE ended (``kore-etl runs | head``)
    a full disk         1, one line; also an output that was closed before
    anything else       1, a traceback: it is a bug

Every text passes :func:`etl.logs.redact` before it is written.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import Literal, TextIO

import click

from etl import __version__
from etl.errors import ConfigError, EtlError, ExitCode
from etl.logs import clean, hide_passwords, journal_priority, redact, say
from etl.stop_request import Terminated

# A full disk; or an output that was closed before the command started.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EBADF)


def run(dispatch: Callable[[list[str]], object], args: list[str]) -> int:
    """Run the command and return the exit code; raise nothing."""
    threading.excepthook = _tell_of_thread
    _escape_unencodable_characters()
    for argument in args:
        if "://" in argument or "postgres" in argument:
            hide_passwords(argument)
    try:
        result = dispatch(args)
        code = result if isinstance(result, int) else ExitCode.DONE
    except BaseException as error:  # noqa: BLE001 - the one place where everything ends
        code = _told(error)
    return _flushed(code)


def _escape_unencodable_characters() -> None:
    """Make standard output and error escape characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _told(error: BaseException) -> int:  # noqa: PLR0911 - one return for each kind of error
    """Write one line about the error and return its exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        case KeyboardInterrupt() | click.exceptions.Abort():
            return _line("stopped", ExitCode.INTERRUPTED, "info")
        case Terminated():
            return _line("stopped by SIGTERM", ExitCode.TERMINATED, "info")
        case click.ClickException():
            return _usage(error)
        case ConfigError():
            return [_line(_one_line(problem), error.exit_code) for problem in error.problems][-1]
        case EtlError():
            return _line(_one_line(str(error)) or type(error).__name__, error.exit_code)
        case BrokenPipeError() if _pipe_is_closed():
            return ExitCode.CLOSED_PIPE
        case OSError() if error.errno in _UNWRITABLE:
            place = f" {error.filename}" if error.filename else ""
            return _line(f"cannot write{place}: {error.strerror}", ExitCode.BUG)
        case _:
            return _bug(error)


def _usage(error: click.ClickException) -> int:
    with suppress(OSError):
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
            return error.exit_code
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context else ""
    return _line(f"{error.format_message()}{hint}", error.exit_code)


def _bug(error: BaseException) -> int:
    _write("".join(traceback.format_exception(error)))
    return _line(f"this is a bug in kore-etl {__version__}: please report it with the lines above", ExitCode.BUG)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _tell_of_thread(thrown: threading.ExceptHookArgs) -> None:
    """Write a thread's traceback redacted; Python's own hook would show secrets."""
    if thrown.exc_value is not None:
        _write("".join(traceback.format_exception(thrown.exc_value)))


def _line(text: str, code: int, level: Literal["info", "error"] = "error") -> int:
    say(text, level)
    return code


def _write(text: str) -> None:
    priority = journal_priority("error")
    lines = clean(redact(text), keep="\n").splitlines()
    # The reader may be gone; the exit code still says what happened. A closed stream is None, or fails.
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write("".join(f"{priority}{line}\n" for line in lines))
        sys.stderr.flush()


def _pipe_is_closed() -> bool:
    # A socket can break too; then the streams still work and the error is a bug.
    return any(_nobody_reads(stream) for stream in (sys.stdout, sys.stderr))


def _nobody_reads(stream: TextIO | None) -> bool:
    poll = select.poll()
    try:
        poll.register(stream.fileno() if stream else -1, select.POLLOUT)
    except (OSError, ValueError):
        return True
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _flushed(code: int) -> int:
    """Flush standard output now: at the interpreter's end a failure could no longer change the exit code."""
    error = _flush_error(sys.stdout)
    if error is None:
        return code
    _discard(sys.stdout)
    if error.errno == errno.EPIPE:
        return code or ExitCode.CLOSED_PIPE
    if code == ExitCode.BUG:  # the failure was told when the output was written
        return code
    return _line(f"cannot write to standard output: {error.strerror}", code or ExitCode.BUG)


def _flush_error(stream: TextIO | None) -> OSError | None:
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except OSError as error:
        return error
    return None


def _discard(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
