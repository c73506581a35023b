"""``kore-etl explore``: browse and query the database in a browser."""

from __future__ import annotations

import signal
import webbrowser
from types import ModuleType

import click

from etl.cli.options import Common, common_options
from etl.errors import ConfigError
from etl.logs import say
from etl.optional_packages import install_command
from etl.stop_request import handling

_STOPS = (signal.SIGINT, signal.SIGTERM)


@click.command()
@common_options
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Listen on this port. Default: a free port.")
@click.option("--open", "open_it", is_flag=True, help="Open the browser.")
def explore(common: Common, port: int, open_it: bool) -> None:
    """Show a SQLite database in the browser: tables, views, a search, ten questions and your own SQL.

    It only reads, and syncs may run meanwhile. It answers on this machine alone, but to all its users. Ctrl-C ends it.
    For PostgreSQL use the Grafana dashboard config/grafana/kore-etl.json. It needs the extra explore: see
    docs/install.md.

    \b
    Example:
      kore-etl explore --open
      kore-etl explore --port 8001 --database-url sqlite:///kore-etl.db
    """
    from etl.cli.open_database import existing_database
    from etl.load.database.engine import sqlite_file

    settings = common.start(need_sources=False).settings
    file = sqlite_file(settings.database_url)
    if file is None:
        message = "explore shows a SQLite file, and the database is PostgreSQL; use Grafana with"
        raise ConfigError(f"{message} config/grafana/kore-etl.json, or any client of PostgreSQL")
    server = _server()
    with existing_database(settings, schema="newest"):
        pass  # its schema fits
    app = server.make_app(file)
    # Ctrl-C and SIGTERM end only the server, which raises them again afterwards.
    with server.listen(port) as listening, handling(dict.fromkeys(_STOPS, lambda *_: None)):
        address = f"http://{server.HOST}:{listening.getsockname()[1]}/"
        click.echo(address)
        common.say(f"{file} is shown at {address}; Ctrl-C ends it")
        if open_it and not webbrowser.open(address):
            say(f"no browser was found; open {address} yourself")
        server.serve(app, listening)


def _server() -> ModuleType:
    try:
        from etl.explore import server
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"explore: the package {error.name} is not installed; run: {install_command('explore')}"
        ) from error
    return server
