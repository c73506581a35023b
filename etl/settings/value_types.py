"""Reads settings' values: one reader for each kind, from TOML's or the environment's form to Python's.

A reader raises ValueError with the problem and never with a secret; :mod:`etl.settings.definitions` says what is
accepted. Readers are strict where they would have to guess: a bare number is no date, true is no count.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from stat import S_IROTH
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from etl.logs import MASK
from etl.times import now, parse_duration, parse_time

GRANULARITIES = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_NOT_ACCEPTED = "is not accepted"
_SWITCHES: dict[str | float, bool] = {
    **dict.fromkeys((1, "1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys((0, "0", "false", "f", "no", "n", "off"), False),
}
# Leading zeros stand apart, because int() counts them as digits and refuses too many. Control characters that Python
# takes for blanks are none here.
_WHOLE = re.compile(r"[^\S\x1c-\x1f]*([+-]?)(?>0[0_]*(?=[0-9]))?([0-9]+(?:_[0-9]+)*)(?:\.0+)?[^\S\x1c-\x1f]*")
_LARGEST_FLOAT = 2.0**63
_NEEDED = frozenset({"_id", "iId", "createdAt", "updatedAt", "isActive"})
# The parameters of sqlite3 and of a file's URI: https://www.sqlite.org/uri.html
_SQLITE_PARAMETERS = frozenset(
    {"timeout", "detect_types", "isolation_level", "check_same_thread", "cached_statements", "uri"}
    | {"mode", "cache", "immutable", "nolock", "psow", "vfs"}
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_IDENTIFIER = re.compile(r"[!-~]{1,256}")
_PORTS = re.compile(r"(?:\[[0-9a-fA-F:.%]+\]|[^:/?#\[\]@,]*)(?::\d{0,5})?(?:,|$)")
_AMBIGUOUS = re.compile(r"[/?#@\[\]]")

_Bounded = TypeVar("_Bounded", int, timedelta)


def within(
    read: Callable[[object], _Bounded], least: _Bounded | None = None, most: _Bounded | None = None
) -> Callable[[object], _Bounded]:
    """Return a reader that also refuses what is under the least or over the most."""

    def read_within(value: object) -> _Bounded:
        found = read(value)
        if (least is not None and found < least) or (most is not None and found > most):
            raise ValueError(_NOT_ACCEPTED)
        return found

    return read_within


def one_of(*choices: str) -> Callable[[object], str]:
    """Return a reader of these texts, which accepts no other spelling."""

    def read_choice(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(_NOT_ACCEPTED)
        return value

    return read_choice


def read_switch(value: object) -> bool:
    """Read true or false, also as yes and no, on and off, 1 and 0, or a first letter."""
    text = value.lower() if isinstance(value, str) else value
    if not isinstance(text, str | int | float) or text not in _SWITCHES:
        raise ValueError(_NOT_ACCEPTED)
    return _SWITCHES[text]


def read_whole(value: object) -> int:
    """Read a whole number, also as text such as ``1_000`` or with a fraction of zero."""
    if isinstance(value, bool):
        raise ValueError("is no number")  # noqa: TRY004 - every problem is a ValueError
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_FLOAT:
        return int(value)
    match = _WHOLE.fullmatch(value) if isinstance(value, str) else None
    try:
        if match:
            return int(match[1] + match[2])
    except ValueError:  # has thousands of digits
        pass
    raise ValueError(_NOT_ACCEPTED)


def read_secret(value: object) -> str:
    """Read a secret as it is, but without the byte order mark that some editors write."""
    if not isinstance(value, str):
        raise ValueError(_NOT_ACCEPTED)  # noqa: TRY004 - every problem is a ValueError
    text = value.removeprefix("\ufeff")
    if not text.strip():
        raise ValueError("is empty")
    return text


def read_name(value: object) -> str:
    """Read the name of a source."""
    text = _text(value)
    if not _NAME.fullmatch(text):
        raise ValueError("is no usable name")
    return text


def read_identifier(value: object) -> str:
    """Read an id of the API."""
    text = _text(value)
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError("is empty" if not text else "holds blanks or unusual characters")
    return text


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError("is no text")  # noqa: TRY004 - every problem is a ValueError
    return value.strip()


def read_duration(value: object) -> timedelta:
    """Read a duration such as ``5m``, or seconds."""
    try:
        return parse_duration(value)
    except (ValueError, OverflowError):
        raise ValueError("is no duration") from None


def read_granularity(value: object) -> timedelta:
    """Read the unit of the API's times."""
    if isinstance(value, timedelta) and value in GRANULARITIES.values():
        return value
    if not isinstance(value, str) or value.strip() not in GRANULARITIES:
        raise ValueError("is no granularity")
    return GRANULARITIES[value.strip()]


def read_past_moment(value: object) -> datetime:
    """Read a date or a time that is not in the future."""
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
    if moment > now():
        raise ValueError("is in the future")
    return moment


def read_existing_path(value: object) -> Path:
    """Read the path of a file or a folder that exists."""
    path = expanded(str(value) if isinstance(value, Path) else _text(value))
    try:
        path.stat()
    except OSError as error:
        raise ValueError(f"cannot be used: {error.strerror}") from None
    return path


def read_output_path(value: object) -> Path:
    """Read the path of a file to write."""
    text = str(value) if isinstance(value, Path) else _text(value)
    if not text or "\0" in text:
        raise ValueError("names no file")
    return expanded(text)


def read_action(value: object) -> str | tuple[str, ...]:
    """Read a webhook's address or a command with arguments; no message repeats it, because it may be a secret."""
    if isinstance(value, str) and value.strip().lower().startswith(("http://", "https://")):
        parts = _split(value.strip())
        if not parts.hostname or (parts.scheme.lower() == "http" and not is_loopback(parts.hostname)):
            raise ValueError("is no https address")
        return value.strip()
    words = (_listed(value) or shlex.split(value)) if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not words or not all(isinstance(word, str) for word in words):
        raise ValueError("is no command and no address")
    if not words[0].strip() or any("\0" in word for word in words):
        raise ValueError("names no command")
    return tuple(words)


def _listed(text: str) -> list[object] | None:
    """Return the list that a variable holds as a file of settings would, None where it holds no list."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = tomllib.loads(f"listed = {text}")
    except tomllib.TOMLDecodeError:
        found = {}
    if len(found) != 1:
        raise ValueError("is no list")
    return list(found["listed"])


def expanded(path: str) -> Path:
    """Return the path with a leading ~ resolved if possible."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user
        return Path(path)


def can_be_read_by_all(path: Path) -> bool:
    """Tell whether anyone on this machine can read the file."""
    try:
        return bool(path.stat().st_mode & S_IROTH)
    except OSError:
        return False


def read_base_url(value: object) -> str:
    """Read the address of the API's server."""
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


DATABASE_URLS = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"


def read_database_url(value: object) -> str:
    """Read the address of a database, and return it with the driver."""
    text = _text(value)
    scheme, separator, rest = text.partition("://")
    if scheme == "sqlite" and separator:
        return f"sqlite://{_database_file(rest)}"
    if scheme in ("postgresql", "postgres", "postgresql+psycopg") and separator:
        _check_address(rest)
        return f"postgresql+psycopg://{rest}"
    raise ValueError("is for no database that kore-etl knows")


def _database_file(rest: str) -> str:
    if not rest.startswith("/") or rest in ("/", "/:memory:") or "\0" in unquote(rest):
        raise ValueError("names no database file")
    _, question_mark, parameters = rest.partition("?")
    if question_mark and not {pair.partition("=")[0] for pair in parameters.split("&")} <= _SQLITE_PARAMETERS:
        raise ValueError("has a ? in the file's name, to be written as %3F, or an unknown parameter")
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


def read_dropped_keys(value: object) -> tuple[str, ...]:
    """Read keys of a record that are left out, from a list or from text with commas."""
    listed = (_listed(value) or value.split(",")) if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(path, str) for path in listed):
        raise ValueError("is no list of keys")
    paths = tuple(dict.fromkeys(path.strip() for path in listed))
    needed = sorted(_NEEDED.intersection(paths))
    if needed:
        raise ValueError(f"names {needed[0]}, without which no task can be told from another or be followed")
    if any("" in path.split(".") for path in paths):
        raise ValueError("has a blank key")
    return paths


def read_task_url(value: object) -> str:
    """Read the address of a task's page, with a place for its id."""
    text = _text(value)
    if not text.startswith(("https://", "http://")) or any(each.isspace() or each in '<>"' for each in text):
        raise ValueError("is no address")
    if "{_id}" not in text and "{ref_id}" not in text:
        raise ValueError("has neither {_id} nor {ref_id}, where the task's id goes")
    if "{" in text.replace("{_id}", "").replace("{ref_id}", ""):
        raise ValueError("has other names in braces than {_id} and {ref_id}")
    return text


def read_time_zone(value: object) -> str:
    """Read the name of a time zone."""
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
