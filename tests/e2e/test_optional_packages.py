"""Where an extra is not installed, the error prints a command that installs it in this environment."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from etl.optional_packages import _installer
from tests.conftest import CHECKOUT, clean_environment

TOOLS = Path(sys.executable).parent
MISSING = ("jinja2", "datasette", "procrastinate", "psycopg", "pyarrow")
COMMANDS = {
    "postgres": ("db", "upgrade", "--database-url", "postgresql://nobody@127.0.0.1:1/none"),
    "parquet": ("export", "--format", "parquet", "--out", "tasks.parquet"),
    "report": ("report",),
    "explore": ("explore",),
    "workers": ("worker", "--database-url", "postgresql://nobody@127.0.0.1:1/none"),
}
PACKAGES = {
    "postgres": "psycopg",
    "parquet": "pyarrow",
    "report": "jinja2",
    "explore": "datasette",
    "workers": "procrastinate",
}


def optional_dependencies() -> dict[str, list[str]]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


class Environment:
    """A virtual environment with this checkout and its libraries, but without those of the extras."""

    def __init__(self, folder: Path, *, pip: bool) -> None:
        self.folder = folder
        venv.create(folder, with_pip=pip, symlinks=True)
        libraries = folder / "libraries"
        libraries.mkdir()
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if not entry.name.startswith((*MISSING, "pip", "__pycache__")):
                (libraries / entry.name).symlink_to(entry)
        (site_packages,) = folder.glob("lib/python*/site-packages")
        (site_packages / "here.pth").write_text(f"{libraries}\n{CHECKOUT}\n")
        self.packages = folder / "packages"
        self.packages.mkdir()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environ = clean_environment(self.folder, {"KORE_ETL_DATABASE_URL": f"sqlite:///{self.folder}/tasks.db"})
        del environ["PYTHONPATH"]
        environ["PATH"] = f"{TOOLS}:{environ['PATH']}"
        environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.packages)}
        environ |= {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(self.packages), "UV_NO_CONFIG": "1"}
        return subprocess.run(
            command, cwd=self.folder, env=environ, check=False, capture_output=True, encoding="utf-8", timeout=120
        )

    def kore_etl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.folder / "bin/python"), "-m", "etl", *arguments)

    def offer(self, name: str, version: str) -> None:
        """Put a made-up wheel where pip and uv look for packages."""
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}/__init__.py": "",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
        with zipfile.ZipFile(self.packages / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            for path, text in files.items():
                wheel.writestr(path, text)


@pytest.fixture
def bare(tmp_path: Path) -> Environment:
    environment = Environment(tmp_path / "bare", pip=False)
    assert environment.kore_etl("db", "upgrade").returncode == 0
    return environment


def command_in(error: str) -> list[str]:
    found = re.search(r"; run: (.*)$", error, re.MULTILINE)
    assert found, error
    return shlex.split(found[1])


def test_each_extra_is_named_by_its_packages(bare: Environment) -> None:
    for extra, arguments in COMMANDS.items():
        done = bare.kore_etl(*arguments)
        assert done.returncode == 2, done.stderr
        assert f"{PACKAGES[extra]}" in done.stderr.partition("; run:")[0]
        assert command_in(done.stderr)[-len(optional_dependencies()[extra]) :] == optional_dependencies()[extra]


@pytest.mark.parametrize("pip", [True, False], ids=["pip", "uv"])
def test_the_command_installs_what_is_missing(tmp_path: Path, pip: bool) -> None:  # noqa: FBT001
    environment = Environment(tmp_path / "own", pip=pip)
    environment.kore_etl("db", "upgrade")
    environment.offer("pyarrow", "99.0")
    command = command_in(environment.kore_etl(*COMMANDS["parquet"]).stderr)
    installed = environment.run(*command)
    assert installed.returncode == 0, installed.stderr
    assert environment.run(str(environment.folder / "bin/python"), "-c", "import pyarrow").returncode == 0


def test_pipx_is_asked_to_add_to_its_own_environment(bare: Environment) -> None:
    (bare.folder / "pipx_metadata.json").write_text("{}")
    command = command_in(bare.kore_etl(*COMMANDS["parquet"]).stderr)
    assert command == ["pipx", "inject", "bare", *optional_dependencies()["parquet"]]


def test_an_environment_of_another_owner_takes_sudo(tmp_path: Path) -> None:
    assert _installer(tmp_path / "not writable")[0] == "sudo"
    assert _installer(tmp_path)[0] != "sudo"


def test_all_is_every_extra_that_a_user_wants() -> None:
    extras = optional_dependencies()
    wanted = {requirement for extra in COMMANDS for requirement in extras[extra]}
    assert set(extras["all"]) == wanted
