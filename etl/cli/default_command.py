"""A group that stands for one of its commands where none is named: ``kore-etl runs`` is ``kore-etl runs list``."""

from __future__ import annotations

from typing import Any

import click


class DefaultGroup(click.Group):
    """A group with a command that is meant where the first word is no command but an option, or nothing."""

    def __init__(self, *args: Any, default: str, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front where there is none."""
        if ctx.resilient_parsing:  # a shell that completes: what is typed so far stands for itself
            return super().parse_args(ctx, args)
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [self._default, *args]
        return super().parse_args(ctx, args)
