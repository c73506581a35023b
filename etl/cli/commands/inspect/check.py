"""``kore-etl check``: check whether a sync would work, and what to do if not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from etl import logs
from etl.cli.options import Common, common_options, output_option, source_option
from etl.errors import ConfigError, EtlError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.jobs.diagnostics.check_result import CheckResult
    from etl.settings import Loaded, SourceSettings

_COLORS = {"ok": "green", "warning": "yellow", "failed": "red", "unknown": "cyan"}


@click.command()
@common_options
@source_option
@click.option("--moved", is_flag=True, help="Confirm that a source's server has moved to the base_url in the settings.")
@output_option
def check(common: Common, select: tuple[str, ...], moved: bool, output: str) -> int:
    """Check whether a sync would work: settings, database, network, clock, token, stream, budget, lock.

    Each check prints a line: ok, warning, failed, or unknown after an earlier failure. A failed line says what to do.
    The command makes one request for each source, counts it in the account's budget, and writes nothing else. It exits
    with the code of the first failure.

    If the host of a known source has changed, the command asks on a terminal whether its server has moved. --moved
    answers yes. Only this answer is stored. A different server needs a different source name.

    \b
    Example:
      kore-etl check
      kore-etl check --output json | jq '.findings[] | select(.state != "ok")'
    """
    from etl.cli.output import print_json
    from etl.jobs.diagnostics.check_result import worst

    found = []
    for finding in _findings(common, select, moved=moved, ask=output == "text"):
        found.append(finding)
        if output == "text":
            _print(finding, of_many=len(select) != 1)
    code = worst(found)
    if output == "json":
        print_json({"findings": found, "exit_code": code})
    return code


def _findings(common: Common, select: Sequence[str], *, moved: bool, ask: bool) -> Iterator[CheckResult]:
    from etl.jobs.diagnostics.check_result import failed

    logs.configure(common.verbosity)
    try:
        loaded = common.load(select=select)
    except ConfigError as error:
        yield from (failed("settings", ConfigError(problem)) for problem in error.problems)
        return
    yield from _settings(loaded)
    engine, findings = _database(loaded)
    yield from findings
    try:
        yield from _sources(loaded, engine, moved=moved, ask=ask)
    finally:
        if engine is not None:
            engine.dispose()


def _settings(loaded: Loaded) -> Iterator[CheckResult]:
    from etl.jobs.diagnostics.check_result import ok, warning

    names = ", ".join(str(path) for path in loaded.files) or "the environment"
    count = len(loaded.settings.sources)
    yield ok("settings", f"{count} source{'s' if count > 1 else ''}, from {names}")
    for odd_id in loaded.id_warnings:
        yield warning("settings", *odd_id.split(": "))
    for text in loaded.warnings:
        detail, _, to_do = text.rpartition(": ")
        yield warning("permissions", detail, to_do)
    if not loaded.warnings:
        yield ok("permissions", "no other user can read a secret")


def _database(loaded: Loaded) -> tuple[Engine | None, list[CheckResult]]:
    """Return the database, if it exists and opens, and the findings about it."""
    from etl.jobs.diagnostics import check_database as checks
    from etl.jobs.diagnostics.check_result import failed, unknown
    from etl.load.database.engine import open_engine, sqlite_file

    settings = loaded.settings
    path = sqlite_file(settings.database_url)
    findings: list[CheckResult] = []
    if path is not None:
        findings += checks.check_file(path)
        if not path.is_file() or any(each.state == "failed" for each in findings):
            reason = "the database cannot be opened" if path.exists() else "none yet"
            return None, [*findings, unknown("tables", reason)]
    try:
        engine = open_engine(settings.database_url)
    except EtlError as error:
        return None, [*findings, failed("database", error)]
    if path is None:
        findings.append(checks.check_server(engine))
    if findings[0].state == "failed":
        return None, [*findings, unknown("tables", "the database cannot be opened")]
    findings.append(checks.check_schema(engine, migrate=settings.migrate))
    return (engine if findings[-1].state == "ok" else None), findings


def _sources(loaded: Loaded, engine: Engine | None, *, moved: bool, ask: bool) -> Iterator[CheckResult]:
    from msgspec.structs import replace

    from etl.cli.client_factory import Builder
    from etl.jobs.diagnostics.check_result import failed
    from etl.jobs.diagnostics.check_source import check_source
    from etl.load.ledger.sources import unsettled_move

    builder = Builder(loaded.settings, engine)
    with closing(builder):
        for source in loaded.settings.sources:
            before = settle_move(engine, source, moved=moved, ask=ask) if engine is not None else None
            yield from check_source(builder.source_spec(source), builder.budget(source), engine)
            if before is not None:
                found = failed("source", unsettled_move(source.name, before, source.base_url))
                yield replace(found, source=source.name)


def settle_move(engine: Engine, source: SourceSettings, *, moved: bool = False, ask: bool = True) -> str | None:
    """Give a source its new host if ``moved``, or if the user confirms it on the terminal.

    Return the old base_url if nobody confirmed, None if there is no open question.
    """
    from etl.load.database.engine import reading
    from etl.load.ledger import sources

    identity = {"base_url": source.base_url, "account_id": source.account_id, "stream_id": source.stream_id}
    with reading(engine) as connection:
        before = sources.moved_from(connection, name=source.name, **identity)
    if before is None:
        return None
    question = f"Source {source.name} was read from {before} before. Is {source.base_url} the same server, moved?"
    if moved or (ask and sys.stdin.isatty() and click.confirm(question, err=True)):
        with engine.begin() as connection:
            sources.move(connection, name=source.name, **identity)
        return None
    return before


def _print(finding: CheckResult, *, of_many: bool) -> None:
    from etl.cli.output import terminal_columns, wrapped

    state: str = finding.state
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        state = click.style(finding.state, fg=_COLORS[finding.state])
    source = f" ({finding.source})" if finding.source not in (None, "default") and of_many else ""
    to_do = f"; {finding.to_do}" if finding.to_do else ""
    text = logs.clean(logs.redact(f"{finding.detail}{to_do}"))
    begin = f"{state}{' ' * (7 - len(finding.state))}  {finding.what:<11}  "
    for line in wrapped(f"{text}{source}", terminal_columns() - 22):
        click.echo(f"{begin}{line}")
        begin = " " * 22
