"""Logs: the form of a line, and that no secret gets into one."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import structlog

from etl import logs
from etl.logs import masking

SECRET = "rZ+sHd0B/VH9M1dvYTF="
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJhcHBJZCI6ImNzLTEifQ.kQ5bB3-x_Yz"
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\n-----END PRIVATE KEY-----"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """What these tests set up for the whole process ends with each of them."""
    root, show = logging.getLogger(), warnings.showwarning
    handlers, level, hidden = list(root.handlers), root.level, set(masking._hidden)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    warnings.showwarning = show
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    masking._hidden.clear()
    masking._hidden.update(hidden)
    masking._hidden_pattern = None


Written = Callable[[], list[dict[str, object]]]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def written(stream) -> Written:
    """The lines written so far, each read as JSON."""
    logs.configure(0, stream, environ={})
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def log() -> structlog.stdlib.BoundLogger:
    return structlog.get_logger()


def fail(why: str) -> None:
    raise ValueError(why)


class TestForm:
    def test_is_json_with_time_level_and_event_where_nobody_looks(self, written):
        log().info("window.stored", rows=7, start=datetime(2024, 1, 31, tzinfo=UTC))
        (line,) = written()
        assert list(line) == ["timestamp", "level", "event", "rows", "start"]
        assert (line["level"], line["event"], line["rows"]) == ("info", "window.stored", 7)
        assert line["start"] == "2024-01-31T00:00:00+00:00"
        assert datetime.fromisoformat(str(line["timestamp"])).tzinfo == UTC

    def test_is_readable_on_a_terminal(self):
        terminal = Terminal()
        logs.configure(0, terminal, environ={})
        log().info("window.stored", rows=7)
        assert "window.stored" in terminal.getvalue()
        assert "\x1b[" in terminal.getvalue()

    @pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
    def test_has_no_colours_where_they_are_not_wanted(self, environ):
        terminal = Terminal()
        logs.configure(0, terminal, environ=environ)
        log().info("window.stored", rows=7)
        assert "\x1b" not in terminal.getvalue()
        assert terminal.getvalue().rstrip().endswith("rows=7")

    def test_can_be_told(self, stream):
        terminal = Terminal()
        logs.configure(0, terminal, json=True)
        log().info("a")
        assert json.loads(terminal.getvalue())["event"] == "a"
        logs.configure(0, stream, json=False, environ={})
        log().info("b")
        assert " [info     ] b" in stream.getvalue()

    @pytest.mark.parametrize(
        ("verbosity", "seen"), [(-1, ["warning"]), (0, ["info", "warning"]), (1, ["debug", "info", "warning"])]
    )
    def test_says_as_much_as_is_asked(self, stream, verbosity, seen):
        logs.configure(verbosity, stream)
        for level in ("debug", "info", "warning"):
            getattr(log(), level)("event")
        assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == seen

    def test_goes_to_the_stderr_of_the_moment(self, capsys):
        logs.configure(0)
        log().info("a")
        captured = capsys.readouterr()
        assert captured.out == ""
        assert json.loads(captured.err)["event"] == "a"

    def test_carries_what_is_bound_to_the_run(self, written):
        with structlog.contextvars.bound_contextvars(run=7):
            log().info("a")
        log().info("b")
        first, second = written()
        assert first["run"] == 7
        assert "run" not in second

    def test_tells_an_exception_with_its_traceback(self, written):
        try:
            fail("broken")
        except ValueError:
            log().exception("window.failed")
        (line,) = written()
        assert str(line["exception"]).startswith("Traceback")
        assert "broken" in str(line["exception"])

    def test_keeps_values_that_json_does_not_know(self, written):
        log().info("a", where=object, many={1, 2}, nested={"at": datetime(2024, 1, 31, tzinfo=UTC)})
        (line,) = written()
        assert line["where"] == "<class 'object'>"
        assert line["many"] == [1, 2]
        assert line["nested"] == {"at": "2024-01-31T00:00:00+00:00"}

    def test_survives_a_value_that_holds_itself(self, written):
        loop: list[object] = []
        loop.append(loop)
        log().info("a", loop=loop)
        assert len(written()) == 1

    @pytest.mark.parametrize("closed", [True, False], ids=["closed", "full"])
    def test_never_stops_the_work(self, closed):
        class Full(io.StringIO):
            def write(self, _text: str) -> int:
                raise OSError(28, "No space left on device")

        stream = io.StringIO() if closed else Full()
        logs.configure(0, stream)
        if closed:
            stream.close()
        log().info("a")


class TestLibraries:
    def test_speak_in_the_same_form_from_warnings_up(self, written):
        logging.getLogger("urllib3").warning("Retrying %s", "/x")
        logging.getLogger("alembic.runtime").info("Running upgrade")
        (line,) = written()
        assert (line["level"], line["event"], line["logger"]) == ("warning", "Retrying /x", "urllib3")

    def test_are_heard_once_however_often_logs_are_set_up(self, stream, written):
        logs.configure(0, stream, environ={})
        logging.getLogger("urllib3").error("once")
        assert len(written()) == 1

    def test_have_their_exceptions_told_and_redacted(self, written):
        logs.hide(SECRET)
        try:
            fail(SECRET)
        except ValueError:
            logging.getLogger("urllib3").exception("with %s", SECRET)
        (line,) = written()
        assert "ValueError: ***" in str(line["exception"])
        assert SECRET not in json.dumps(line)

    def test_do_not_tell_of_the_signal_that_ends_the_process(self, written):
        logging.getLogger("sqlalchemy.pool").error("Exception during reset", exc_info=KeyboardInterrupt())
        assert written() == []

    def test_have_their_warnings_told(self, written):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn("old ways", stacklevel=1)
            logging.captureWarnings(capture=False)
        (line,) = written()
        assert line["logger"] == "py.warnings"

    def test_that_log_what_cannot_be_written_out_stop_nothing(self, written, monkeypatch):
        monkeypatch.setattr(logging, "raiseExceptions", False)
        logging.getLogger("urllib3").warning("%d", "no number")
        assert written() == []


class TestRedaction:
    @pytest.mark.parametrize(
        "text",
        [SECRET, f"secret={SECRET}&x", json.dumps({"a": SECRET}), "rZ%2BsHd0B%2FVH9M1dvYTF%3D", repr([SECRET])],
        ids=["alone", "within", "JSON", "URL", "repr"],
    )
    def test_hides_a_secret_in_any_spelling(self, text):
        logs.hide(SECRET)
        assert "VH9M1" not in logs.redact(text)
        assert "***" in logs.redact(text)

    @pytest.mark.parametrize(
        "written", [PRIVATE_KEY, repr(PRIVATE_KEY), json.dumps(PRIVATE_KEY), "x AQEFAASCBKcwggSj y"]
    )
    def test_hides_a_key_of_several_lines_whole_and_line_by_line(self, written):
        logs.hide(PRIVATE_KEY)
        assert "AQEFA" not in logs.redact(written)

    def test_hides_a_short_secret_as_a_word_only(self):
        logs.hide("run")
        assert logs.redact("secret run of the running") == "secret *** of the running"

    def test_of_two_secrets_hides_the_longer_one_whole(self):
        logs.hide("abcdef")
        logs.hide("abcdefghij")
        assert logs.redact("x abcdefghij y abcdef") == "x *** y ***"

    @pytest.mark.parametrize("nothing", ["", " ", "\n"])
    def test_hides_nothing_for_an_empty_secret(self, nothing):
        logs.hide(nothing)
        assert logs.redact("a b\nc") == "a b\nc"

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            (f"auth: {TOKEN}", "auth: ***"),
            (f"{{'auth': b'{TOKEN}'}}", "{'auth': b'***'}"),
            (TOKEN[:40], "***"),
            ("postgresql://me:hunter2@host/db", "postgresql://me:***@host/db"),
            ("see https://host:8443/a@b", "see https://host:8443/a@b"),
            (f"key {PRIVATE_KEY} end", "key *** end"),
            ("cut off -----BEGIN RSA PRIVATE KEY-----\nMIIEvQ", "cut off ***"),
            ("-----BEGIN PUBLIC KEY-----\nMIIE", "-----BEGIN PUBLIC KEY-----\nMIIE"),
            ("eyJ is no token", "eyJ is no token"),
        ],
    )
    def test_knows_secrets_by_their_looks(self, text, shown):
        assert logs.redact(text) == shown

    def test_reaches_every_part_of_a_line(self, written):
        logs.hide(SECRET)
        try:
            fail(f"refused {TOKEN}")
        except ValueError:
            log().exception(
                f"with {SECRET}", plain=SECRET, deep={"list": [{SECRET: (SECRET,)}]}, error=ValueError(TOKEN), n=1
            )
        (line,) = written()
        assert "VH9M1" not in json.dumps(line)
        assert "eyJ" not in json.dumps(line)
        assert (line["plain"], line["error"], line["n"]) == ("***", "***", 1)

    @pytest.mark.parametrize("key", ["auth", "Authorization", "client_secret", "password", "token"])
    def test_hides_what_its_name_says_is_secret(self, written, key):
        log().info("a", headers={key: "anything"}, **{key: 7})
        (line,) = written()
        assert line["headers"] == {key: "***"}
        assert line[key] == "***"

    def test_reaches_what_is_written_on_a_terminal(self):
        terminal = Terminal()
        logs.configure(0, terminal, environ={"NO_COLOR": "1"})
        logs.hide(SECRET)
        log().info(SECRET, value=SECRET, nested=[SECRET])
        assert "VH9M1" not in terminal.getvalue()


class TestCleaning:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("a\nb", "a\\nb"),
            ("\x1b[2J", "\\x1b[2J"),
            ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
            ("\u202egpj", "\\u202egpj"),
            ("\ud800", "\\ud800"),
            ("Zoë 東京", "Zoë 東京"),
        ],
    )
    def test_writes_what_would_forge_a_line_as_an_escape(self, text, shown):
        assert logs.clean(text) == shown

    def test_leaves_what_is_to_be_kept(self):
        assert logs.clean("a\n\tb", keep="\n") == "a\n\\tb"

    def test_keeps_a_value_of_the_server_in_its_line(self, stream):
        logs.configure(0, stream, json=False, environ={})
        log().info("a", name="x\n2024-01-01 00:00:00Z [info     ] forged\x1b[2J")
        _, *wrapped = stream.getvalue().splitlines()
        assert [line for line in wrapped if not line.startswith("    ")] == []
        assert "\x1b" not in stream.getvalue()

    def test_gives_lines_of_an_exception_lines_of_their_own(self, stream):
        logs.configure(0, stream, json=False, environ={})
        try:
            fail("\x1b[2J")
        except ValueError:
            log().exception("a")
        assert len(stream.getvalue().splitlines()) > 3
        assert "\x1b" not in stream.getvalue()

    def test_can_be_written_whatever_it_holds(self):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        logs.configure(0, stream)
        log().info("a", name="\ud800 \udfff")
        stream.seek(0)
        assert json.loads(stream.read())["name"] == "\\ud800 \\udfff"
