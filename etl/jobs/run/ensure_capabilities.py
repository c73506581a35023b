"""The capabilities of the server: kept, set by the settings, asked for by a probe, and corrected on drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from etl.errors import ApiError, RefusedError
from etl.extract.capabilities import QUESTIONS, CapabilityDriftError, ServerCapabilities
from etl.extract.http.retrying_client import Client
from etl.extract.probe.find_capabilities import ProbeResult, probe
from etl.extract.probe.probe_session import WITHOUT_ROWS
from etl.jobs.run.fenced_transactions import SourceStore
from etl.load.ledger import runs, sources
from etl.load.ledger.sources import Source
from etl.logs import get_logger

log = get_logger()


class CapabilityTracker:
    """Holds the current capabilities of a source's server; ``overrides`` are the answers that the settings give."""

    def __init__(
        self,
        client: Client,
        store: SourceStore,
        source: Source,
        overrides: Mapping[str, Any],
        clock: Callable[[], datetime],
    ) -> None:
        kept = ServerCapabilities.from_json(source.capabilities)
        self.current = kept.with_overrides(overrides)
        self.probed: ProbeResult | None = None
        self._client = client
        self._store = store
        self._clock = clock
        self._probed_at = None if self.current.knows_less_than(kept) else source.probed_at
        self._overrides = dict(overrides)
        self._corrected: set[str] = set()
        self._accepted_rows: int | None = None

    def ensure_known(self, *, every: bool = False, again: bool = False) -> None:
        """Ask the server what is not known of it yet.

        ``every`` asks for known ones too. ``again`` repeats questions without an answer, although nothing was stored
        since.

        Raises:
            EtlError: as the client does.
        """
        if not every and not (self.current.unknown() and (again or self._may_tell_more())):
            return
        known = ServerCapabilities().with_overrides(self._overrides) if every else self.current
        self._store.commit()
        self.probed = probe(self._client.fetch, known)
        found = self.probed.capabilities
        changed = [name for name in QUESTIONS if getattr(self.current, name) != getattr(found, name)]
        answered = [name for name in changed if getattr(self.current, name) is None]
        self.learn(found, *(name for name in changed if name not in answered))
        log.info(
            "probe.finished", requests=self.probed.requests, answered=answered, unknown=self.current.unknown()
        )  # fmt: skip

    def learn(self, capabilities: ServerCapabilities, *changed: str, is_certain: bool = True) -> None:
        """Keep what was found out, and log the questions whose answer ``changed``.

        Where it is not ``is_certain``, the next run's probe asks again.
        """
        before, self.current = self.current, capabilities.with_overrides(self._overrides)
        for question in changed:
            log.warning(
                "probe.changed",
                question=question,
                before=getattr(before, question),
                now=getattr(capabilities, question),
                evidence=capabilities.evidence.get(question),
            )
        self._store.write(sources.remember, capabilities.to_json(), self._clock() if is_certain else None)

    def learn_page_rows(self, rows: int, evidence: str) -> None:
        """Ask for no more rows a page in this run, even if the settings say otherwise, and keep that."""
        self._accepted_rows = rows
        self.learn(self.current.with_answer("page_rows", rows, evidence), "page_rows")

    def learn_longest_range(self, length: timedelta) -> None:
        """Ask for no longer ranges of dates from now on, and for none without an end."""
        evidence = f"{length} was answered, a longer range refused"
        learnt = self.current.with_answer("any_range", answer=False, evidence=evidence)
        learnt = learnt.with_answer("longest_range", length, evidence)
        names = ("any_range", "longest_range")
        changed = [name for name in names if getattr(self.current, name) != getattr(learnt, name)]
        if changed:
            self.learn(learnt, *changed)

    def most_rows(self) -> int | None:
        """Return how many rows a page may have, None if that is not known."""
        return min(filter(None, (self.current.page_rows, self._accepted_rows)), default=None)

    def correct(self, drift: CapabilityDriftError) -> None:
        """Take over what the server just showed; where it contradicts itself, the next run's probe asks again.

        Raises:
            ApiError: the same question drifted before in this run, its answer is set in the settings, or no answer
                fits.
        """
        question = drift.question
        if self._overrides.get(question) is not None:
            raise ApiError(f"{drift}; it is set by hand: correct or remove the setting {question}") from drift
        is_field = question == "window_field"
        if question in self._corrected or drift.answer == "neither" or (is_field and self._ignores_dates()):
            self.learn(self.current.with_answer(question, None, drift.evidence), question, is_certain=False)
            raise ApiError(f"{drift}; what this server does cannot be read exactly") from drift
        self._corrected.add(question)
        self.learn(self.current.with_answer(question, drift.answer, drift.evidence), question)

    def _ignores_dates(self) -> bool:
        """Tell whether rows come for a time without any. Their dates alone may fit a field by chance."""
        self._store.commit()
        try:
            return bool(self._client.fetch(WITHOUT_ROWS).records)
        except RefusedError:
            return False

    def _may_tell_more(self) -> bool:
        """Tell whether any task was stored since the last probe: the same rows would show no more."""
        return self._probed_at is None or self._store.read(runs.have_stored_since, self._probed_at)
