"""Files that take their place once they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE, S_ISREG
from typing import BinaryIO, Literal

from etl.errors import ConfigError


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file that takes its place once the block is done, and leaves nothing behind if that fails.

    What is no file, such as /dev/stdout or a pipe with a name, is written into and not replaced; a link stays one, and
    the mode of a file that is replaced is kept.
    """
    if _is_stream(path):
        with _opened(path, path, "wb") as file:
            yield file
        return
    place = path.resolve()
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    file = _opened(path, beside, "xb")
    try:
        with file:
            if place.exists():
                os.fchmod(file.fileno(), S_IMODE(place.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)
    finally:
        with suppress(OSError):
            beside.unlink()


def _is_stream(path: Path) -> bool:
    with suppress(OSError):
        found = path.stat()
        return not S_ISREG(found.st_mode) or os.path.samestat(found, os.fstat(1))
    return False


def _opened(named: Path, path: Path, mode: Literal["wb", "xb"]) -> BinaryIO:
    try:
        return path.open(mode)
    except OSError as error:
        what = f"--out {named}: cannot be written: {error.strerror}"
        raise ConfigError(f"{what}; choose a file in a folder that is there and that you may write to") from error
