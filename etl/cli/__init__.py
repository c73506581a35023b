"""The command ``kore-etl``; :mod:`etl.cli.main` is its entry."""

from etl.cli.main import main

__all__ = ["main"]
