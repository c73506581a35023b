"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from etl.atomic_file import atomic_file


def write(path: Path, text: str, mode: int | None = None) -> None:
    with atomic_file(path, mode=mode) as file:
        file.write(text.encode())


def test_a_failed_write_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("earlier")
    with suppress(ZeroDivisionError), atomic_file(path) as file:
        file.write(b"%d" % (1 // 0))
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("given", "kept"), [(None, 0o640), (0o600, 0o600)], ids=["none", "given"])
def test_the_mode_is_the_given_or_the_earlier_one(tmp_path, given, kept):
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o640)
    write(path, "new", given)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", kept)


def test_what_is_no_file_is_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="is no file"):
        write(path, "new")
    assert stat.S_ISFIFO(path.stat().st_mode)
