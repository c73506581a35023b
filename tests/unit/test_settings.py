"""Settings: what is read from where, which place wins, and what is said of a wrong one."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etl.errors import ConfigError
from etl.settings import Loaded, Settings, SourceSettings, describe, load_settings
from etl.settings.definitions import declared

SECRET = "Zp7+not-to-be-seen/9Q="
ENVIRON = {
    "KORE_ETL_BASE_URL": "https://platform.kore.ai",
    "KORE_ETL_ACCOUNT_ID": "6112",
    "KORE_ETL_STREAM_ID": "st-1",
    "KORE_ETL_CLIENT_ID": "cs-1",
    "KORE_ETL_CLIENT_SECRET": SECRET,
}
SOURCE_TOML = """
base_url = "https://platform.kore.ai"
account_id = "6112"
stream_id = "st-1"
client_id = "cs-1"
"""
TWO_SOURCES = f"""
base_url = "https://platform.kore.ai"
account_id = "6112"
client_id = "cs-1"
client_secret = "{SECRET}"
[[source]]
name = "emea"
stream_id = "st-1"
[[source]]
name = "apac"
stream_id = "st-2"
requests_per_minute = 20
"""
EXAMPLE = Path(__file__).resolve().parents[2] / "config" / "kore-etl.example.toml"

Write = Callable[..., Path]


def test_the_example_names_what_holds_for_all_sources():
    _, _, after = EXAMPLE.read_text().partition("cannot be in a table: ")
    told, _, _ = after.replace("\n# ", " ").partition(". ")
    whole, each = ({field.name for field in fields(kind)} for kind in (Settings, SourceSettings))
    assert set(re.split(r", | and ", told)) == whole - each - {"sources"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder: the checkout's own config/ says nothing here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Write:
    """Write a settings file that nobody else can read; by default the one that is found by itself."""

    def written(text: str, path: str = "config/kore-etl.toml") -> Path:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return file

    return written


def load(environ: Mapping[str, str] | None = None, config: Path | None = None, **options: object) -> Loaded:
    base = {"CONFIGURATION_DIRECTORY": "/nonexistent"}
    return load_settings(config, {**base, **(ENVIRON if environ is None else environ)}, options)


def problem(environ: Mapping[str, str] | None = None, config: Path | None = None, **options: object) -> str:
    """The line that a wrong setting ends in."""
    with pytest.raises(ConfigError) as caught:
        load(environ, config, **options)
    line = str(caught.value)
    assert "\n" not in line
    assert SECRET not in line
    return line


def only(loaded: Loaded) -> SourceSettings:
    (source,) = loaded.settings.sources
    return source


class TestLayers:
    def test_the_environment_alone_describes_a_source(self):
        source = only(load())
        assert (source.name, source.base_url, source.stream_id) == ("default", "https://platform.kore.ai", "st-1")
        assert source.client_secret == SECRET

    def test_a_file_alone_describes_a_source(self, write):
        write(SOURCE_TOML + f'client_secret = "{SECRET}"\noverlap = "7m"')
        loaded = load({})
        assert only(loaded).account_id == "6112"
        assert loaded.settings.overlap == timedelta(minutes=7)

    def test_options_win_over_the_environment_and_that_over_files(self, write):
        write('overlap = "1m"\nsettle = "1s"\ntimeout = 1')
        loaded = load({**ENVIRON, "KORE_ETL_OVERLAP": "2m", "KORE_ETL_SETTLE": "2s"}, overlap="3m")
        settings = loaded.settings
        assert (settings.overlap, settings.settle, settings.timeout) == (
            timedelta(minutes=3),
            timedelta(seconds=2),
            timedelta(seconds=1),
        )
        origins = [loaded.origins[key] for key in ("overlap", "settle", "timeout", "deadline")]
        assert origins == ["--overlap", "KORE_ETL_SETTLE", "config/kore-etl.toml", "default"]

    def test_an_option_that_was_not_given_changes_nothing(self):
        assert load({**ENVIRON, "KORE_ETL_OVERLAP": "2m"}, overlap=None).settings.overlap == timedelta(minutes=2)

    def test_an_empty_variable_counts_as_not_set(self):
        assert load({**ENVIRON, "KORE_ETL_OVERLAP": "", "KORE_ETL_CLIENT_SECRET_FILE": ""}).origins["overlap"] == (
            "default"
        )

    def test_models_made_by_hand_read_no_environment(self, monkeypatch):
        monkeypatch.setenv("OVERLAP", "9m")
        monkeypatch.setenv("NAME", "from-outside")
        assert Settings().overlap == timedelta(minutes=5)
        made = SourceSettings(
            base_url="https://h", account_id="a", stream_id="s", client_id="c", client_secret="x" * 32
        )
        assert (made.name, made.subject) == ("default", "c")

    def test_models_made_by_hand_know_their_keys(self):
        with pytest.raises(TypeError, match="overlp"):
            Settings(overlp="5m")

    def test_settings_cannot_be_changed(self):
        with pytest.raises(FrozenInstanceError):
            load().settings.overlap = timedelta(0)

    def test_a_secret_cannot_come_from_the_command_line(self):
        with pytest.raises(TypeError):
            load(client_secret=SECRET)

    def test_every_setting_has_an_origin_and_a_shown_value(self):
        loaded = load()
        assert describe(loaded.settings).keys() == loaded.origins.keys()

    def test_values_are_shown_as_they_would_be_written(self, folder):
        (folder / "ca.pem").touch()
        written = {
            "START": "2024-01-31T00:00:00.000Z",
            "GRANULARITY": "s",
            "LONGEST_RANGE": "31d",
            "CA_BUNDLE": "ca.pem",
        }
        shown = describe(load({**ENVIRON, **{f"KORE_ETL_{key}": text for key, text in written.items()}}).settings)
        keys = ("source.default.start", "source.default.granularity", "source.default.longest_range", "ca_bundle")
        assert [shown[key] for key in keys] == list(written.values())
        assert load({**ENVIRON, "KORE_ETL_START": str(shown["source.default.start"])})


class TestFiles:
    def test_files_of_a_folder_are_merged_by_their_names(self, write):
        write('overlap = "1m"\nsettle = "1s"', "config/10-first.toml")
        write('overlap = "2m"', "config/20-second.toml")
        write('overlap = "9m"', "config/kore-etl.example.toml")
        loaded = load()
        assert (loaded.settings.overlap, loaded.settings.settle) == (timedelta(minutes=2), timedelta(seconds=1))
        assert loaded.origins["overlap"] == "config/20-second.toml"

    def test_source_tables_of_several_files_add_up(self, write):
        write(SOURCE_TOML + 'client_secret = "x"\n[[source]]\nname = "a"', "config/1.toml")
        write('[[source]]\nname = "b"\nstream_id = "st-2"', "config/2.toml")
        assert [(s.name, s.stream_id) for s in load({}).settings.sources] == [("a", "st-1"), ("b", "st-2")]

    @pytest.mark.parametrize("by", ["option", "variable"])
    def test_a_named_file_is_read_in_place_of_those_that_are_found(self, write, by):
        write('overlap = "1m"')
        named = write('settle = "2s"', "elsewhere/mine.toml")
        loaded = load(config=named) if by == "option" else load({**ENVIRON, "KORE_ETL_CONFIG": "elsewhere/mine.toml"})
        assert (loaded.settings.overlap, loaded.settings.settle) == (timedelta(minutes=5), timedelta(seconds=2))

    def test_a_named_folder_stands_for_its_files(self, write):
        write('settle = "2s"', "elsewhere/mine.toml")
        assert load(config=Path("elsewhere")).settings.settle == timedelta(seconds=2)

    @pytest.mark.parametrize(
        ("variable", "path"),
        [
            ("XDG_CONFIG_HOME", "there/kore-etl/a.toml"),
            ("HOME", "there/.config/kore-etl/a.toml"),
            ("CONFIGURATION_DIRECTORY", "there/a.toml"),
        ],
    )
    def test_without_a_config_folder_the_next_place_is_looked_at(self, write, folder, variable, path):
        write('overlap = "1m"', path)
        assert load({**ENVIRON, variable: str(folder / "there")}).settings.overlap == timedelta(minutes=1)

    def test_the_first_place_that_has_files_is_the_only_one(self, write, folder):
        write('overlap = "1m"')
        write('settle = "1s"', "home/.config/kore-etl/a.toml")
        assert load({**ENVIRON, "HOME": str(folder / "home")}).settings.settle == timedelta(seconds=10)

    def test_a_byte_order_mark_is_no_obstacle(self, write):
        write('\ufeffoverlap = "1m"')
        assert load().settings.overlap == timedelta(minutes=1)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ('overlap = "5m"\nsettle "1s"', "line 2"),
            ('overlap = "5m"\noverlap = "6m"', "overwrite"),
            ("x = " + "[" * 5000, "TOML"),
            ("page_size = " + "1" * 5000, "TOML"),
        ],
        ids=["syntax", "twice", "deep", "long number"],
    )
    def test_what_is_not_toml_is_told_with_its_file(self, write, text, told):
        write(text)
        line = problem()
        assert line.startswith("config/kore-etl.toml: is not valid TOML")
        assert told in line

    def test_what_is_not_utf_8_is_told(self, write, folder):
        write("")
        (folder / "config/kore-etl.toml").write_bytes(b'name = "\xff"')
        assert problem() == "config/kore-etl.toml: is not UTF-8 text"

    def test_a_variable_that_is_not_utf_8_is_told(self):
        odd = {**ENVIRON, "KORE_ETL_CLIENT_SECRET": b"\xff".decode("utf-8", "surrogateescape") * 40}
        assert problem(odd) == "KORE_ETL_CLIENT_SECRET (environment): it is not UTF-8 text"

    def test_an_address_that_cannot_be_read_is_told_with_its_source(self, write):
        write(f'{TWO_SOURCES}\n[[source]]\nname = "odd"\nbase_url = "https://[abc"\nstream_id = "st-odd"')
        assert len(load_settings(None, {}, {}, need_sources=False).names) == 2
        assert "base_url" in problem({})

    @pytest.mark.parametrize("key", ["WINDOW_MOST", "WINDOW_LEAST", "LONGEST_RANGE"])
    def test_a_range_beyond_the_calendar_is_refused(self, key):
        assert "36500d" in problem({**ENVIRON, f"KORE_ETL_{key}": "9999999d"})

    def test_a_file_that_is_not_there_is_told(self):
        assert problem(config=Path("gone.toml")).startswith("gone.toml (--config): cannot be read: No such file")
        assert "(KORE_ETL_CONFIG)" in problem({"KORE_ETL_CONFIG": "gone.toml"})
        assert "cannot be read" in problem(config=Path("x" * 5000))

    def test_a_folder_in_a_files_place_is_told(self, folder):
        (folder / "config/a.toml").mkdir(parents=True)
        assert problem() == "config/a.toml: cannot be read: Is a directory"

    def test_an_empty_folder_is_told(self, folder):
        assert "no *.toml" in problem(config=folder)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ('clinet_id = "cs-1"', "'clinet_id' (config/kore-etl.toml): no such setting; did you mean client_id?"),
            ("[sources]", "'sources' (config/kore-etl.toml): no such setting; did you mean source?"),
            ('[[source]]\nbase-url = ""', "[[source]] #1): no such setting; did you mean base_url?"),
            ('[[source]]\noverlap = "5m"', "overlap (config/kore-etl.toml [[source]] #1): holds for all sources"),
            ('[source]\nname = "a"', "source (config/kore-etl.toml): is no list of tables"),
        ],
        ids=["misspelt", "plural", "in a source", "general in a source", "no list"],
    )
    def test_an_unknown_or_misplaced_key_gets_a_suggestion(self, write, text, told):
        write(text)
        assert told in problem()

    def test_unknown_keys_are_told_with_the_wrong_values(self, write):
        write("bogus = 1\nrequests_per_minute = 0")
        with pytest.raises(ConfigError) as raised:
            load()
        unknown, wrong = raised.value.problems
        assert (
            unknown == "'bogus' (config/kore-etl.toml): no such setting; delete it, or see docs/reference/settings.md"
        )
        assert wrong.startswith("requests_per_minute (config/kore-etl.toml): 0 is not accepted")

    def test_a_secret_that_anyone_can_read_is_warned_of(self, write):
        file = write(f'client_secret = "{SECRET}"')
        environ = {key: value for key, value in ENVIRON.items() if key != "KORE_ETL_CLIENT_SECRET"}
        assert load(environ).warnings == []
        file.chmod(0o644)
        (warning,) = load(environ).warnings
        assert "chmod 600 config/kore-etl.toml" in warning
        file.write_text('database_url = "postgresql://me:pw@host/db"')
        assert len(load().warnings) == 1
        file.write_text('database_url = "postgresql://me@host/db"')
        assert load().warnings == []


class TestSources:
    def test_keys_at_the_top_are_defaults_for_each_source(self, write):
        write(TWO_SOURCES)
        loaded = load({})
        assert [(s.name, s.client_id, s.requests_per_minute) for s in loaded.settings.sources] == [
            ("emea", "cs-1", 50),
            ("apac", "cs-1", 20),
        ]
        assert loaded.origins["source.apac.client_id"] == "config/kore-etl.toml"
        assert loaded.origins["source.apac.requests_per_minute"] == "config/kore-etl.toml [[source]] #2"

    def test_the_environment_overrides_a_single_table(self, write):
        write('[[source]]\nname = "mine"\nbase_url = "https://elsewhere"')
        source = only(load())
        assert (source.name, source.base_url) == ("mine", "https://platform.kore.ai")

    @pytest.mark.parametrize("key", ["BASE_URL", "CLIENT_SECRET", "CLIENT_SECRET_FILE", "SOURCE_NAME"])
    def test_a_variable_for_one_source_is_refused_among_several(self, write, key):
        write(TWO_SOURCES)
        line = problem({f"KORE_ETL_{key}": "x"})
        assert f"(KORE_ETL_{key}): describes a single source, and there are 2 [[source]] tables" in line

    def test_a_general_variable_holds_for_all_sources(self, write):
        write(TWO_SOURCES)
        loaded = load({"KORE_ETL_REQUESTS_PER_MINUTE": "30"})
        assert [s.requests_per_minute for s in loaded.settings.sources] == [30, 30]

    def test_only_the_selected_sources_are_checked(self, write):
        write(TWO_SOURCES.replace('"st-1"', '""'))
        loaded = load_settings(None, {}, {}, select=["apac"])
        assert only(loaded).name == "apac"
        assert not [key for key in loaded.origins if key.startswith("source.emea.")]

    def test_an_unknown_source_is_told_with_the_known_ones(self, write):
        write(TWO_SOURCES)
        with pytest.raises(ConfigError, match=r"^source 'apca': no such source; accepted: emea, apac"):
            load_settings(None, {}, {}, select=["apca"])

    @pytest.mark.parametrize("second", ["emea", None], ids=["the same", "none"])
    def test_two_sources_of_one_name_are_refused(self, write, second):
        write(TWO_SOURCES.replace('name = "apac"', f'name = "{second}"') if second else "[[source]]\n[[source]]\n")
        assert "stands for two sources" in problem({})

    def test_one_source_under_two_names_is_refused(self, write):
        write(TWO_SOURCES.replace('"st-2"', '"st-1"'))
        assert "sources emea and apac have the same host, account and stream" in problem({})

    def test_what_a_source_lacks_is_told_with_its_table(self, write):
        write(TWO_SOURCES.replace('stream_id = "st-2"', ""))
        assert "put stream_id into config/kore-etl.toml [[source]] #2" in problem({})

    def test_a_wrong_value_is_told_with_its_table(self, write):
        write(TWO_SOURCES.replace("= 20", "= 0"))
        assert problem({}).startswith(
            "requests_per_minute (config/kore-etl.toml [[source]] #2): 0 is not accepted; accepted: a whole"
        )

    def test_a_command_without_sources_needs_none(self):
        loaded = load_settings(None, {"KORE_ETL_DATABASE_URL": "sqlite:///x.db"}, {}, need_sources=False)
        assert (loaded.settings.sources, loaded.settings.database_url) == ((), "sqlite:///x.db")


class TestSecret:
    @pytest.fixture
    def environ(self) -> dict[str, str]:
        return {key: value for key, value in ENVIRON.items() if "SECRET" not in key}

    @pytest.fixture
    def secret_file(self, folder) -> Path:
        file = folder / "secret"
        file.write_text(f"{SECRET}\n")
        file.chmod(0o600)
        return file

    def secret(self, loaded: Loaded) -> tuple[str, str]:
        (source,) = loaded.settings.sources
        return source.client_secret, loaded.origins[f"source.{source.name}.client_secret"]

    def test_is_read_from_a_file_without_its_last_line_end(self, environ, secret_file):
        given = {**environ, "KORE_ETL_CLIENT_SECRET_FILE": str(secret_file)}
        assert self.secret(load(given)) == (SECRET, "KORE_ETL_CLIENT_SECRET_FILE")
        secret_file.write_bytes(f" {SECRET}\n\r\n".encode())
        assert self.secret(load(given))[0] == f" {SECRET}\n"

    @pytest.mark.usefixtures("secret_file")
    def test_is_read_from_a_file_beside_the_settings_file(self, environ, write):
        write('client_secret_file = "../secret"')
        assert self.secret(load(environ)) == (SECRET, "client_secret_file in config/kore-etl.toml")

    def test_is_read_from_a_variable_that_the_settings_file_names(self, environ, write):
        write('client_secret_env = "VAULT_SECRET"')
        assert self.secret(load({**environ, "VAULT_SECRET": SECRET}))[0] == SECRET

    @pytest.mark.parametrize("file", ["mine.client_secret", "client_secret"])
    def test_is_read_from_systemd_where_nothing_else_says_it(self, environ, folder, file):
        (folder / file).write_text(SECRET)
        given = {**environ, "KORE_ETL_SOURCE_NAME": "mine", "CREDENTIALS_DIRECTORY": str(folder)}
        assert self.secret(load(given)) == (SECRET, f"$CREDENTIALS_DIRECTORY/{file}")

    def test_that_systemd_does_not_hold_either_is_missing(self, environ, folder):
        assert "client_secret (not set)" in problem({**environ, "CREDENTIALS_DIRECTORY": str(folder)})

    def test_a_file_that_another_secret_overrules_is_not_read(self, write: Write) -> None:
        write(SOURCE_TOML + 'client_secret_file = "nowhere"')
        write(SECRET, "handed-over")
        assert self.secret(load({"KORE_ETL_CLIENT_SECRET_FILE": "handed-over"}))[0] == SECRET
        assert "cannot be read" in problem({})

    def test_file_of_another_kind_is_told(self, environ, write):
        write("client_secret_file = 7")
        assert "client_secret_file (config/kore-etl.toml): is no text" in problem(environ)

    def test_a_sources_own_credential_wins(self, environ, folder):
        (folder / "client_secret").write_text("another")
        (folder / "default.client_secret").write_text(SECRET)
        assert self.secret(load({**environ, "CREDENTIALS_DIRECTORY": str(folder)}))[0] == SECRET

    def test_of_the_environment_wins_over_that_of_a_file(self, environ, write, secret_file):
        write('client_secret = "another"')
        given = {**environ, "KORE_ETL_CLIENT_SECRET_FILE": str(secret_file)}
        assert self.secret(load(given))[0] == SECRET

    def test_given_twice_at_one_layer_is_refused(self, environ, write, secret_file):
        both = {**environ, "KORE_ETL_CLIENT_SECRET": SECRET, "KORE_ETL_CLIENT_SECRET_FILE": str(secret_file)}
        assert "KORE_ETL_CLIENT_SECRET and KORE_ETL_CLIENT_SECRET_FILE): given more than once" in problem(both)
        write('client_secret_file = "a"\nclient_secret_env = "b"')
        assert "given more than once" in problem(environ)

    def test_missing_is_told_with_how_to_set_it(self, environ, write):
        assert "client_secret (not set): is required; set KORE_ETL_CLIENT_SECRET_FILE, or" in problem(environ)
        write(TWO_SOURCES.replace("client_secret =", "# client_secret ="))
        with pytest.raises(ConfigError, match=r"put client_secret_file into config/kore-etl.toml \[\[source\]\] #1"):
            load({})

    @pytest.mark.parametrize("key", ["CLIENT_SECRET_FILE", "CLIENT_SECRET_ENV"])
    def test_in_the_place_of_its_file_or_variable_is_not_repeated(self, environ, key):
        assert f"client_{key[7:].lower()} (KORE_ETL_{key})" in problem({**environ, f"KORE_ETL_{key}": SECRET})

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"\n", "the file is empty"),
            (b"\xff\xfe", "not UTF-8"),
            (b"x" * 100_000, "too large"),
            (SECRET.encode("utf-16-le"), "not UTF-8"),
        ],
        ids=["empty", "binary", "huge", "utf-16"],
    )
    def test_a_file_that_holds_no_secret_is_told(self, environ, secret_file, content, told):
        secret_file.write_bytes(content)
        assert told in problem({**environ, "KORE_ETL_CLIENT_SECRET_FILE": str(secret_file)})

    @pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["bare", "unix", "windows"])
    def test_a_byte_order_mark_in_its_file_is_left_out(self, environ, secret_file, end):
        secret_file.write_bytes(f"\ufeff{SECRET}{end}".encode())
        loaded = load({**environ, "KORE_ETL_CLIENT_SECRET_FILE": str(secret_file)})
        assert only(loaded).client_secret == SECRET

    def test_a_byte_order_mark_in_its_variable_is_left_out(self, environ):
        loaded = load({**environ, "KORE_ETL_CLIENT_SECRET": f"\ufeff{SECRET}"})
        assert only(loaded).client_secret == SECRET

    def test_a_file_that_anyone_can_read_is_warned_of(self, environ, secret_file):
        given = {**environ, "KORE_ETL_CLIENT_SECRET_FILE": str(secret_file)}
        assert load(given).warnings == []
        secret_file.chmod(stat.S_IRUSR | stat.S_IROTH)
        (warning,) = load(given).warnings
        assert "KORE_ETL_CLIENT_SECRET_FILE" in warning

    @pytest.mark.parametrize(
        ("algorithm", "secret", "told"),
        [
            ("RS256", SECRET, "is no private key in PEM form"),
            ("RS256", "-----BEGIN PUBLIC KEY-----\nx", "is no private key in PEM form"),
            ("ES256", "-----BEGIN CERTIFICATE-----\nx", "is no private key in PEM form"),
            ("HS512", "-----BEGIN PRIVATE KEY-----\nx", "which HS512 cannot use"),
        ],
    )
    def test_that_does_not_fit_the_algorithm_is_told(self, environ, algorithm, secret, told):
        given = {**environ, "KORE_ETL_ALGORITHM": algorithm, "KORE_ETL_CLIENT_SECRET": secret}
        assert told in problem(given)

    @pytest.mark.parametrize("toml", ["client_secret = 12345678", 'client_secret = [" "]', 'client_secret = " "'])
    def test_of_a_wrong_kind_is_told_without_its_value(self, environ, write, toml):
        write(toml)
        line = problem(environ)
        assert line.startswith("client_secret (config/kore-etl.toml): is ")
        assert "1234" not in line

    def test_is_not_shown(self):
        loaded = load({**ENVIRON, "KORE_ETL_DATABASE_URL": "postgresql://me:pw-of-mine@host/db"})
        assert SECRET not in repr(loaded)
        assert "pw-of-mine" not in repr(loaded)
        shown = describe(loaded.settings)
        assert shown["source.default.client_secret"] == "***"
        assert shown["database_url"] == "postgresql://me:***@host/db"


class TestMisspeltVariables:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("KORE_ETL_BASEURL", "KORE_ETL_BASE_URL"),
            ("KORE_ETL_CLIENT_SECRETS", "KORE_ETL_CLIENT_SECRET"),
            ("KORE_ETL_base_url", "KORE_ETL_BASE_URL"),
            ("KORE_ETL_CONFIGS", "KORE_ETL_CONFIG"),
        ],
    )
    def test_a_slip_of_the_hand_is_told(self, name, meant):
        assert problem({name: SECRET}) == f"{name} (environment): no such variable; did you mean {meant}?"

    @pytest.mark.parametrize("name", ["KORE_ETL_LOG_FORMAT", "KORE_ETL_SANDBOX_TOKEN_LIFETIME", "KORE_OTHER"])
    def test_another_programs_variable_is_left_alone(self, name):
        assert load({**ENVIRON, name: "anything"}).settings.sources


class TestValues:
    @pytest.mark.parametrize(
        ("key", "text", "value"),
        [
            ("base_url", "https://host:8443/", "https://host:8443"),
            ("base_url", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("base_url", "http://[::1]:8080/", "http://[::1]:8080"),
            ("base_url", "http://localhost", "http://localhost"),
            ("algorithm", "RS512", None),
            ("jti", "true", True),
            ("token_lifetime", "1h", timedelta(hours=1)),
            ("start", "2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
            ("start", "2024-01-31T10:00:00+02:00", datetime(2024, 1, 31, 8, tzinfo=UTC)),
            ("page_size", "10000", 10_000),
            ("timezone_offset", "-330", -330),
            ("window_field", "createdAt", "createdAt"),
            ("ends_inclusive", "false", False),
            ("granularity", "s", timedelta(seconds=1)),
            ("longest_range", "31d", timedelta(days=31)),
            ("subject", "someone", "someone"),
        ],
    )
    def test_of_a_source_are_read_from_text(self, key, text, value):
        environ = {**ENVIRON, f"KORE_ETL_{key.upper()}": text}
        if value is None:
            environ["KORE_ETL_CLIENT_SECRET"] = "-----BEGIN PRIVATE KEY-----\n"
        assert getattr(only(load(environ)), key) == (text if value is None else value)

    @pytest.mark.parametrize(
        ("key", "text", "value"),
        [
            ("task_url", "https://console.example/t/{_id}", "https://console.example/t/{_id}"),
            ("database_url", "sqlite:///a/b.db", "sqlite:///a/b.db"),
            ("database_url", "sqlite:////a/b.db", "sqlite:////a/b.db"),
            ("database_url", "sqlite:///a#%20b.db", "sqlite:///a#%20b.db"),
            ("database_url", "sqlite:///a.db?timeout=3", "sqlite:///a.db?timeout=3"),
            ("database_url", "postgresql://u:p@[::1]:5432/d", "postgresql+psycopg://u:p@[::1]:5432/d"),
            ("database_url", "postgresql://u:p:q%@h/d", "postgresql+psycopg://u:p:q%@h/d"),
            ("database_url", "postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
            ("database_url", "postgresql://h:5432/d", "postgresql+psycopg://h:5432/d"),
            ("database_url", "postgresql+psycopg:///d?host=/run", "postgresql+psycopg:///d?host=/run"),
            ("database_url", "postgresql://a:1,b:2/d", "postgresql+psycopg://a:1,b:2/d"),
            ("overlap", "0", timedelta(0)),
            ("timeout", "0.5s", timedelta(seconds=0.5)),
            ("migrate", "no", False),
            ("window_least", "1h30m", timedelta(minutes=90)),
        ],
    )
    def test_for_all_are_read_from_text(self, key, text, value):
        assert getattr(load({**ENVIRON, f"KORE_ETL_{key.upper()}": text}).settings, key) == value

    def test_may_be_written_in_tomls_own_kinds(self, write):
        write("start = 2024-01-31\noverlap = 60\njti = true\npage_size = 20\naccount_id = 6112")
        environ = {key: value for key, value in ENVIRON.items() if key != "KORE_ETL_ACCOUNT_ID"}
        source = only(load(environ))
        assert (source.start, source.jti, source.page_size, source.account_id) == (
            datetime(2024, 1, 31, tzinfo=UTC),
            True,
            20,
            "6112",
        )

    def test_a_home_folder_is_found(self, monkeypatch, folder):
        monkeypatch.setenv("HOME", str(folder))
        assert load(database_url="sqlite:///~/a.db").settings.database_url == f"sqlite:///{folder}/a.db"

    def test_a_certificate_lies_beside_the_settings_file(self, write, folder):
        write('ca_bundle = "ca.pem"')
        assert "ca_bundle (config/kore-etl.toml): 'config/ca.pem' cannot be used: No such file" in problem()
        (folder / "config/ca.pem").touch()
        assert load().settings.ca_bundle == Path("config/ca.pem")

    @pytest.mark.parametrize(
        ("key", "text", "told"),
        [
            ("task_url", "javascript:alert({_id})", "is no address"),
            ("task_url", "https://console.example/tasks", "neither {_id} nor {ref_id}"),
            ("base_url", "platform.kore.ai", "is no https address"),
            ("base_url", "ftp://host", "is no https address"),
            ("base_url", "https://", "is no https address"),
            ("base_url", "http://platform.kore.ai", "is http"),
            ("base_url", "http://127.0.0.1.example.com", "is http"),
            ("base_url", "https://host/api", "goes on after the host"),
            ("base_url", "https://host?", "goes on after the host"),
            ("base_url", "https://host:port", ""),
            ("base_url", "https://ho st", "blanks"),
            ("base_url", "https://[::1", ""),
            ("account_id", "a b", "blanks or unusual"),
            ("account_id", " ", "is empty"),
            ("stream_id", "st-é", "unusual"),
            ("source_name", "a/b", "is no usable name"),
            ("algorithm", "none", "is not accepted; accepted: HS256"),
            ("jti", "perhaps", "true"),
            ("token_lifetime", "61m", "1h"),
            ("token_lifetime", "0", "1s"),
            ("start", "1735689600", "is no date"),
            ("start", "20240131", "is no date"),
            ("start", "2999-01-01", "is in the future"),
            ("start", "2024-13-01", "is no date"),
            ("start", "0001-01-01T00:00+14:00", "is no date"),
            ("page_size", "0", "from 1 to 10000"),
            ("page_size", "10001", "from 1 to 10000"),
            ("page_size", "ten", "'ten' is not accepted"),
            ("page_size", "1.5", "a whole number"),
            ("requests_per_minute", "1000001", "from 1 to 1000000"),
            ("timezone_offset", "841", "840"),
            ("window_field", "updatedat", "createdAt or updatedAt"),
            ("granularity", "5m", "ms, s, m, h or d"),
            ("longest_range", "0", "31d"),
            ("database_url", "mysql://h/d", "sqlite:///FILE or postgresql://"),
            ("database_url", "sqlite://", "names no database file"),
            ("database_url", "sqlite:///:memory:", "names no database file"),
            ("database_url", "kore.db", "sqlite:///FILE"),
            ("database_url", "sqlite:///what?.db", "has a ? in the file's name"),
            ("database_url", "sqlite:///what?", "has a ? in the file's name"),
            ("database_url", "postgresql://u:p@h:70x/d", "has no usable port"),
            ("database_url", "postgresql://u:p@q@h/d", "has no clear host"),
            ("database_url", "postgresql://u:p@h/d?user=a@b", "has no clear host"),
            ("overlap", "-1", "is no duration"),
            ("overlap", "9" * 30, "is no duration"),
            ("timeout", "0", "from 1ms"),
            ("deadline", "soon", "is no duration"),
            ("migrate", "2", "true or false"),
        ],
    )
    def test_that_are_wrong_are_told_with_what_is_accepted(self, key, text, told):
        line = problem({**ENVIRON, f"KORE_ETL_{key.upper()}": text})
        named = "name" if key == "source_name" else key
        assert line.startswith(f"{named} (KORE_ETL_{key.upper()}): ")
        assert "; accepted: " in line
        assert told in line

    @pytest.mark.parametrize("key", ["base_url", "database_url"])
    @pytest.mark.parametrize(
        "text",
        [
            "https://me:hunter2@host",
            "postgresql://me:hunter2@h:x/d",
            "x://me:hunt/er2@h",
            "x://:hunter2@",
            "https://me@corp:hun@ter2@h",
        ],
    )
    def test_that_hold_a_password_are_told_without_it(self, key, text):
        line = problem({**ENVIRON, f"KORE_ETL_{key.upper()}": text})
        assert not re.search("hunt|er2", line)

    def test_a_password_that_breaks_its_url_gets_a_remedy(self):
        line = problem(database_url="postgresql://me:hun/ter2@host/db")
        assert "--database-url" in line
        assert "%2F" in line
        assert "ter2" not in line

    def test_window_bounds_must_fit(self):
        line = problem({**ENVIRON, "KORE_ETL_WINDOW_LEAST": "2h", "KORE_ETL_WINDOW_MOST": "1h"})
        assert line.startswith("window_most (KORE_ETL_WINDOW_MOST): '1h' is under window_least")

    @pytest.mark.parametrize(
        "toml",
        [
            "page_size = true",
            "overlap = true",
            "overlap = [1]",
            "base_url = {}",
            "start = 2024",
            "granularity = 1",
            "jti = 7",
        ],
    )
    def test_of_a_wrong_kind_are_told(self, write, toml):
        write(toml)
        environ = {key: value for key, value in ENVIRON.items() if key != "KORE_ETL_BASE_URL"}
        environ |= {} if "base_url" in toml else {"KORE_ETL_BASE_URL": ENVIRON["KORE_ETL_BASE_URL"]}
        assert problem(environ).startswith(f"{toml.split()[0]} (config/kore-etl.toml): ")

    def test_that_are_very_long_are_cut(self):
        assert len(problem({**ENVIRON, "KORE_ETL_PAGE_SIZE": "9" * 3000})) < 300

    def test_a_missing_setting_is_told_with_how_to_set_it(self):
        assert problem({**ENVIRON, "KORE_ETL_BASE_URL": ""}).startswith(
            "base_url (not set): is required; set KORE_ETL_BASE_URL, or base_url in config/kore-etl.toml; accepted:"
        )

    def test_without_any_setting_the_first_advice_is_init(self):
        assert problem({}) == "there are no settings yet; run: kore-etl init"

    def test_all_wrong_ones_are_told_at_once(self, write):
        write(
            'overlap = "?"\npage_size = 0\nclient_secret_file = "nowhere"\nbase_url = "https://h"\nstream_id = "st-1"'
        )
        with pytest.raises(ConfigError) as raised:
            load({})
        assert [line.partition(" ")[0] for line in raised.value.problems] == [
            *("client_secret_file", "account_id", "client_id", "page_size", "overlap")
        ]

    def test_all_unknown_ones_are_told_at_once(self, write):
        write('overlab = "1m"\n[[source]]\nsettle = "1m"\nstreamid = "x"')
        with pytest.raises(ConfigError) as raised:
            load({**ENVIRON, "KORE_ETL_STREAM_ID": ""})
        *unknown, missing = raised.value.problems
        assert len(unknown) == 3
        assert missing.startswith("stream_id (not set): is required")

    def test_an_id_that_begins_like_another_is_questioned(self):
        id_warnings = load({**ENVIRON, "KORE_ETL_CLIENT_ID": "st-1"}).id_warnings
        assert id_warnings == ["client_id begins with st-, as a stream_id does: is it the right id?"]
        assert load(ENVIRON).id_warnings == []

    def test_a_reader_of_the_database_needs_no_readable_settings(self, folder):
        (folder / "closed").mkdir(mode=0)
        environ = {"CONFIGURATION_DIRECTORY": str(folder / "closed")}
        given = {"database_url": "sqlite:///x.db"}
        load_settings(None, {}, given, need_sources=False)  # imports all that it needs while that can be read
        is_root = os.geteuid() == 0  # who may read everything
        if is_root:
            os.seteuid(65534)
        try:
            with pytest.raises(ConfigError, match="cannot be read: Permission denied; use sudo"):
                load_settings(None, environ, given)
            assert load_settings(None, environ, given, need_sources=False).settings.database_url == "sqlite:///x.db"
        finally:
            if is_root:
                os.seteuid(0)

    def test_a_reader_of_the_database_needs_only_a_few(self, write):
        write('ca_bundle = "nowhere"\nstream_id = "?? ?"\ntask_url = "https://h/{_id}"')
        loaded = load_settings(None, {}, {}, need_sources=False)
        assert loaded.settings.task_url == "https://h/{_id}"


class TestExample:
    LINE = re.compile(r"^# (?P<source_spec>(?P<key>[a-z_]+) = (?P<value>.+?))(?:\s{2,}#.*)?$", re.MULTILINE)

    def test_names_every_setting(self):
        text = EXAMPLE.read_text()
        keys = declared(Settings).keys() | declared(SourceSettings).keys()
        assert [key for key in sorted(keys) if not re.search(rf"^(# )?{key} = ", text, re.MULTILINE)] == []

    def test_shows_values_that_are_accepted(self, folder):
        (folder / "company-ca.pem").touch()
        commented = [match["source_spec"] for match in self.LINE.finditer(EXAMPLE.read_text())]
        assert len(commented) > 20
        skipped = ("client_secret", "client_id", "account_id", "base_url", "ca_bundle")
        for source_spec in commented:
            ((key, value),) = tomllib.loads(source_spec).items()
            if not key.startswith(skipped):
                load({**ENVIRON, ("KORE_ETL_SOURCE_NAME" if key == "name" else f"KORE_ETL_{key.upper()}"): str(value)})

    def test_lacks_only_what_nobody_but_the_user_knows(self, write):
        text = EXAMPLE.read_text()
        write(SECRET, "config/client-secret")
        write(text)
        with pytest.raises(ConfigError, match="'' is empty") as raised:
            load({})
        assert [line.partition(" ")[0] for line in raised.value.problems] == ["account_id", "stream_id", "client_id"]
        for key in ("account_id", "stream_id", "client_id"):
            text = text.replace(f'{key} = ""', f'{key} = "x-1"', 1)
        write(text)
        assert only(load({})).account_id == "x-1"
