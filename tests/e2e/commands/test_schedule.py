"""``kore-etl schedule`` as a process: units and crontabs that work as they stand."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from etl.scheduling.systemd import _word
from tests.conftest import clean_environment

CHECKOUT = Path(__file__).resolve().parents[3]
SYSTEMD = CHECKOUT / "config" / "systemd"
UNITS = (
    "kore-etl.service",
    "kore-etl.timer",
    "kore-etl-reconcile.service",
    "kore-etl-reconcile.timer",
    "kore-etl-failed@.service",
)
ME = pwd.getpwuid(os.geteuid()).pw_name
HARDENED = {
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "CapabilityBoundingSet": "",
    "PrivateDevices": "yes",
    "PrivateUsers": "yes",
    "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
}
CRON_LINE = re.compile(r"^([\d*/]+ ){4}[\d*/]+  ")
Run = Callable[..., subprocess.CompletedProcess[str]]


def directives(text: str) -> dict[str, list[str]]:
    """The values of each directive of a unit."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def printed_units(text: str) -> dict[str, str]:
    """Each unit of what is printed, by the path that stands above it."""
    parts = re.split(r"^# (/\S+\.(?:service|timer))\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def stub(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def config(sandbox, tmp_path) -> Path:
    """Settings in a file that point at a server, the secret in a file beside it."""
    server = sandbox(tasks=5)
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "client-secret").write_text(server.options.client_secret)
    (folder / "client-secret").chmod(0o600)
    lines = [f'{name} = "{getattr(server.options, name)}"' for name in ("account_id", "stream_id", "client_id")]
    lines += [f'base_url = "{server.url}"', 'client_secret_file = "client-secret"', "requests_per_minute = 6000"]
    (folder / "kore-etl.toml").write_text("\n".join(lines) + "\n")
    return folder / "kore-etl.toml"


class TestSystemd:
    @pytest.mark.usefixtures("config")
    def test_prints_the_files_of_config_filled_in(self, run_cli):
        done = run_cli("schedule", "systemd")
        assert done.returncode == 0, done.stderr
        units = printed_units(done.stdout)
        assert list(units) == [f"/etc/systemd/system/{name}" for name in UNITS]
        for path, text in units.items():
            kept, brought = directives(text), directives((SYSTEMD / Path(path).name).read_text())
            for name in ("ExecStart", "LoadCredential"):
                if name in kept and "failed" not in path:
                    assert kept.pop(name) != brought.pop(name)
            home = {found.pop("ProtectHome", [""])[0] for found in (kept, brought)}
            assert home <= {"", "yes", "read-only"}
            assert kept == brought

    @pytest.mark.usefixtures("config")
    def test_a_worker_takes_the_place_of_the_sync(self, run_cli):
        done = run_cli("schedule", "systemd", "--worker")
        assert "database_url: workers share a PostgreSQL database" in done.stderr
        assert done.returncode == 0, done.stderr
        units = printed_units(done.stdout)
        names = ["kore-etl-worker.service", *UNITS[2:]]
        assert list(units) == [f"/etc/systemd/system/{name}" for name in names]
        worker, sync = (
            directives(units[f"/etc/systemd/system/{names[0]}"]),
            directives((SYSTEMD / UNITS[0]).read_text()),
        )
        assert worker["ExecStart"][0].endswith(" worker")
        own = {"ExecStart", "LoadCredential", "Type", "Restart", "RestartSec", "TimeoutStopSec", "WantedBy"}
        rest = {"Description", "SuccessExitStatus", "ProtectHome", *own}
        assert {key: worker[key] for key in worker.keys() - rest} == {key: sync[key] for key in sync.keys() - rest}
        assert "WantedBy=default.target" in run_cli("schedule", "systemd", "--worker", "--user").stdout
        refused = run_cli("schedule", "systemd", "--worker", "--every", "5m")
        assert (refused.returncode, "--every does not go with --worker" in refused.stderr) == (2, True)

    def test_warns_of_a_password_that_the_service_cannot_find(self, run_cli, config):
        warning = "the service has no ~/.pgpass and no PGPASSWORD"
        urls = (
            "postgresql://kore@db.example.com/kore",
            "postgresql://kore:p@db.example.com/kore",
            "postgresql:///kore",
        )
        text = config.read_text()
        said = []
        for url in urls:
            config.write_text(f'database_url = "{url}"\n{text}')
            said.append(warning in run_cli("schedule", "systemd").stderr)
        assert said == [True, False, False]
        config.write_text(f'database_url = "{urls[0]}"\n{text}')
        assert warning not in run_cli("schedule", "systemd", "--user").stderr

    def test_cron_warns_of_a_password_of_this_shell_only(self, run_cli, config):
        text, said = config.read_text(), []
        for password in ("", ":p"):
            config.write_text(f'database_url = "postgresql://kore{password}@db.example.com/kore"\n{text}')
            for words in (["cron"], ["cron", "--user"], ["systemd", "--user"]):
                told = run_cli("schedule", *words, env={"PGPASSWORD": "p"}).stderr
                said.append("which a schedule does not have: PGPASSWORD" in told)
        assert said == [True, True, True, False, False, False]
        config.write_text(f'database_url = "postgresql://kore@db.example.com/kore"\n{text}')
        assert "PGPASSWORD" not in run_cli("schedule", "cron").stderr

    def test_the_service_runs_a_sync_that_works(self, run_cli, config, tmp_path):
        service = directives(printed_units(run_cli("schedule", "systemd").stdout)[f"/etc/systemd/system/{UNITS[0]}"])
        credentials, state = tmp_path / "credentials", tmp_path / "state"
        credentials.mkdir()
        state.mkdir()
        for name, _, path in (each.partition(":") for each in service["LoadCredential"]):
            shutil.copy(path, credentials / name)
        shutil.rmtree(config.parent)  # what is not handed over is not there
        given = dict(each.replace("%d", str(credentials)).split("=", 1) for each in service["Environment"])
        environ = clean_environment(tmp_path, {**given, "CREDENTIALS_DIRECTORY": str(credentials)})
        command = [*shlex.split(service["ExecStart"][0]), "--output", "json"]
        done = subprocess.run(command, cwd=state, env=environ, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["sources"][0]["inserted"] == 5
        assert (state / "kore-etl.db").exists()

    @pytest.mark.usefixtures("config")
    def test_a_held_lock_is_no_failure_and_others_are_told(self, run_cli):
        units = printed_units(run_cli("schedule", "systemd").stdout)
        service = directives(units[f"/etc/systemd/system/{UNITS[0]}"])
        assert service["SuccessExitStatus"] == ["75"]
        assert service["OnFailure"] == ["kore-etl-failed@%n.service"]
        timer = directives(units[f"/etc/systemd/system/{UNITS[1]}"])
        assert (timer["OnCalendar"], timer["Persistent"]) == (["*:0/5"], ["true"])
        assert "RandomizedDelaySec" in timer

    @pytest.mark.usefixtures("config")
    def test_a_daily_timer_reconciles_and_waits_for_the_sync(self, run_cli):
        units = printed_units(run_cli("schedule", "systemd").stdout)
        sync, reconcile = (directives(units[f"/etc/systemd/system/{UNITS[number]}"]) for number in (0, 2))
        (command,), _ = reconcile.pop("ExecStart"), sync.pop("ExecStart")
        assert command.endswith(" sync --reconcile --wait 10m")
        assert reconcile.pop("Description") != sync.pop("Description")
        assert reconcile == sync
        assert directives(units[f"/etc/systemd/system/{UNITS[3]}"])["OnCalendar"] == ["*-*-* 03:40"]

    @pytest.mark.usefixtures("config")
    def test_the_comments_of_a_users_units_fit_them(self, run_cli):
        comments = [line for line in run_cli("schedule", "systemd", "--user").stdout.splitlines() if line[:2] == "# "]
        comments = [line for line in comments if not line.startswith("# /")]
        assert [line for line in comments if re.search(r"root|/var/lib|A user of its own", line)] == []
        assert [line for line in comments if "journalctl" in line and "--user" not in line] == []

    def test_the_service_is_hardened(self):
        service = directives((SYSTEMD / UNITS[0]).read_text())
        assert {name: service[name][-1] for name in HARDENED} == HARDENED
        assert service["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]
        if shutil.which("systemd-analyze"):
            command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25"]
            done = subprocess.run([*command, SYSTEMD / UNITS[0]], capture_output=True, encoding="utf-8", check=False)
            assert done.returncode == 0, done.stdout[-500:]

    @pytest.mark.parametrize("options", [[], ["--user"]], ids=["machine", "user"])
    @pytest.mark.usefixtures("config")
    def test_systemd_finds_nothing_wrong_with_it(self, run_cli, tmp_path, options):
        folder = tmp_path / "units"
        folder.mkdir()
        for path, text in printed_units(run_cli("schedule", "systemd", "--every", "1h", *options).stdout).items():
            (folder / Path(path).name).write_text(text)
            assert re.search(r"^\[Unit\]\nDescription=", text, re.MULTILINE)
            assert all(re.fullmatch(r"(#.*|\[\w+\]|\w+=.*|)", line) for line in text.splitlines())
        if shutil.which("systemd-analyze"):
            command = ["systemd-analyze", "verify", *options, *(folder / name for name in UNITS)]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
            ours = [line for line in done.stderr.splitlines() if "kore-etl" in line]
            assert ours == []

    def test_of_a_user_asks_nothing_that_only_the_machine_may(self, run_cli, config, tmp_path):
        text = run_cli("schedule", "systemd", "--user").stdout
        units = printed_units(text)
        assert set(units) == {str(tmp_path / ".config/systemd/user" / name) for name in UNITS}
        service = directives(units[str(tmp_path / ".config/systemd/user" / UNITS[0])])
        assert service.keys().isdisjoint({"DynamicUser", "ProtectSystem", "CapabilityBoundingSet", "LoadCredential"})
        assert service["Environment"] == [f"KORE_ETL_CONFIG={config}"]
        assert service["WorkingDirectory"] == [str(tmp_path)]
        assert "client-secret" not in text

    @pytest.mark.usefixtures("config")
    def test_installed_for_a_user_is_enabled_and_started(self, run_cli, tmp_path):
        stub(tmp_path / "bin", "systemctl", f'echo "$@" >> {tmp_path}/calls')
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        done = run_cli("schedule", "systemd", "--user", "--install", env={"PATH": path})
        assert done.returncode == 0, done.stderr
        written = tmp_path / ".config/systemd/user"
        assert sorted(path.name for path in written.iterdir()) == sorted(UNITS)
        calls = (tmp_path / "calls").read_text().splitlines()
        assert calls == ["--user daemon-reload", "--user enable --now kore-etl.timer kore-etl-reconcile.timer"]

    @pytest.mark.usefixtures("config")
    def test_installed_below_a_root_says_what_is_left_to_do(self, run_cli, tmp_path):
        done = run_cli("schedule", "systemd", "--install", "--root", str(tmp_path / "image"))
        assert done.returncode == 0
        assert (
            "now run: systemctl daemon-reload && systemctl enable --now kore-etl.timer kore-etl-reconcile.timer"
            in done.stderr
        )
        for name in UNITS:
            assert (tmp_path / "image/etc/systemd/system" / name).stat().st_mode & 0o777 == 0o644

    @pytest.mark.usefixtures("config")
    def test_a_failing_systemctl_is_told(self, run_cli, tmp_path):
        stub(tmp_path / "bin", "systemctl", "echo no bus >&2; exit 1")
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        done = run_cli("schedule", "systemd", "--user", "--install", env={"PATH": path})
        assert done.returncode == 2
        assert "systemctl --user daemon-reload failed: no bus; the units are written" in done.stderr

    @pytest.mark.usefixtures("config")
    def test_what_cannot_be_written_is_told(self, run_cli, tmp_path):
        (tmp_path / "image").write_text("no folder")
        done = run_cli("schedule", "systemd", "--install", "--root", str(tmp_path / "image"))
        assert done.returncode == 2
        assert "cannot be written" in done.stderr
        assert "--user" in done.stderr

    def test_hands_over_the_secret_of_each_source(self, run_cli, config):
        text = config.read_text()
        (config.parent / "other").write_text("a" * 40)
        tables = (
            '[[source]]\nname = "a"\nclient_secret_file = "client-secret"\n[[source]]\nname = "b"\nstream_id = "st-b"\n'
        )
        config.write_text(
            text.replace('client_secret_file = "client-secret"\n', "") + tables + 'client_secret_file = "other"\n'
        )
        done = run_cli("schedule", "systemd")
        assert done.returncode == 0, done.stderr
        credentials = directives(printed_units(done.stdout)[f"/etc/systemd/system/{UNITS[0]}"])["LoadCredential"]
        assert credentials == [f"{name}:{config.parent / name}" for name in ("kore-etl.toml", "client-secret", "other")]
        assert "Environment=KORE_ETL_CLIENT_SECRET_FILE" not in done.stdout

    def test_hands_over_only_secrets_beside_the_settings(self, run_cli, config, tmp_path):
        text = config.read_text()
        (tmp_path / "other").write_text("a" * 40)
        tables = '[[source]]\nname = "a"\n[[source]]\nname = "b"\nstream_id = "st-b"\n'
        config.write_text(text + tables + f'client_secret_file = "{tmp_path / "other"}"\n')
        done = run_cli("schedule", "systemd")
        assert done.returncode == 2
        assert "beside the settings" in done.stderr


class TestObstacles:
    def test_settings_in_no_file_are_refused(self, run_cli, sandbox):
        done = run_cli("schedule", "systemd", env=sandbox(tasks=0).environment)
        assert done.returncode == 2
        assert "the settings are in no file" in done.stderr

    @pytest.mark.usefixtures("config")
    def test_what_only_the_environment_says_is_warned_of(self, run_cli):
        done = run_cli("schedule", "cron", env={"KORE_ETL_OVERLAP": "1h"})
        assert done.returncode == 0
        assert "which a schedule does not have: overlap; put it into a file" in done.stderr

    def test_a_database_where_the_service_cannot_write_is_warned_of(self, run_cli, config, tmp_path):
        config.write_text(f'database_url = "sqlite:///{tmp_path}/here.db"\n' + config.read_text())
        assert f"the database is {tmp_path}/here.db" in run_cli("schedule", "systemd").stderr
        assert "the database is" not in run_cli("schedule", "systemd", "--user").stderr


class TestCron:
    def test_prints_the_file_of_config_filled_in(self, run_cli, config):
        done = run_cli("schedule", "cron", "--as", ME, "--every", "10m")
        assert (done.returncode, done.stderr) == (0, "")
        brought = (CHECKOUT / "config/cron/kore-etl.cron").read_text().splitlines()
        assert done.stdout.splitlines()[1:-2] == brought[brought.index("SHELL=/bin/sh") : -2]
        sync, reconcile = done.stdout.splitlines()[-2:]
        assert sync.startswith(f"*/10 * * * *  {ME}  cd ")
        assert sync.endswith(f" sync --quiet --config {config}")
        assert reconcile.startswith(f"40 3 * * *  {ME}  cd ")
        assert reconcile.endswith(f" sync --reconcile --wait 10m --quiet --config {config}")

    @pytest.mark.usefixtures("config")
    def test_a_user_that_does_not_exist_is_refused(self, run_cli):
        done = run_cli("schedule", "cron", "--as", "no-such-user")
        assert (done.returncode, "there is no such user" in done.stderr) == (2, True)

    def test_a_user_who_cannot_read_the_settings_is_refused(self, run_cli, config):
        other = next(user.pw_name for user in pwd.getpwall() if user.pw_uid not in (0, os.geteuid()))
        config.chmod(0o600)
        done = run_cli("schedule", "cron", "--as", other)
        assert done.returncode == 2
        assert f"--as {other}: cannot read {config}; run: chown" in done.stderr

    @pytest.mark.usefixtures("config")
    def test_each_line_works_in_crons_bare_environment(self, run_cli):
        bare = {"HOME": "/", "LOGNAME": ME, "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
        lines = run_cli("schedule", "cron", "--user").stdout.splitlines()
        assert len(lines) == 2
        for line in lines:
            command = ["/bin/sh", "-c", line.split(maxsplit=5)[5]]
            done = subprocess.run(command, cwd="/", env=bare, capture_output=True, check=False)
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_documented_lines_name_the_command_by_its_path(self):
        pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "config").rglob("*.cron")]
        lines = [line for page in pages for line in page.read_text().splitlines() if CRON_LINE.match(line)]
        assert len(lines) > 5
        bare = re.compile(r"(?<!/opt/kore-etl/bin/)kore-etl (sync|report|backup)")
        assert [line for line in lines if bare.search(line)] == []

    @pytest.mark.usefixtures("config")
    def test_its_command_is_a_sync_that_works_and_says_nothing(self, run_cli, tmp_path):
        line = run_cli("schedule", "cron", "--user").stdout.splitlines()[0]
        command = line.split(maxsplit=5)[5]
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd="/", env=clean_environment(tmp_path), capture_output=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert (tmp_path / "kore-etl.db").exists()

    @pytest.mark.usefixtures("config")
    def test_in_a_users_crontab_replaces_its_own_line_alone(self, run_cli, tmp_path):
        kept = tmp_path / "crontab"
        kept.write_text("# mine\n1 2 * * * true\n")
        stub(tmp_path / "bin", "crontab", f'[ "$1" = -l ] && exec cat {kept}\nexec cat > {kept}')
        path = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        for every in ("5m", "15m"):
            assert run_cli("schedule", "cron", "--user", "--install", "--every", every, env=path).returncode == 0
        lines = kept.read_text().splitlines()
        assert lines[:2] == ["# mine", "1 2 * * * true"]
        assert [line[:4] for line in lines if " sync " in line] == ["*/15", "40 3"]
        assert len(lines) == 6

    @pytest.mark.usefixtures("config")
    def test_without_crontab_says_what_else_there_is(self, run_cli, tmp_path):
        stub(tmp_path / "bin", "nothing", "")
        done = run_cli("schedule", "cron", "--user", "--install", env={"PATH": str(tmp_path / "bin")})
        assert done.returncode == 2
        assert "kore-etl schedule systemd --user" in done.stderr


def test_a_percent_sign_does_not_end_the_crontabs_command(run_cli, config, tmp_path):
    shutil.move(config.parent, tmp_path / "50% off")
    done = run_cli("schedule", "cron", "--user", "--config", str(tmp_path / "50% off" / "kore-etl.toml"))
    assert done.returncode == 0
    assert "50\\% off" in done.stdout
    assert re.search(r"(?<!\\)%", done.stdout) is None


def test_a_command_elsewhere_is_written_as_systemd_reads_it():
    assert _word("/opt/kore etl/100%") == '"/opt/kore etl/100%%"'
    assert _word("/opt/$HOME") == "/opt/$$HOME"
