"""The settings themselves: their names, kinds, bounds and defaults. Immutable once made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal
from urllib.parse import parse_qs, unquote

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from etl.settings.values import (
    BaseUrl,
    DatabaseUrl,
    DroppedKeys,
    Duration,
    ExistingPath,
    Identifier,
    Moment,
    Name,
    OnFailure,
    OutputPath,
    TaskUrl,
    Tick,
    Whole,
)

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
    # The description is what an error line says is accepted.
    return Field(default, description=what, **limits)


class _Model(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        *_args: PydanticBaseSettingsSource,
        **_others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the sources that the loader passes as ``layers``, else what is passed by name; never the environment."""
        return init_settings().get("layers") or (init_settings,)


class SourceSettings(_Model):
    """One stream of one account, and how it is asked."""

    name: Name = _accepted("letters, digits, '.', '_' and '-', at most 64", "default")
    base_url: BaseUrl = _accepted("https://HOST, without a path; http:// only to this machine (127.0.0.1, localhost)")
    account_id: Identifier = _accepted("the account's id, as the Kore.ai console shows it")
    stream_id: Identifier = _accepted("the id of the app whose tasks are wanted, such as st-...")
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
    start: Moment | None = _accepted("a date or time such as 2024-01-31 or 2024-01-31T08:00:00Z", None)
    page_size: Whole | None = _accepted("a whole number from 1 to 10000; not set: negotiated", None, ge=1, le=10_000)
    requests_per_minute: Whole = _accepted("a whole number from 1 to 1000000", 50, ge=1, le=1_000_000)
    timezone_offset: Whole = _accepted("minutes from -840 to 840, negative east of Greenwich", 0, ge=-840, le=840)
    window_field: Literal["createdAt", "updatedAt"] | None = _accepted("createdAt or updatedAt; not set: probed", None)
    sort_updated: bool | None = _accepted("true or false; not set: probed", None)
    sort_created: bool | None = _accepted("true or false; not set: probed", None)
    ends_inclusive: bool | None = _accepted("true or false; not set: probed", None)
    tick: Tick | None = _accepted("ms, s, m, h or d; not set: probed", None)
    longest_range: Duration | None = _accepted("a duration such as 31d; not set: probed", None, ge=_SECOND)

    @field_validator("client_secret")
    @classmethod
    def _fits_the_algorithm(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        text, algorithm = secret.get_secret_value(), info.data.get("algorithm", "HS256")
        if not text.strip():
            raise ValueError("is empty")
        if "-----BEGIN" in text and algorithm.startswith("HS"):
            raise ValueError(f"is a key in PEM form, which {algorithm} cannot use")
        if "-----BEGIN" not in text and not algorithm.startswith("HS"):
            raise ValueError(f"is no private key in PEM form, which {algorithm} needs")
        return secret


class Settings(_Model):
    """What holds for a run, and the sources that it works on."""

    sources: tuple[SourceSettings, ...] = ()
    database_url: DatabaseUrl = _accepted(
        "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE", "sqlite:///kore-etl.db", repr=False
    )
    overlap: Duration = _accepted("a duration such as 5m, or seconds, at most 366d", timedelta(minutes=5), le=_YEAR)
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

    def database_passwords(self) -> list[str]:
        """Give the password that the database's URL holds, as it is written there and as it is meant."""
        rest = self.database_url.partition("://")[2]
        in_query = parse_qs(rest.partition("?")[2])
        written = [
            rest.rpartition("@")[0].partition(":")[2],
            *in_query.get("password", ()),
            *in_query.get("sslpassword", ()),
        ]
        return [text for text in {*written, *map(unquote, written)} if text]
