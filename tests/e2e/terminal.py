"""The command on a terminal of some width: what a person sees, and what they type."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import clean_environment

_AS_ITS_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it, and /dev/tty is this
from etl.cli import main
main(sys.argv[1:])
"""


def on_terminal(
    arguments: list[str], folder: Path, env: Mapping[str, str], *, columns: int = 80, typed: str = ""
) -> tuple[int, str]:
    """Run ``kore-etl`` on a terminal; give its exit code and all that was shown there."""
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
    os.write(parent, typed.encode())
    shown = b""
    try:
        while part := os.read(parent, 4096):
            shown += part
    except OSError:  # the other side is closed
        pass
    os.close(parent)
    return process.wait(timeout=60), shown.decode().replace("\r\n", "\n")
