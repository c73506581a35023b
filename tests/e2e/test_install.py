"""``make venv`` installs the locks with any pip, also after newer releases of what they hold; without the internet."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MAKEFILE = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
# The project's own wheel lies ready, so that its build needs no package.
BACKEND = """
import shutil

def build_editable(folder, config_settings=None, metadata_directory=None):
    return shutil.copy("project-1-py3-none-any.whl", folder).rpartition("/")[2]
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
RESOLVES = (23, 3)  # earlier pips take the newest release for "coverage[toml]", and refuse it for want of a hash


def wheel(folder: Path, name: str, version: str, *metadata: str) -> str:
    """Write a wheel; return its line of a lock."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata, ""]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"version = '{version}'\n")
        archive.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(about))
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this project's Makefile, whose lock is older than the newest release in the index."""
    index, folder = tmp_path / "index", tmp_path / "project"
    index.mkdir()
    folder.mkdir()
    with_extra = ("Provides-Extra: toml", "Requires-Dist: parser; extra == 'toml'")
    parser = wheel(index, "parser", "1")
    coverage = wheel(index, "coverage", "1", *with_extra)
    plugin = wheel(index, "plugin", "1", "Requires-Dist: coverage[toml]>=1")
    wheel(index, "coverage", "2", *with_extra)
    wheel(folder, "project", "1", "Requires-Dist: parser>=1")
    files = {
        "Makefile": MAKEFILE,
        "Makefile.resolving": MAKEFILE.replace(" --no-deps", ""),
        "backend.py": BACKEND,
        "pyproject.toml": PYPROJECT,
        "requirements.lock": parser,
        "requirements-dev.lock": coverage + parser + plugin,
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def make_venv(project: Path, venv: Path, makefile: str = "Makefile") -> subprocess.CompletedProcess[str]:
    """Run ``make venv`` with no settings of pip but where the wheels lie."""
    return subprocess.run(
        ["make", "--file", makefile, "venv", f"VENV={venv}"],
        cwd=project,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(project),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(project.parent / "index"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )


def pythons() -> list[str]:
    return subprocess.run([CHECKOUT / ".ci/pythons"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def with_newest_pip(venv: Path) -> None:
    """Make a virtual environment with the pip of requirements-dev.lock."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    newest = importlib.metadata.distribution("pip")
    for folder in ("pip", f"pip-{newest.version}.dist-info"):
        shutil.copytree(str(newest.locate_file(folder)), site_packages(venv) / folder)


def site_packages(venv: Path) -> Path:
    return next(venv.glob("lib/python*/site-packages"))


def tried(project: Path, python: str | None) -> dict[str, object]:
    """Install the locks, with the pip of a Python or the newest one; then remove some of it, and let pip resolve."""
    venv = Path(tempfile.mkdtemp(dir=project.parent)) / "venv"
    if python is None:
        with_newest_pip(venv)
    else:
        subprocess.run([python, "-m", "venv", venv], check=True)
    pip = next(site_packages(venv).glob("pip-*.dist-info")).name
    installed = make_venv(project, venv)
    code = "import coverage, parser, plugin; print(coverage.version, parser.version, plugin.version)"
    found = subprocess.run([venv / "bin/python", "-c", code], stdout=subprocess.PIPE, text=True, check=False)

    for name in ("coverage", "plugin"):
        (site_packages(venv) / f"{name}.py").unlink(missing_ok=True)
        shutil.rmtree(site_packages(venv) / f"{name}-1.dist-info", ignore_errors=True)
    (venv / "installed-dev").unlink(missing_ok=True)
    resolved = make_venv(project, venv, "Makefile.resolving")
    return {
        "python": python,
        "pip": tuple(map(int, re.findall(r"\d+", pip)[:2])),
        "installs": (installed.returncode, found.stdout) == (0, "1 1 1\n") or installed.stdout,
        "resolves": resolved.returncode == 0 or resolved.stdout,
    }


def test_every_pip_installs_a_lock_older_than_the_index(project: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        tries = list(threads.map(lambda python: tried(project, python), [*pythons(), None]))
    assert len(tries) > 1
    assert [one for one in tries if one["installs"] is not True] == []
    wrong = "must have their versions pinned with =="
    assert [one for one in tries if (wrong in str(one["resolves"])) != (one["pip"] < RESOLVES)] == []
    assert [one for one in tries if one["pip"] >= RESOLVES and one["resolves"] is not True] == []


def test_make_venv_fails_where_the_lock_lacks_a_package(project: Path, tmp_path: Path) -> None:
    with_newest_pip(tmp_path / "venv")
    lock = project / "requirements-dev.lock"
    whole = lock.read_text(encoding="utf-8")
    lock.write_text(whole.partition("\n")[2], encoding="utf-8")
    done = make_venv(project, tmp_path / "venv")
    assert done.returncode != 0
    assert "plugin 1 requires coverage, which is not installed" in done.stdout
    lock.write_text(whole, encoding="utf-8")
    assert make_venv(project, tmp_path / "venv").returncode == 0


def test_a_package_that_is_not_the_locked_one_is_refused(project: Path, tmp_path: Path) -> None:
    with_newest_pip(tmp_path / "venv")
    wheel(tmp_path / "index", "plugin", "1", "Summary: not the same")
    done = make_venv(project, tmp_path / "venv")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stdout
    assert not list(site_packages(tmp_path / "venv").glob("plugin*"))
