"""The command on a terminal of some width: what a person sees, and what they type."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conftest import clean_environment

_PATIENCE = 60  # seconds
_AS_ITS_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it, and /dev/tty is this
from etl.cli.main import main
main(sys.argv[1:])
"""


def on_terminal(
    arguments: list[str],
    folder: Path,
    env: Mapping[str, str],
    *,
    columns: int = 80,
    typed: Sequence[str] = (),
    until: re.Pattern[str] | None = None,
) -> tuple[int, str]:
    """Run ``kore-etl`` on a terminal; give its exit code and all that was shown there.

    Each line of ``typed`` is typed when a question is shown that nothing was typed for yet. The command is interrupted
    once what is shown matches ``until``.
    """
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", _AS_ITS_TERMINAL, *arguments],
        cwd=folder,
        env=clean_environment(folder, {"TERM": "xterm", **env}),
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
    )
    os.close(child)
    try:
        shown = _conversation(parent, list(typed), until)
        if until is not None:
            process.kill()
        return process.wait(timeout=_PATIENCE), shown
    finally:
        process.kill()
        process.wait()
        os.close(parent)


def _conversation(terminal: int, typed: list[str], until: re.Pattern[str] | None) -> str:
    shown, answered = "", 0
    while select.select([terminal], [], [], _PATIENCE)[0]:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        shown += part.decode(errors="replace").replace("\r\n", "\n")
        if until is not None and until.search(shown):
            break
        if typed and shown.endswith(": ") and len(shown) > answered:
            os.write(terminal, f"{typed.pop(0)}\n".encode())
            answered = len(shown)
    return shown
