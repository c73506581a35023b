"""``kore-etl fetch``: make one getTasks request, with each of its parameters as an option."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
import orjson
from msgspec import Struct
from msgspec.structs import replace

from etl.cli.options import Common, common_options, date, only_source, source_option
from etl.errors import ApiError, ExitCode
from etl.exact_json import fragment
from etl.logs import say

if TYPE_CHECKING:
    from etl.extract.http.query import Query
    from etl.extract.http.retrying_client import Client

_USUAL_LIMIT = 50

_HELP = """Make one getTasks request and print the tasks, one JSON object a line.

The request contains only the options that you give. It uses no database. --mine sends the key mytask, like the sample
request in the API's documentation; the table there calls it mycase.

\b
Example:
  kore-etl fetch --unresolved --priority Critical --sort dueDate:asc
  kore-etl fetch --search printer --start 2025-05-26 --all | jq -r .refId
  kore-etl fetch --limit 1 --raw | jq .totalResults
"""


def _sort(value: str) -> tuple[str, str]:
    """Split FIELD:asc or FIELD:desc at the last colon; FIELD alone is ascending."""
    field, colon, direction = value.rpartition(":")
    if not colon:
        field, direction = value, "asc"
    if not field or direction not in ("asc", "desc"):
        raise click.BadParameter(f"Invalid sort '{value}': use FIELD, FIELD:asc or FIELD:desc.")
    return field, direction


def _json(value: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        message = f"'{value}' is not JSON ({error}); a plain name needs quotes too: '\"Region\"'."
        raise click.BadParameter(message) from error


_PARAMETERS = (
    click.option("--search", "search_text", metavar="TEXT", help="Tasks with this in their name."),
    click.option("--unresolved/--no-unresolved", default=None, help="Send unresolved: true, or false."),
    click.option("--unassigned/--no-unassigned", default=None, help="Send unassigned: true, or false."),
    click.option("--mine/--no-mine", "mytask", default=None, help="Send mytask: true, or false."),
    click.option("--priority", multiple=True, metavar="NAME", help="Of this priority; may be repeated, as all lists."),
    click.option("--status", multiple=True, metavar="NAME", help="In this status."),
    click.option("--channel", multiple=True, metavar="NAME", help="From this channel, such as rtm."),
    click.option("--queue", "queues", multiple=True, metavar="NAME", help="In this queue."),
    click.option("--agent", "agents", multiple=True, metavar="NAME", help="Of this agent."),
    click.option("--start", type=date, help="Not before this date; kore-etl probe shows which date."),
    click.option("--end", type=date, help="Not after."),
    click.option("--due", "due_date", type=date, help="Due at exactly this time."),
    click.option(
        "--custom-field", "custom_fields", multiple=True, type=_json, metavar="JSON", help="An element of customFields."
    ),
    click.option("--eta", "eta_list", multiple=True, metavar="TEXT", help="An element of ETAlist."),
    click.option("--sort", "sort_by", type=_sort, metavar="FIELD[:asc|desc]", help="Order of the tasks."),
    click.option(
        "--column", "selected_columns", multiple=True, metavar="NAME", help="Return only this key; may be repeated."
    ),
    click.option("--skip", type=click.IntRange(min=0), default=0, help="Skip N tasks."),
    click.option("--limit", type=click.IntRange(min=1), help="Rows a request. Default: the server decides."),
)


def _parameters(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_PARAMETERS):
        command = option(command)
    return command


@click.command(help=_HELP)
@common_options
@source_option
@_parameters
@click.option("--all", "read_on", is_flag=True, help="Read all pages, by skip.")
@click.option("--raw", is_flag=True, help="Print each whole answer instead of its tasks.")
def fetch(common: Common, select: tuple[str, ...], read_on: bool, raw: bool, **given: Any) -> int:
    """Make the request, and with --all those that follow."""
    from etl.cli.client_factory import Builder
    from etl.stop_request import graceful

    query = _query(given)
    settings = common.start(select=select).settings
    with graceful() as stop:
        source = only_source(settings, "fetch reads one source at a time; choose it with --source")
        client = Builder(settings, stop=stop).client(source)
        if read_on and query.limit is None:
            query = replace(query, limit=source.page_size or _USUAL_LIMIT)
        reading = _Reading(client, query, raw=raw, quiet=common.verbosity < 0)
        try:
            return reading.read(read_on=read_on)
        finally:
            client.close()


def _query(given: dict[str, Any]) -> Query:
    from etl.extract.http.query import Query

    query = Query(**{name: value for name, value in given.items() if value is not None and value != ()})
    try:
        orjson.dumps(query.body())
    except orjson.JSONEncodeError as error:
        raise click.UsageError(f"an option cannot be sent: {error}") from error
    return query


class _Reading(Struct):
    """A read in progress: prints the answers, and a summary at the end."""

    client: Client
    query: Query
    raw: bool
    quiet: bool
    rows: int = 0
    total: int | None = None

    def read(self, *, read_on: bool) -> int:
        """Print the page, or all pages; return the exit code."""
        from etl.extract.http.response_page import record_id

        code = ExitCode.DONE
        before: list[str | None] = []
        for answer in self._answers(read_on=read_on):
            ids = [record_id(record) for record in answer["results"]]
            if any(ids) and ids == before:
                say("the server ignores skip and repeats the page: later pages cannot be read", "warning")
                code = ExitCode.INCOMPLETE
                break
            before = ids
            self._print(answer)
        self._summarise(read_on=read_on)
        return code

    def _answers(self, *, read_on: bool) -> Iterator[dict[str, Any]]:
        from etl.api_record import plain
        from etl.extract.http.response_page import read_page

        query = self.query
        while True:
            answer = self.client.answer(query)
            answer["results"] = [plain(record) for record in answer["results"]]
            page = read_page(answer)
            self.total = page.total
            yield answer
            if not read_on or not len(page) or page.is_last(query.skip):
                return
            if query == self.query:
                advice = "kore-etl sync reads exactly"
                say(f"paging by skip may miss or repeat rows that change meanwhile; {advice}", "warning")
            query = replace(query, skip=query.skip + len(page))

    def _print(self, answer: dict[str, Any]) -> None:
        self.rows += len(answer["results"])
        lines = [answer] if self.raw else answer["results"]
        click.echo(b"".join(_line(each) for each in lines), nl=False)

    def _summarise(self, *, read_on: bool) -> None:
        if self.quiet:
            return
        from etl.cli.output import counted

        requests = self.client.usage.requests
        of = "the server gives no total" if self.total is None else f"{self.total} match"
        more = self.total is not None and self.query.skip + self.rows < self.total and not read_on
        hint = "; --all reads on" if more else ""
        say(f"{counted(self.rows, 'task')}, {counted(requests, 'request')}; {of}{hint}")


def _line(value: Any) -> bytes:
    """Write a value as it was sent; keep its escapes where UTF-8 or 64 bits cannot hold it."""
    try:
        return orjson.dumps(value, default=fragment, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        pass
    try:
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"
    except RecursionError as error:
        raise ApiError("the API gave a task that is nested too deeply to be written") from error
