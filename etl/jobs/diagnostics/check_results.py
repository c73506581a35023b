"""What a check found, line by line, and the exit code of the worst."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from etl.errors import EtlError, ExitCode

State = Literal["ok", "warning", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was looked at, how it is, and what to do; ``unknown`` is what something else kept from being seen."""

    what: str
    state: State
    detail: str
    to_do: str = ""
    exit_code: int = ExitCode.DONE
    source: str | None = None


def ok(what: str, detail: str) -> CheckResult:
    """Say that all is well."""
    return CheckResult(what, "ok", detail)


def warning(what: str, detail: str, to_do: str) -> CheckResult:
    """Say what is not as it should be, and hinders no sync."""
    return CheckResult(what, "warning", detail, to_do)


def unknown(what: str, detail: str) -> CheckResult:
    """Say why something was not looked at."""
    return CheckResult(what, "unknown", detail)


def failed(what: str, error: EtlError) -> CheckResult:
    """Say what makes a sync impossible; an error's text ends with what to do."""
    detail, _, to_do = " ".join(str(error).split()).rpartition("; ")
    return CheckResult(what, "failed", detail or to_do, to_do if detail else "", error.exit_code)


def worst(findings: Iterable[CheckResult]) -> int:
    """Return the exit code: that of the first failure, but of a lock only where nothing else failed."""
    codes = [finding.exit_code for finding in findings if finding.state == "failed"]
    return next((code for code in codes if code != ExitCode.LOCKED), codes[0] if codes else 0)
