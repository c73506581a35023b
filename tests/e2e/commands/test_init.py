"""``kore-etl init`` as a process: what it asks, what it writes, and that this works."""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from etl.cli.commands.setup.init import _paths
from etl.cli.options import Common
from etl.errors import ConfigError
from tests.e2e.terminal import on_terminal

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server(sandbox):
    return sandbox(tasks=3)


@pytest.fixture
def config(tmp_path) -> Path:
    return tmp_path / "settings" / "kore-etl.toml"


@pytest.fixture
def options(server, config) -> list[str]:
    known = server.options
    given = {"base-url": server.url, "account-id": known.account_id, "stream-id": known.stream_id}
    given |= {"client-id": known.client_id, "client-secret-file": "-", "config": str(config)}
    return [word for name, value in given.items() for word in (f"--{name}", value)]


@pytest.fixture
def init(run_cli: Run, options, server) -> Run:
    def run(*more: str, secret: str | None = None) -> subprocess.CompletedProcess[str]:
        return run_cli("init", *options, *more, input=server.options.client_secret if secret is None else secret)

    return run


def test_what_is_written_works_and_is_for_its_owner_alone(init, run_cli, config):
    done = init()
    assert done.returncode == 0, done.stderr
    assert [path.stat().st_mode & 0o777 for path in (config, config.with_name("client-secret"))] == [0o600, 0o600]
    assert config.parent.stat().st_mode & 0o777 == 0o700
    assert "sortBy updatedAt is obeyed" in done.stdout  # the first probe
    assert f"next, read all tasks: kore-etl sync --config {config}" in done.stderr
    as_user = " --user" if os.geteuid() else ""
    assert f"kore-etl schedule systemd --config {config}{as_user} --install" in done.stderr
    assert run_cli("check", "--config", str(config)).returncode == 0
    assert run_cli("sync", "--config", str(config)).returncode == 0


def test_the_secret_is_in_its_own_file_and_nowhere_else(init, config, server):
    done = init()
    secret = server.options.client_secret
    assert config.with_name("client-secret").read_text() == f"{secret}\n"
    assert tomllib.loads(config.read_text())["client_secret_file"] == "client-secret"
    assert secret not in config.read_text() + done.stdout + done.stderr


def test_keeps_the_explanations_of_the_example(init, config):
    init("--no-probe")
    assert "# overlap = " in config.read_text()
    assert tomllib.loads(config.read_text())["database_url"] == f"sqlite:///{config.parent}/kore-etl.db"


def test_without_a_probe_makes_no_request(init, server):
    assert init("--no-probe").returncode == 0
    assert server.request_count == 0


def test_what_is_there_is_not_overwritten_but_by_force(init, config):
    config.parent.mkdir()
    config.write_text("# mine\n")
    done = init()
    assert (done.returncode, config.read_text()) == (2, "# mine\n")
    assert "is there already and was not touched; add --force" in done.stderr
    assert init("--force").returncode == 0
    assert "account_id" in config.read_text()
    assert config.stat().st_mode & 0o777 == 0o600


def test_by_force_the_present_values_are_the_defaults(init, run_cli, config, server):
    init("--no-probe")
    config.write_text(config.read_text().replace("# page_size = 100", "page_size = 7"))
    before = tomllib.loads(config.read_text())
    done = run_cli("init", "--config", str(config), "--force", "--no-probe", "--client-id", "cs-other")
    assert done.returncode == 0, done.stderr
    assert tomllib.loads(config.read_text()) == {**before, "client_id": "cs-other"}
    assert config.with_name("client-secret").read_text().strip() == server.options.client_secret


def test_by_force_the_present_values_are_offered(init, config, tmp_path, server):
    init("--no-probe")
    before = config.read_text()
    code, shown = on_terminal(["init", "--config", str(config), "--force", "--no-probe"], tmp_path, {}, typed=[""] * 6)
    assert code == 0, shown
    assert f"[{server.options.stream_id}]" in shown
    assert "empty: as it is" in shown
    assert config.read_text() == before


def test_by_force_source_tables_are_not_overwritten(init, config):
    config.parent.mkdir()
    config.write_text('[[source]]\nname = "a"\n')
    done = init("--force")
    assert (done.returncode, "has [[source]] tables" in done.stderr) == (2, True)


def test_an_id_that_begins_like_another_is_questioned(init, server, config, tmp_path):
    done = init("--no-probe", "--client-id", "st-1")
    assert "warning: client_id begins with st-, as a stream_id does" in done.stderr
    known = server.options
    typed = [server.url, known.account_id, known.stream_id, known.stream_id, "n", known.client_id, "", "secret-word"]
    code, shown = on_terminal(["init", "--config", str(tmp_path / "x.toml"), "--no-probe"], tmp_path, {}, typed=typed)
    assert code == 0, shown
    assert tomllib.loads((tmp_path / "x.toml").read_text())["client_id"] == known.client_id


def test_settings_that_do_not_work_are_kept_and_told(init, config):
    done = init(secret="wrong" * 10)
    assert done.returncode == 4
    assert "do not work yet; see: kore-etl check --config" in done.stderr
    assert f"change them: kore-etl init --config {config} --force" in done.stderr
    assert "add --force to change it" in init().stderr
    assert config.exists()


@pytest.mark.parametrize("name", ["account-id", "stream-id", "client-id", "client-secret-file"])
def test_names_what_is_missing_where_nobody_can_be_asked(run_cli, options, config, name):
    place = options.index(f"--{name}")
    done = run_cli("init", *options[:place], *options[place + 2 :])
    assert done.returncode == 2
    assert f"add --{name}" in done.stderr
    assert not config.exists()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--base-url", "http://platform.kore.ai", "is http, which would send the token unprotected"),
        ("--account-id", "a b", "holds blanks"),
        ("--database-url", "mysql://host/x", "accepted: sqlite:///FILE"),
        ("--client-secret-file", "/nowhere", "cannot be read"),
    ],
)
def test_a_wrong_answer_is_refused_before_anything_is_written(init, config, option, value, said):
    done = init(option, value)
    assert done.returncode == 2
    assert said in done.stderr
    assert not config.exists()


def test_a_place_that_cannot_be_written_is_told(init, tmp_path):
    (tmp_path / "settings").write_text("no folder")
    done = init()
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "--config" in done.stderr


def test_asks_until_the_answer_is_right_and_hides_the_secret(server, config, tmp_path):
    known = server.options
    typed = ["http://example.com", server.url, known.account_id, known.stream_id, known.client_id, ""]
    arguments = ["init", "--config", str(config), "--no-probe"]
    code, shown = on_terminal(arguments, tmp_path, {}, typed=[*typed, known.client_secret])
    assert code == 0, shown
    assert shown.count("The URL of the account's server") == 2
    assert "The Client Secret (it is not shown)" in shown
    assert tomllib.loads(config.read_text())["account_id"] == known.account_id
    assert config.with_name("client-secret").read_text().strip() == known.client_secret


@pytest.mark.parametrize(
    ("user", "config", "database"),
    [
        (0, "/etc/kore-etl/kore-etl.toml", "sqlite:////var/lib/kore-etl/kore-etl.db"),
        (1, "/home/me/.config/kore-etl/kore-etl.toml", "sqlite:////home/me/.local/share/kore-etl/kore-etl.db"),
    ],
)
def test_root_and_others_have_their_usual_folders(user, config, database):
    paths = _paths(Common(), {"HOME": "/home/me"}, user)
    assert (str(paths.config), paths.database_url) == (config, database)


def test_a_user_without_a_home_is_told_to_name_the_file() -> None:
    with pytest.raises(ConfigError, match=r"HOME is not set.*--config"):
        _paths(Common(), {}, 1)
    assert _paths(Common(config=Path("/x/k.toml")), {}, 1).database_url == "sqlite:////x/kore-etl.db"


def test_a_home_may_have_any_name() -> None:
    assert _paths(Common(), {"HOME": "/100%?"}, 1).database_url.startswith("sqlite:////100%25%3F/")


def test_a_byte_order_mark_before_the_secret_is_left_out(init, config, server):
    assert init("--no-probe", secret=f"\ufeff{server.options.client_secret}\r\n").returncode == 0
    assert config.with_name("client-secret").read_text(encoding="utf-8") == f"{server.options.client_secret}\n"


def test_no_option_takes_the_secret_itself(run_cli):
    assert "--client-secret " not in run_cli("init", "--help").stdout
    assert os.environ.get("KORE_ETL_CLIENT_SECRET") is None


def test_without_settings_a_reading_command_advises_init(run_cli):
    done = run_cli("status")
    assert (done.returncode, "run: kore-etl init, then: kore-etl sync" in done.stderr) == (6, True)
