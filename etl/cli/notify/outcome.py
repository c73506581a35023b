"""Reports the outcome of a run: to Prometheus by a file, to people by a command or a webhook.

A failure here is a warning in the log. It changes no exit code and stops no work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from etl.errors import ExitCode
from etl.logs import get_logger

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.settings import Settings

log = get_logger()

_TOLD_OF = range(ExitCode.BUG, ExitCode.DATABASE + 1)


@dataclass(frozen=True, slots=True)
class Outcome:
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

    def __init__(self, settings: Settings, command: str) -> None:
        self._settings = settings
        self._command = command

    def tell(self, ending: Outcome, engine: Engine | None) -> None:
        """Write the metrics file, and send a notice of a failure."""
        if self._settings.metrics_file is not None and ending.exit_code != ExitCode.LOCKED:
            self._write_metrics(ending, engine)
        if self._is_failure(ending.exit_code):
            from etl.cli.notify.on_failure import give_notice

            give_notice(self._settings, self._command, ending)

    def _is_failure(self, exit_code: int) -> bool:
        if self._settings.on_failure is None or exit_code not in _TOLD_OF:
            return False
        return exit_code != ExitCode.INCOMPLETE or self._settings.notify_incomplete

    def _write_metrics(self, ending: Outcome, engine: Engine | None) -> None:
        from etl.cli.notify.metrics_file import write_metrics

        path = self._settings.metrics_file
        assert path is not None  # noqa: S101 - the caller saw to it
        try:
            write_metrics(path, self._command, ending, engine)
        except Exception as error:  # noqa: BLE001 - the tasks are stored; missing figures fail no run
            reason = getattr(error, "strerror", None) or str(error)
            log.warning("metrics.failed", file=str(path), reason=reason)
