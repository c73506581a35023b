"""The settings: names, kinds, bounds and defaults. They are immutable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from etl.errors import ConfigError
from etl.logs import MASK, without_password
from etl.settings.value_types import (
    DATABASE_URLS,
    GRANULARITIES,
    one_of,
    read_action,
    read_base_url,
    read_database_url,
    read_dropped_keys,
    read_duration,
    read_existing_path,
    read_granularity,
    read_identifier,
    read_name,
    read_output_path,
    read_past_moment,
    read_secret,
    read_switch,
    read_task_url,
    read_time_zone,
    read_whole,
    within,
    without_path,
)
from etl.times import format_duration, format_time

PREFIX = "KORE_ETL_"
SECRET_KEYS = ("client_secret", "client_secret_file", "client_secret_env")
Plain = str | int | bool | None

_ALGORITHMS = (
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512"),
    *("ES256", "ES384", "ES512", "PS256", "PS384", "PS512"),
)
_MILLISECOND, _TENTH, _SECOND, _HOUR, _YEAR, _CENTURY = (
    timedelta(milliseconds=1),
    timedelta(milliseconds=100),
    timedelta(seconds=1),
    timedelta(hours=1),
    timedelta(days=366),
    timedelta(days=36_500),
)

_Value = TypeVar("_Value")
_REQUIRED: Any = MISSING
Identity = tuple[str, str, str]
"""Host, account and stream of a source."""


def host_of(base_url: str) -> str:
    """Return the host of a URL in lower case, a part of a source's identity; an empty text if it has none."""
    return urlsplit(base_url).hostname or ""


def _setting(
    read: Callable[[object], _Value],
    accepted: str,
    default: _Value = _REQUIRED,
    *,
    check: Callable[[Any, Mapping[str, Any]], None] | None = None,
    is_shown: bool = True,
) -> _Value:
    """Declare a setting.

    ``read`` turns a raw value into the setting's own, and ``check`` compares it with the values of the settings above.
    Both raise ValueError with the problem. An error line shows ``accepted``. A repr leaves out what is not shown.
    """
    return field(default=default, repr=is_shown, metadata={"read": read, "accepted": accepted, "check": check})


def _fits_the_algorithm(secret: str, above: Mapping[str, Any]) -> None:
    algorithm = above.get("algorithm", "HS256")
    if "-----BEGIN" in secret and algorithm.startswith("HS"):
        raise ValueError(f"is a key in PEM form, which {algorithm} cannot use")
    if "PRIVATE KEY-----" not in secret and not algorithm.startswith("HS"):
        raise ValueError(f"is no private key in PEM form, which {algorithm} needs")


def _not_under_the_least(most: timedelta, above: Mapping[str, Any]) -> None:
    if "window_least" in above and most < above["window_least"]:
        raise ValueError("is under window_least")


# No Structs as other values: a Struct's field carries no reader, and its repr shows every field.
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """One stream of one account, and how to read it."""

    name: str = _setting(read_name, "letters, digits, '.', '_' and '-', at most 64", "default")
    base_url: str = _setting(
        read_base_url, "https://HOST, without a path; http:// only to this machine (127.0.0.1, localhost)"
    )
    account_id: str = _setting(read_identifier, "the account's id, as the Kore.ai console shows it")
    stream_id: str = _setting(read_identifier, "the id of the app with the tasks, such as st-...")
    client_id: str = _setting(read_identifier, "the Client ID of the JWT app, such as cs-...")
    algorithm: str = _setting(one_of(*_ALGORITHMS), f"{', '.join(_ALGORITHMS[:-1])} or {_ALGORITHMS[-1]}", "HS256")
    client_secret: str = _setting(
        read_secret,
        "the Client Secret of the JWT app; for RS, ES and PS a private key in PEM form",
        check=_fits_the_algorithm,
        is_shown=False,
    )
    subject: str = _setting(read_identifier, "the token's subject; the Client ID where not set", "")
    jti: bool = _setting(read_switch, "true (the app enforces single use of a token) or false", default=False)
    token_lifetime: timedelta = _setting(
        within(read_duration, _SECOND, _HOUR), "a duration from 1s to 1h, such as 5m", timedelta(minutes=5)
    )
    timezone: str = _setting(read_time_zone, "the name of a time zone such as UTC or Europe/Berlin", "UTC")
    start: datetime | None = _setting(
        read_past_moment, "a date or time such as 2024-01-31 or 2024-01-31T08:00:00Z", None
    )
    page_size: int | None = _setting(
        within(read_whole, 1, 10_000), "a whole number from 1 to 10000; not set: negotiated", None
    )
    requests_per_minute: int = _setting(within(read_whole, 1, 1_000_000), "a whole number from 1 to 1000000", 50)
    requests_per_hour: int | None = _setting(
        within(read_whole, 1, 100_000_000), "a whole number from 1 to 100000000; not set: no limit", None
    )
    timezone_offset: int = _setting(
        within(read_whole, -840, 840), "minutes from -840 to 840, negative east of Greenwich", 0
    )
    window_field: str | None = _setting(
        one_of("createdAt", "updatedAt"), "createdAt or updatedAt; not set: probed", None
    )
    sort_updated: bool | None = _setting(read_switch, "true or false; not set: probed", None)
    sort_created: bool | None = _setting(read_switch, "true or false; not set: probed", None)
    ends_inclusive: bool | None = _setting(read_switch, "true or false; not set: probed", None)
    granularity: timedelta | None = _setting(read_granularity, "ms, s, m, h or d; not set: probed", None)
    longest_range: timedelta | None = _setting(
        within(read_duration, _SECOND, _CENTURY), "a duration up to 36500d, such as 31d; not set: probed", None
    )

    def __post_init__(self) -> None:
        """Let the subject be the Client ID where it is not set."""
        if not self.subject:
            object.__setattr__(self, "subject", self.client_id)

    @property
    def identity(self) -> Identity:
        """Return the host, account and stream, which identify the source in the database."""
        return host_of(self.base_url), self.account_id, self.stream_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a run, and its sources."""

    sources: tuple[SourceSettings, ...] = ()
    database_url: str = _setting(read_database_url, DATABASE_URLS, "sqlite:///kore-etl.db", is_shown=False)
    overlap: timedelta = _setting(
        within(read_duration, most=_YEAR), "a duration such as 5m, or seconds, at most 366d", timedelta(minutes=5)
    )
    verify_within: timedelta = _setting(
        within(read_duration, most=_YEAR), "a duration such as 7d, at most 366d; 0 is off", timedelta(days=7)
    )
    backfill_percent: int = _setting(within(read_whole, 1, 100), "a whole number from 1 to 100", 30)
    settle: timedelta = _setting(
        within(read_duration, most=_HOUR), "a duration such as 10s, at most 1h", timedelta(seconds=10)
    )
    timeout: timedelta = _setting(
        within(read_duration, _MILLISECOND, _HOUR), "a duration from 1ms to 1h, such as 30s", timedelta(seconds=30)
    )
    connect_timeout: timedelta = _setting(
        within(read_duration, _MILLISECOND, _HOUR), "a duration from 1ms to 1h, such as 10s", timedelta(seconds=10)
    )
    deadline: timedelta = _setting(
        within(read_duration, _MILLISECOND, _YEAR), "a duration from 1ms to 366d, such as 5m", timedelta(minutes=5)
    )
    migrate: bool = _setting(read_switch, "true or false", default=True)
    window_least: timedelta | None = _setting(
        within(read_duration, _SECOND, _CENTURY), "a duration from 1s to 36500d, such as 1h", None
    )
    window_most: timedelta | None = _setting(
        within(read_duration, _SECOND, _CENTURY),
        "a duration up to 36500d, such as 90d, not under window_least",
        None,
        check=_not_under_the_least,
    )
    drop_fields: tuple[str, ...] = _setting(
        read_dropped_keys, 'keys of a record such as ["userInfo.emailId"], with dots inside objects', ()
    )
    ca_bundle: Path | None = _setting(read_existing_path, "the path of a PEM file, or of a folder of them", None)
    log_file: Path | None = _setting(read_output_path, "the path of a file that can be written", None)
    log_file_size: int = _setting(within(read_whole, 1000), "bytes, from 1000 on", 10_000_000)
    log_file_keep: int = _setting(within(read_whole, 1, 1000), "a whole number from 1 to 1000", 5)
    metrics_file: Path | None = _setting(
        read_output_path, "the path of a file that can be written, such as kore-etl.prom", None
    )
    on_failure: str | tuple[str, ...] | None = _setting(
        read_action,
        'a command such as ["/usr/local/bin/page", "kore-etl"], or https://HOST/PATH (http:// only to this machine)',
        None,
    )
    on_success: str | tuple[str, ...] | None = _setting(
        read_action,
        'a command such as ["/usr/local/bin/done"], or https://HOST/PATH (http:// only to this machine)',
        None,
    )
    on_failure_timeout: timedelta = _setting(
        within(read_duration, _TENTH, timedelta(minutes=1)),
        "a duration from 100ms to 1m, such as 10s",
        timedelta(seconds=10),
    )
    notify_incomplete: bool = _setting(read_switch, "true or false", default=True)
    task_url: str | None = _setting(read_task_url, "an https or http address that holds {_id} or {ref_id}", None)


_ACTIONS = ("on_failure", "on_success")  # they may hold a secret


def declared(model: type[Settings | SourceSettings]) -> dict[str, Field[Any]]:
    """Return the settings of a model by their keys; the sources are none."""
    return {each.name: each for each in fields(model) if each.metadata}


GENERAL_KEYS = frozenset(declared(Settings))
SOURCE_KEYS = frozenset(declared(SourceSettings)) | set(SECRET_KEYS)
KNOWN_KEYS = GENERAL_KEYS | SOURCE_KEYS
# These identify a source; the others may hold for all sources.
IDENTITY_KEYS = frozenset({"name", "base_url", "account_id", "stream_id", "client_id", *SECRET_KEYS})


def variable(key: str) -> str:
    """Return the name of the environment variable for a setting."""
    return f"{PREFIX}{'source_name' if key == 'name' else key}".upper()


def accepted(key: str, text: str) -> str:
    """Return one setting's text in its stored form.

    Raises:
        ConfigError: the text is wrong; the message says what is accepted.
    """
    setting = (declared(SourceSettings) | declared(Settings))[key]
    try:
        return str(setting.metadata["read"](text))
    except ValueError as error:
        raise ConfigError(f"{key}: {text!r} {error}; accepted: {setting.metadata['accepted']}") from None


def read_values(
    model: type[Settings | SourceSettings], given: Mapping[str, object]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of the given settings, and the problems of those that are wrong or missing; both by their keys.

    Keys of other models are left out.
    """
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for key, setting in declared(model).items():
        if key not in given:
            if setting.default is MISSING:
                problems[key] = "is required"
            continue
        try:
            value = setting.metadata["read"](given[key])
            if setting.metadata["check"]:
                setting.metadata["check"](value, values)
        except ValueError as error:
            problems[key] = str(error)
        else:
            values[key] = value
    return values, problems


def describe(settings: Settings) -> dict[str, Plain]:
    """Return every setting by its dotted key ("overlap", "source.NAME.base_url"), in the form of a file."""
    general = {key: getattr(settings, key) for key in declared(Settings)}
    described = {key: _plain(key, value) for key, value in general.items() if key not in _ACTIONS}
    described |= {key: _shown_action(getattr(settings, key)) for key in _ACTIONS}
    for source in settings.sources:
        for key in declared(SourceSettings):
            described[f"source.{source.name}.{key}"] = _plain(key, getattr(source, key))
    return described


def _plain(key: str, value: object) -> Plain:
    match value:
        case _ if key == "client_secret":
            return MASK
        case timedelta():
            return (
                next(name for name, length in GRANULARITIES.items() if length == value)
                if key == "granularity"
                else format_duration(value)
            )
        case datetime():
            return format_time(value)
        case Path() | tuple():
            return str(value) if isinstance(value, Path) else ", ".join(value) or None
        case str():
            return without_password(value).replace("+psycopg:", ":", 1) if key.endswith("_url") else value
        case None | bool() | int():
            return value
        case _:
            raise TypeError(f"{key} is a {type(value).__name__}")


def _shown_action(action: object) -> str | None:
    """Return a webhook without its path or a command without its arguments, because they may hold a secret."""
    match action:
        case str():
            return without_path(action)
        case (command, *arguments):
            return f"{command} {MASK}" if arguments else str(command)
        case _:
            return None
