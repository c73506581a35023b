"""The password of a database URL: understood as it was meant, or refused, and shown in no case."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy.engine import make_url

from etl import logs
from etl.errors import ConfigError
from etl.load.database.errors import place
from etl.settings import describe, load_settings

WORDS = ("Winter", "Garden", "Secret99")
PLAIN = "postgresql://kore:{}@db.invalid:5432/kore"
FORMS = (
    PLAIN,
    "postgresql://kore:{}@db.invalid:port/kore",
    "postgresql://kore:{}@/kore?host=/run/postgresql",
    "postgresql://kore:{}@db.invalid/kore?application_name=a@b",
    "postgresql://kore:{}/kore",
    "postgresql://kore:{}",
    "postgresql://:{}@db.invalid",
    "postgresql:///kore:{}@db.invalid/kore",
    "postgresql:/kore:{}@db.invalid/kore",
    "postgresql//kore:{}@db.invalid/kore",
    "kore:{}@db.invalid/kore",
    "mysql://kore:{}@db.invalid/kore",
    "postgresql://db.invalid/kore?password={}",
    "postgresql://db.invalid/kore?PASSWORD={}&sslpassword={}",
    "host=db.invalid password={} user=kore",
    "host=db.invalid password = '{}'",
)
separators = some.text("@:/?#%[] &=+,;'\"\\", min_size=1, max_size=3)
passwords = some.tuples(separators, separators).map(lambda between: f"Winter{between[0]}Garden{between[1]}Secret99")


def shown(text: str) -> list[str]:
    return [word for word in WORDS if word in text]


def said_of(url: str) -> str:
    """What is said of a URL, accepted or refused."""
    try:
        settings = load_settings(None, {}, {"database_url": url}, need_sources=False).settings
    except ConfigError as error:
        return str(error)
    return f"{describe(settings)} {place(make_url(settings.database_url))}"


@given(form=some.sampled_from(FORMS), password=passwords, is_quoted=some.booleans())
def test_no_part_of_a_password_is_shown(form: str, password: str, *, is_quoted: bool) -> None:
    if "@" not in form:  # with one in the password such a URL is well formed and names another host
        password = password.replace("@", "")
    url = form.replace("{}", quote(password, safe="") if is_quoted else password)
    assert shown(logs.without_password(url)) == []
    assert shown(said_of(url)) == []


@given(password=passwords, is_quoted=some.booleans())
def test_a_password_is_understood_or_refused(password: str, *, is_quoted: bool) -> None:
    url = PLAIN.format(quote(password, safe="") if is_quoted else password)
    try:
        understood = make_url(load_settings(None, {}, {"database_url": url}, need_sources=False).settings.database_url)
    except ConfigError:
        assert not is_quoted
        return
    assert understood.password == (password if is_quoted else unquote(password))
    assert (understood.username, understood.host, understood.port) == ("kore", "db.invalid", 5432)


@given(form=some.sampled_from((PLAIN, "postgresql://db.invalid/kore?password={}")), password=passwords)
def test_a_password_that_is_known_is_hidden_in_any_text(form: str, password: str) -> None:
    url = form.format(quote(password, safe=""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs.masking, "_hidden", set())
        patch.setattr(logs.masking, "_hidden_pattern", None)
        logs.hide_passwords(url)
        assert shown(logs.redact(f"failed with {password!r} at {url}, {quote(password, safe='')}")) == []


@pytest.mark.parametrize(
    "url",
    ["postgresql://h:5432/d", "postgresql://a:1,b:2/d", "postgresql://[::1]/d", "sqlite:///a@b:c.db", "kore.db"],
)
def test_a_url_without_a_password_is_shown_as_it_is(url: str) -> None:
    assert logs.without_password(url) == url
