"""``kore-etl probe``: find out the server's capabilities and print them with their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from etl.cli.options import Common, common_options, output_option, source_option
from etl.extract.capabilities import BY_HAND
from etl.logs import clean

if TYPE_CHECKING:
    from etl.extract.capabilities import ServerCapabilities
    from etl.jobs.run.run_context import RunContext
    from etl.settings import Settings

_NEGLIGIBLE = timedelta(seconds=2)  # the Date header has whole seconds, and an answer takes time
_GRANULARITIES = {
    timedelta(milliseconds=1): "millisecond",
    timedelta(seconds=1): "second",
    timedelta(minutes=1): "minute",
    timedelta(hours=1): "hour",
    timedelta(days=1): "day",
}

# setting: (the question, what a sync assumes while the answer is unknown)
_QUESTIONS = {
    "window_field": ("startDate and endDate filter on", "assumed: createdAt, where changes cost more to find"),
    "ends_inclusive": ("rows on both dates are included", "assumed: no, which reads a little more"),
    "granularity": ("dates are compared to the", "assumed: a second"),
    "sort_updated": ("sortBy updatedAt is obeyed", "assumed: no, windows are split until each fits a page"),
    "sort_created": ("sortBy createdAt is obeyed", "assumed: no, windows are split until each fits a page"),
    "page_size": ("most rows a request", "assumed: 50"),
    "counts_inactive": ("inactive tasks are counted", "assumed: yes; learned as soon as a page shows some"),
    "longest_range": ("longest range of dates", "assumed: any; a refused range is halved"),
}
_ABILITIES = {"page_size": "page_rows"}  # the capabilities whose setting has another name


class Answer(NamedTuple):
    """A line of the table."""

    question: str
    answer: str
    evidence: str


@click.command()
@common_options
@source_option
@click.option("--all", "every", is_flag=True, help="Probe the known capabilities again, too.")
@output_option
def probe(common: Common, select: tuple[str, ...], every: bool, output: str) -> int:
    """Find out the server's capabilities in at most twelve requests, and store them for later syncs.

    It probes only what is unknown. A capability that the server's tasks cannot show stays unknown: syncs assume the
    worse case, and a later probe tries again. You can set each one in the settings: window_field, ends_inclusive,
    granularity, sort_updated, sort_created, page_size, longest_range.

    \b
    Example:
      kore-etl probe
      kore-etl probe --all --output json | jq '.sources[].answers'
    """
    return probe_sources(common.start(select=select).settings, every=every, output=output)


def probe_sources(settings: Settings, *, every: bool, output: str) -> int:
    """Probe each source, print what was found, and return the exit code."""
    from etl.cli.run_job_on_sources import Work, work_on_sources

    tables: dict[str, list[Answer]] = {}

    def work(run: RunContext) -> Mapping[str, Any]:
        run.capabilities.ensure_known(every=every, again=True)
        tables[f"{run.source.name}, {_count(run.fetch.requests)}"] = _answers(run)
        return _as_json(run)

    code = work_on_sources(settings, Work("probe", work), output=output)
    if output == "text":
        for title, table in tables.items():
            _show(title, table)
    return code


def _count(requests: int) -> str:
    return {0: "no request was needed", 1: "1 request"}.get(requests, f"{requests} requests")


def _as_json(run: RunContext) -> dict[str, Any]:
    kept, skew = run.capabilities.current.to_json(), run.fetch.client.skew
    evidence = kept.pop("evidence")
    answers = {
        name: {"answer": answer, "evidence": evidence.get(name), "set_by_hand": evidence.get(name) == BY_HAND}
        for name, answer in kept.items()
    }
    seconds = None if skew is None else round(skew.total_seconds(), 1)
    return {"answers": answers, "unknown": run.capabilities.current.unknown(), "clock_skew": seconds}


def _answers(run: RunContext) -> list[Answer]:
    return [*(_answer(run.capabilities.current, name) for name in _QUESTIONS), _clock(run)]


def _answer(capabilities: ServerCapabilities, setting: str) -> Answer:
    name = _ABILITIES.get(setting, setting)
    question, otherwise = _QUESTIONS[setting]
    value = getattr(capabilities, name)
    if name == "longest_range" and value is None and capabilities.any_range:
        return Answer(question, "any", capabilities.evidence.get("any_range", ""))
    if value is None:
        return Answer(question, "unknown", otherwise)
    return Answer(question, _text(name, value), capabilities.evidence.get(name, ""))


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "granularity":
        return _GRANULARITIES.get(value, str(value))
    if isinstance(value, timedelta):
        return f"{value.days} days" if value == timedelta(days=value.days) else str(value)
    return str(value)


def _clock(run: RunContext) -> Answer:
    question, skew = "the server's clock is", run.fetch.client.skew
    if skew is None:
        asked = "no answer had a Date header; this machine's is used" if run.fetch.requests else "nothing was asked"
        return Answer(question, "unknown", asked)
    evidence = "the Date header, in whole seconds"
    if abs(skew) < _NEGLIGIBLE:
        return Answer(question, "as ours", evidence)
    seconds = f"{abs(skew).total_seconds():.0f} s"
    return Answer(question, f"{seconds} ahead" if skew > timedelta() else f"{seconds} behind", evidence)


def _show(title: str, table: list[Answer]) -> None:
    from etl.cli.output import print_table

    click.echo(f"{clean(title)}:")
    print_table(Answer._fields, [line._asdict() for line in table])
