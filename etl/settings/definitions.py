"""The settings: names, kinds, bounds and defaults. They are immutable."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from etl.errors import ConfigError
from etl.logs import MASK, without_password
from etl.settings.value_types import (
    GRANULARITIES,
    BaseUrl,
    DatabaseUrl,
    DroppedKeys,
    Duration,
    ExistingPath,
    Granularity,
    Identifier,
    Moment,
    Name,
    OnFailure,
    OutputPath,
    TaskUrl,
    TimeZone,
    Whole,
    without_path,
)
from etl.times import format_duration, format_time

PREFIX = "KORE_ETL_"
SECRET_KEYS = ("client_secret", "client_secret_file", "client_secret_env")
Plain = str | int | bool | None

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"
]
_MILLISECOND, _TENTH, _SECOND, _HOUR, _YEAR = (
    timedelta(milliseconds=1),
    timedelta(milliseconds=100),
    timedelta(seconds=1),
    timedelta(hours=1),
    timedelta(days=366),
)


def _accepted(what: str, default: Any = ..., **limits: Any) -> Any:
    # An error line shows the description as what is accepted.
    return Field(default, description=what, **limits)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SourceSettings(_Model):
    """One stream of one account, and how to read it."""

    name: Name = _accepted("letters, digits, '.', '_' and '-', at most 64", "default")
    base_url: BaseUrl = _accepted("https://HOST, without a path; http:// only to this machine (127.0.0.1, localhost)")
    account_id: Identifier = _accepted("the account's id, as the Kore.ai console shows it")
    stream_id: Identifier = _accepted("the id of the app with the tasks, such as st-...")
    client_id: Identifier = _accepted("the Client ID of the JWT app, such as cs-...")
    algorithm: Algorithm = _accepted(
        "HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384 or PS512", "HS256"
    )
    client_secret: SecretStr = _accepted(
        "the Client Secret of the JWT app; for RS, ES and PS a private key in PEM form"
    )
    subject: Identifier = _accepted(
        "the token's subject; the Client ID where not set", default_factory=lambda data: data.get("client_id", "")
    )
    jti: bool = _accepted("true (the app enforces single use of a token) or false", default=False)
    token_lifetime: Duration = _accepted(
        "a duration from 1s to 1h, such as 5m", timedelta(minutes=5), ge=_SECOND, le=_HOUR
    )
    timezone: TimeZone = _accepted("the name of a time zone such as UTC or Europe/Berlin", "UTC")
    start: Moment | None = _accepted("a date or time such as 2024-01-31 or 2024-01-31T08:00:00Z", None)
    page_size: Whole | None = _accepted("a whole number from 1 to 10000; not set: negotiated", None, ge=1, le=10_000)
    requests_per_minute: Whole = _accepted("a whole number from 1 to 1000000", 50, ge=1, le=1_000_000)
    requests_per_hour: Whole | None = _accepted(
        "a whole number from 1 to 100000000; not set: no limit", None, ge=1, le=100_000_000
    )
    timezone_offset: Whole = _accepted("minutes from -840 to 840, negative east of Greenwich", 0, ge=-840, le=840)
    window_field: Literal["createdAt", "updatedAt"] | None = _accepted("createdAt or updatedAt; not set: probed", None)
    sort_updated: bool | None = _accepted("true or false; not set: probed", None)
    sort_created: bool | None = _accepted("true or false; not set: probed", None)
    ends_inclusive: bool | None = _accepted("true or false; not set: probed", None)
    granularity: Granularity | None = _accepted("ms, s, m, h or d; not set: probed", None)
    longest_range: Duration | None = _accepted("a duration such as 31d; not set: probed", None, ge=_SECOND)

    @property
    def identity(self) -> tuple[str, str, str]:
        """Return the host, account and stream, which identify the source in the database."""
        return urlsplit(self.base_url).hostname or "", self.account_id, self.stream_id

    @field_validator("client_secret")
    @classmethod
    def _fits_the_algorithm(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        algorithm = info.data.get("algorithm", "HS256")
        text = secret.get_secret_value().removeprefix("\ufeff")  # a byte order mark, which some editors write
        if not text.strip():
            raise ValueError("is empty")
        if "-----BEGIN" in text and algorithm.startswith("HS"):
            raise ValueError(f"is a key in PEM form, which {algorithm} cannot use")
        if "PRIVATE KEY-----" not in text and not algorithm.startswith("HS"):
            raise ValueError(f"is no private key in PEM form, which {algorithm} needs")
        return SecretStr(text)


class Settings(_Model):
    """The settings of a run, and its sources."""

    sources: tuple[SourceSettings, ...] = ()
    database_url: DatabaseUrl = _accepted(
        "sqlite:///FILE or postgresql://USER@HOST/DATABASE", "sqlite:///kore-etl.db", repr=False
    )
    overlap: Duration = _accepted("a duration such as 5m, or seconds, at most 366d", timedelta(minutes=5), le=_YEAR)
    verify_within: Duration = _accepted("a duration such as 7d, at most 366d; 0 is off", timedelta(days=7), le=_YEAR)
    backfill_percent: Whole = _accepted("a whole number from 1 to 100", 30, ge=1, le=100)
    settle: Duration = _accepted("a duration such as 10s, at most 1h", timedelta(seconds=10), le=_HOUR)
    timeout: Duration = _accepted(
        "a duration from 1ms to 1h, such as 30s", timedelta(seconds=30), ge=_MILLISECOND, le=_HOUR
    )
    connect_timeout: Duration = _accepted(
        "a duration from 1ms to 1h, such as 10s", timedelta(seconds=10), ge=_MILLISECOND, le=_HOUR
    )
    deadline: Duration = _accepted(
        "a duration from 1ms to 366d, such as 5m", timedelta(minutes=5), ge=_MILLISECOND, le=_YEAR
    )
    migrate: bool = _accepted("true or false", default=True)
    window_least: Duration | None = _accepted("a duration such as 1h, at least 1s", None, ge=_SECOND)
    window_most: Duration | None = _accepted("a duration such as 90d, not under window_least", None, ge=_SECOND)
    drop_fields: DroppedKeys = _accepted('keys of a record such as ["userInfo.emailId"], with dots inside objects', ())
    ca_bundle: ExistingPath | None = _accepted("the path of a PEM file, or of a folder of them", None)
    log_file: OutputPath | None = _accepted("the path of a file that can be written", None)
    log_file_size: Whole = _accepted("bytes, from 1000 on", 10_000_000, ge=1000)
    log_file_keep: Whole = _accepted("a whole number from 1 to 1000", 5, ge=1, le=1000)
    metrics_file: OutputPath | None = _accepted("the path of a file that can be written, such as kore-etl.prom", None)
    on_failure: OnFailure | None = _accepted(
        'a command such as ["/usr/local/bin/page", "kore-etl"], or https://HOST/PATH (http:// only to this machine)',
        None,
    )
    on_success: OnFailure | None = _accepted(
        'a command such as ["/usr/local/bin/done"], or https://HOST/PATH (http:// only to this machine)', None
    )
    on_failure_timeout: Duration = _accepted(
        "a duration from 100ms to 1m, such as 10s", timedelta(seconds=10), ge=_TENTH, le=timedelta(minutes=1)
    )
    notify_incomplete: bool = _accepted("true or false", default=True)
    task_url: TaskUrl | None = _accepted("an https address that holds {_id} or {ref_id}", None)

    @field_validator("window_most")
    @classmethod
    def _not_under_the_least(cls, most: timedelta | None, info: ValidationInfo) -> timedelta | None:
        least = info.data.get("window_least")
        if most is not None and least is not None and most < least:
            raise ValueError("is under window_least")
        return most


_ACTIONS = ("on_failure", "on_success")  # they may hold a secret
GENERAL_KEYS = frozenset(Settings.model_fields) - {"sources"}
SOURCE_KEYS = frozenset(SourceSettings.model_fields) | set(SECRET_KEYS)
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
    field = SourceSettings.model_fields.get(key) or Settings.model_fields[key]
    try:
        value = TypeAdapter(field.rebuild_annotation()).validate_python(text)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[0]
        reason = str(details["ctx"]["error"]) if details["type"] == "value_error" else "is not accepted"
        raise ConfigError(f"{key}: {text!r} {reason}; accepted: {field.description}") from None
    return str(value)


def describe(settings: Settings) -> dict[str, Plain]:
    """Return every setting by its dotted key ("overlap", "source.NAME.base_url"), in the form of a file."""
    general = {key: getattr(settings, key) for key in type(settings).model_fields if key != "sources"}
    described = {key: _plain(key, value) for key, value in general.items() if key not in _ACTIONS}
    described |= {key: _shown_action(getattr(settings, key)) for key in _ACTIONS}
    for source in settings.sources:
        for key in type(source).model_fields:
            described[f"source.{source.name}.{key}"] = _plain(key, getattr(source, key))
    return described


def _plain(key: str, value: object) -> Plain:
    match value:
        case SecretStr():
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
