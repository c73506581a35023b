"""Reads settings' values: one reader for each kind, from TOML's or the environment's form to Python's.

A reader raises ValueError with the problem; :mod:`etl.settings.definitions` says what is accepted. Readers are strict
where they would have to guess: a bare number is no date, true is no count.
"""

from __future__ import annotations

import os
import re
import shlex
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from stat import S_IROTH
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator

from etl.logs import MASK
from etl.times import parse_duration, parse_time

GRANULARITIES = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_NEEDED = frozenset({"_id", "createdAt", "updatedAt"})
# The parameters of sqlite3 and of a file's URI: https://www.sqlite.org/uri.html
_SQLITE_PARAMETERS = frozenset(
    {"timeout", "detect_types", "isolation_level", "check_same_thread", "cached_statements", "uri"}
    | {"mode", "cache", "immutable", "nolock", "psow", "vfs"}
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_IDENTIFIER = re.compile(r"[!-~]{1,256}")
_PORTS = re.compile(r"(?:\[[0-9a-fA-F:.%]+\]|[^:/?#\[\]@,]*)(?::\d{0,5})?(?:,|$)")
_AMBIGUOUS = re.compile(r"[/?#@\[\]]")


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("is no number")  # noqa: TRY004 - pydantic collects ValueError
    return value


def _name(value: object) -> str:
    text = _text(value)
    if not _NAME.fullmatch(text):
        raise ValueError("is no usable name")
    return text


def _identifier(value: object) -> str:
    text = _text(value)
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError("is empty" if not text else "holds blanks or unusual characters")
    return text


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError("is no text")  # noqa: TRY004 - pydantic collects ValueError
    return value.strip()


def _duration(value: object) -> timedelta:
    try:
        return parse_duration(value)
    except (ValueError, OverflowError):
        raise ValueError("is no duration") from None


def _granularity(value: object) -> timedelta:
    if isinstance(value, timedelta) and value in GRANULARITIES.values():
        return value
    if not isinstance(value, str) or value.strip() not in GRANULARITIES:
        raise ValueError("is no granularity")
    return GRANULARITIES[value.strip()]


def _moment(value: object) -> datetime:
    # A number may mean a year, a day or seconds, but hardly a time in 1970.
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, int | float | dict) or (isinstance(text, str) and not text[4:5] == "-"):
        raise ValueError("is no date")
    try:
        moment = parse_time(text)
    except (ValueError, OverflowError):
        raise ValueError("is no date") from None
    if moment is None:
        raise ValueError("is no date")
    return moment


def _existing_path(value: object) -> Path:
    path = expanded(str(value) if isinstance(value, Path) else _text(value))
    try:
        path.stat()
    except OSError as error:
        raise ValueError(f"cannot be used: {error.strerror}") from None
    return path


def _output_path(value: object) -> Path:
    text = str(value) if isinstance(value, Path) else _text(value)
    if not text or "\0" in text:
        raise ValueError("names no file")
    return expanded(text)


def _on_failure(value: object) -> str | tuple[str, ...]:
    """Read a webhook's address or a command with arguments; no message repeats it, because it may be a secret."""
    if isinstance(value, str) and value.strip().lower().startswith(("http://", "https://")):
        parts = _split(value.strip())
        if not parts.hostname or (parts.scheme.lower() == "http" and not is_loopback(parts.hostname)):
            raise ValueError("is no https address")
        return value.strip()
    words = shlex.split(value) if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not words or not all(isinstance(word, str) for word in words):
        raise ValueError("is no command and no address")
    if not words[0].strip() or any("\0" in word for word in words):
        raise ValueError("names no command")
    return tuple(words)


def expanded(path: str) -> Path:
    """Return the path with a leading ~ resolved if possible."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user
        return Path(path)


def can_be_read_by_all(path: Path) -> bool:
    """Tell whether anyone on this machine can read the file; on Windows the mode does not tell."""
    try:
        return os.name == "posix" and bool(path.stat().st_mode & S_IROTH)
    except OSError:
        return False


def _base_url(value: object) -> str:
    text = _text(value)
    parts = _split(text)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("is no https address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or a password")
    if parts.path.strip("/") or "?" in text or "#" in text:
        raise ValueError("goes on after the host")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("is http, which would send the token unprotected")
    return f"{parts.scheme}://{parts.netloc}"


def _split(url: str) -> SplitResult:
    if not _IDENTIFIER.fullmatch(url):
        raise ValueError("holds blanks or unusual characters, or is empty")
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if the port is not a number
    except ValueError:
        # The original message may quote a part of a password.
        raise ValueError("is no address") from None
    return parts


def is_loopback(host: str) -> bool:
    """Tell whether the host's name or address can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _database_url(value: object) -> str:
    text = _text(value)
    scheme, separator, rest = text.partition("://")
    if scheme == "sqlite" and separator:
        return f"sqlite://{_database_file(rest)}"
    if scheme in ("postgresql", "postgres", "postgresql+psycopg") and separator:
        _check_address(rest)
        return f"postgresql+psycopg://{rest}"
    raise ValueError("is for no database that kore-etl knows")


def _database_file(rest: str) -> str:
    if not rest.startswith("/") or rest in ("/", "/:memory:"):
        raise ValueError("names no database file")
    _, question_mark, parameters = rest.partition("?")
    if question_mark and not {pair.partition("=")[0] for pair in parameters.split("&")} <= _SQLITE_PARAMETERS:
        raise ValueError("has a ? in the file's name, to be written as %3F")
    return f"/{expanded(rest[1:])}" if rest.startswith("/~") else rest


def _check_address(rest: str) -> None:
    """Refuse a URL that a driver could split in another way than its author."""
    user_info, at, host = rest.rpartition("@")
    if _AMBIGUOUS.search(user_info):
        raise ValueError("has no clear host (in user, password and parameters write / ? # @ as %2F %3F %23 %40)")
    hosts = re.split("[/?#]", host, maxsplit=1)[0]
    if sum(map(len, _PORTS.findall(hosts))) != len(hosts):
        problem = "has no usable port" if at else "has no usable port, or no @ behind the password"
        raise ValueError(f"{problem} (in a password write / ? # @ : as %2F %3F %23 %40 %3A)")


def _dropped(value: object) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(path, str) for path in listed):
        raise ValueError("is no list of keys")
    paths = tuple(dict.fromkeys(path.strip() for path in listed))
    needed = sorted(_NEEDED.intersection(paths))
    if needed:
        raise ValueError(f"names {needed[0]}, without which no task can be told from another or be followed")
    if "" in paths:
        raise ValueError("has a blank key")
    return paths


def _task_url(value: object) -> str:
    text = _text(value)
    if not text.startswith(("https://", "http://")) or any(each.isspace() or each in '<>"' for each in text):
        raise ValueError("is no address")
    if "{_id}" not in text and "{ref_id}" not in text:
        raise ValueError("has neither {_id} nor {ref_id}, where the task's id goes")
    return text


def _time_zone(value: object) -> str:
    from zoneinfo import ZoneInfo

    try:
        return str(ZoneInfo(str(value)))
    except (KeyError, ValueError, OSError):
        raise ValueError("is no known time zone") from None


def without_path(url: str) -> str:
    """Return a webhook's address with ``***`` for its path, which may be a secret."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.rpartition("@")[2].partition("/")
    return f"{scheme}://{host.partition('?')[0]}{slash}{MASK if path else ''}"


Name = Annotated[str, BeforeValidator(_name)]
Identifier = Annotated[str, BeforeValidator(_identifier)]
BaseUrl = Annotated[str, BeforeValidator(_base_url)]
DatabaseUrl = Annotated[str, BeforeValidator(_database_url)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Granularity = Annotated[timedelta, BeforeValidator(_granularity)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
ExistingPath = Annotated[Path, BeforeValidator(_existing_path)]
DroppedKeys = Annotated[tuple[str, ...], BeforeValidator(_dropped)]
TaskUrl = Annotated[str, BeforeValidator(_task_url)]
OutputPath = Annotated[Path, BeforeValidator(_output_path)]
OnFailure = Annotated[str | tuple[str, ...], BeforeValidator(_on_failure)]
TimeZone = Annotated[str, BeforeValidator(_time_zone)]
Whole = Annotated[int, BeforeValidator(_no_bool)]
