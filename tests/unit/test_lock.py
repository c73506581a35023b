"""The locks are in step with pyproject.toml and with each other, and install from whatever index there is."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CHECKOUT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Each lock, and what an install of it must bring: requirements.lock for use, requirements-dev.lock for everything.
WANTED = {
    "requirements.lock": [PROJECT["dependencies"], EXTRAS["report"], SETTINGS["build-system"]["requires"]],
    "requirements-dev.lock": [PROJECT["dependencies"], *EXTRAS.values(), SETTINGS["build-system"]["requires"]],
}
each_lock = pytest.mark.parametrize("name", WANTED)


def wanted(name: str) -> list[Requirement]:
    return [one for one in (Requirement(text) for texts in WANTED[name] for text in texts) if applies(one)]


def lines(name: str) -> list[str]:
    return (CHECKOUT / name).read_text(encoding="utf-8").replace("\\\n", "").splitlines()


def locked(name: str) -> dict[str, Version]:
    entries = map(Requirement, (line.partition(" --hash")[0] for line in lines(name)))
    here = [entry for entry in entries if applies(entry)]
    return {canonicalize_name(entry.name): Version(next(iter(entry.specifier)).version) for entry in here}


def applies(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**default_environment(), "extra": extra})


def needed(requirements: list[Requirement], seen: set[tuple[str, str]]) -> Iterator[str]:
    """Everything that an install of the requirements brings along, read from what is installed here."""
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        yield name
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                texts = importlib.metadata.requires(name) or []
                further = [further for further in map(Requirement, texts) if applies(further, extra)]
                yield from needed(further, seen)


@each_lock
def test_what_pyproject_asks_for_is_locked(name: str) -> None:
    versions = locked(name)
    missing = [
        str(requirement)
        for requirement in wanted(name)
        if versions.get(canonicalize_name(requirement.name), Version("0")) not in requirement.specifier
    ]
    assert missing == [], "run: make lock"


@each_lock
def test_the_lock_holds_all_that_is_needed_and_nothing_else(name: str) -> None:
    assert set(locked(name)) == set(needed(wanted(name), set()))


@each_lock
def test_every_entry_is_one_version_with_its_hashes(name: str) -> None:
    entry = re.compile(r"[a-z0-9-]+==\S+( ; [^-]+)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [line for line in lines(name) if not entry.fullmatch(line)] == []


def test_the_lock_for_development_holds_the_lock_for_use() -> None:
    assert set(lines("requirements.lock")) <= set(lines("requirements-dev.lock")), "run: make lock"
