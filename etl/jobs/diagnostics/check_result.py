"""Results of checks, one for each line of output, and the exit code that follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from etl.errors import EtlError, ExitCode

State = Literal["ok", "warning", "failed", "unknown"]


class CheckResult(Struct, frozen=True):
    """What was checked, its state, and what to do. It is ``unknown`` if an earlier failure prevented the check."""

    what: str
    state: State
    detail: str
    to_do: str = ""
    exit_code: int = ExitCode.DONE
    source: str | None = None


def ok(what: str, detail: str) -> CheckResult:
    """Return a result that needs no action."""
    return CheckResult(what, "ok", detail)


def warning(what: str, detail: str, to_do: str) -> CheckResult:
    """Return a problem that does not stop a sync."""
    return CheckResult(what, "warning", detail, to_do)


def unknown(what: str, detail: str) -> CheckResult:
    """Return the reason why something was not checked."""
    return CheckResult(what, "unknown", detail)


def failed(what: str, error: EtlError) -> CheckResult:
    """Return a problem that stops every sync. The error's text ends with what to do."""
    detail, _, to_do = " ".join(str(error).split()).rpartition("; ")
    return CheckResult(what, "failed", detail or to_do, to_do if detail else "", error.exit_code)


def worst(results: Iterable[CheckResult]) -> int:
    """Return the exit code of the first failure. A held lock counts only if nothing else failed."""
    codes = [result.exit_code for result in results if result.state == "failed"]
    return next((code for code in codes if code != ExitCode.LOCKED), codes[0] if codes else 0)
