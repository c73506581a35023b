"""Writes files atomically."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from stat import S_IMODE, S_ISREG
from typing import BinaryIO

from etl.errors import ConfigError


@contextmanager
def atomic_file(path: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """Give a file that replaces ``path`` after the block; on failure it leaves nothing behind.

    Nobody sees half a file or opens it without the right to read it. ``mode`` None keeps the mode of the replaced file,
    or uses the default.

    Raises:
        OSError: the file cannot be written, or the path is not a file, such as /dev/null.
    """
    if path.exists() and not (path.is_file() or path.is_symlink()):
        raise OSError(errno.EINVAL, "is no file", str(path))
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    if mode is None and path.exists():
        mode = S_IMODE(path.stat().st_mode)
    opener = None if mode is None else partial(os.open, mode=mode & 0o600)
    try:
        with open(beside, "xb", opener=opener) as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink()


@contextmanager
def output_file(path: Path) -> Iterator[BinaryIO]:
    """Give the file of ``--out``; a path such as /dev/stdout or a named pipe is written directly.

    A link stays, and its target is replaced.

    Raises:
        ConfigError: the file cannot be opened.
    """
    with _named_after(path), ExitStack() as open_files:
        try:
            way = path.open("wb") if _is_stream(path) else atomic_file(path.resolve())
            file = open_files.enter_context(way)
        except OSError as error:
            what = f"--out {path}: cannot be written: {error.strerror}"
            raise ConfigError(f"{what}; choose a file in a folder that is there and that you may write to") from error
        yield file


def write_text(path: Path, text: str, *, mode: int, advice: str, make_folder: bool = False) -> None:
    """Write a text atomically, with this mode; ``make_folder`` also makes its folder if needed.

    Raises:
        ConfigError: the file cannot be written; the error ends with the ``advice``.
    """
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path, mode=mode) as file:
            file.write(text.encode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}; {advice}") from error


@contextmanager
def _named_after(path: Path) -> Iterator[None]:
    """Add the path to an error without one: that of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _is_stream(path: Path) -> bool:
    with suppress(OSError):
        found = path.stat()
        return not S_ISREG(found.st_mode) or os.path.samestat(found, os.fstat(1))
    return False
