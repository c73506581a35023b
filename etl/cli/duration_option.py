"""An option that is a length of time."""

from __future__ import annotations

from datetime import timedelta

import click


class DurationOption(click.ParamType):  # type: ignore[type-arg]  # generic for the type checker alone
    """A length of time such as ``15m``; a number alone is seconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read the option's text."""
        from etl.times import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"'{value}': {error}.", param, ctx)
