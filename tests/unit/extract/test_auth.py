"""The token: what it claims, how it is signed, and when it is replaced."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rich.pretty import pretty_repr

from etl.errors import ConfigError
from etl.extract.http.auth import Token
from etl.settings import SourceSettings

IDS = {"base_url": "https://host", "account_id": "a-1", "stream_id": "st-1", "client_id": "cs-1"}
START = datetime(2026, 3, 1, 12, 0, 0, 750_000, tzinfo=UTC)
SECRET = "a secret of the tests, long enough for HS512 and in no way a real one"


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def token(clock):
    def make(secret=SECRET, **settings):
        return Token(SourceSettings(**IDS, client_secret=secret, **settings), clock)

    return make


def claims(text: str) -> dict[str, object]:
    return jwt.decode(text, options={"verify_signature": False})


def pem(key) -> tuple[str, str]:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.decode(), key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.fixture(scope="module")
def rsa_pem():
    return pem(rsa.generate_private_key(65537, 2048))


class TestClaims:
    def test_they_name_the_app_and_the_times_in_whole_seconds(self, token):
        issued = int(START.timestamp())
        expected = {"appId": "cs-1", "sub": "cs-1", "iat": issued, "exp": issued + 300}
        assert claims(token().text()) == expected
        assert all(type(claims(token().text())[name]) is int for name in ("iat", "exp"))

    def test_the_subject_is_the_one_that_is_set(self, token):
        assert claims(token(subject="reporting").text())["sub"] == "reporting"

    def test_an_hour_is_an_hour(self, token):
        told = claims(token(token_lifetime=timedelta(hours=1), jti=True).text())
        assert told["exp"] - told["iat"] == 3600

    def test_there_is_a_jti_only_where_it_is_wanted(self, token):
        assert "jti" not in claims(token().text())
        assert len(claims(token(jti=True).text())["jti"]) == 36


class TestSignature:
    @pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
    def test_the_secret_signs(self, token, algorithm):
        text = token(algorithm=algorithm).text()
        assert jwt.get_unverified_header(text) == {"alg": algorithm, "typ": "JWT"}
        assert jwt.decode(text, SECRET, algorithms=[algorithm], options={"verify_exp": False, "verify_iat": False})

    @pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
    @pytest.mark.parametrize("secret", [SECRET, "x", "ü" * 200, "y" * 129])
    def test_a_library_signs_the_same_text_with_a_secret(self, token, algorithm, secret):
        text = token(algorithm=algorithm, secret=secret, jti=True).text()
        with warnings.catch_warnings(action="ignore"):
            assert text == jwt.encode(claims(text), secret, algorithm=algorithm)

    @pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
    def test_a_private_key_signs(self, token, algorithm, rsa_pem):
        text = token(algorithm=algorithm, secret=rsa_pem[0]).text()
        checks = {"verify_exp": False, "verify_iat": False}
        assert jwt.decode(text, rsa_pem[1], algorithms=[algorithm], options=checks)["appId"] == "cs-1"

    def test_a_key_on_a_curve_signs(self, token):
        private, public = pem(ec.generate_private_key(ec.SECP256R1()))
        text = token(algorithm="ES256", secret=private).text()
        checks = {"verify_exp": False, "verify_iat": False}
        assert jwt.decode(text, public, algorithms=["ES256"], options=checks)["appId"] == "cs-1"

    def test_a_short_secret_signs_without_a_word(self, token):
        assert token(secret="short").text()  # a warning is an error here

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    @pytest.mark.parametrize("secret", [SECRET, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
    def test_what_is_no_key_is_a_setting_to_correct(self, token, algorithm, secret):
        with pytest.raises(ConfigError, match=f"client_secret: cannot sign with {algorithm}") as caught:
            token(algorithm=algorithm, secret=secret).text()
        assert secret not in str(caught.value)

    def test_a_key_of_the_wrong_kind_is_a_setting_to_correct(self, token, rsa_pem):
        with pytest.raises(ConfigError, match="client_secret"):
            token(algorithm="ES256", secret=rsa_pem[0]).text()

    def test_a_source_does_not_show_its_secret(self):
        source = SourceSettings(**IDS, client_secret=SECRET)
        assert SECRET not in repr(source)
        assert SECRET not in pretty_repr(source)


class TestRenewal:
    def test_it_is_kept_while_it_is_good(self, token, clock):
        held = token()
        first = held.text()
        clock.now += timedelta(seconds=269)
        assert held.text() == first

    def test_it_is_replaced_ahead_of_its_expiry(self, token, clock):
        held = token()
        expires = claims(held.text())["exp"]
        clock.now += timedelta(seconds=270)
        assert clock.now.timestamp() < expires
        assert claims(held.text())["iat"] == int(clock.now.timestamp())

    def test_a_very_short_life_means_a_new_one_each_time(self, token, clock):
        held = token(token_lifetime=timedelta(seconds=1))
        for _ in range(5):
            assert claims(held.text())["exp"] > clock.now.timestamp()
            clock.now += timedelta(milliseconds=1250)

    def test_one_for_single_use_is_new_each_time(self, token):
        held = token(jti=True)
        assert len({claims(held.text())["jti"] for _ in range(5)}) == 5

    def test_a_discarded_one_is_replaced(self, token, clock):
        held = token()
        first = held.text()
        held.discard()
        clock.now += timedelta(seconds=1)
        assert held.text() != first

    @pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
    def test_it_goes_by_the_clock_that_it_is_given(self, token, clock, ahead):
        held = token()
        held.text()
        held.set_ahead(ahead)
        first = held.text()
        assert claims(first)["iat"] == int((START + ahead).timestamp())
        clock.now += timedelta(seconds=269)
        assert held.text() == first
        clock.now += timedelta(seconds=1)
        assert held.text() != first
