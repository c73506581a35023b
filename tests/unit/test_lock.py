"""The lock file is in step with pyproject.toml, and installs from whatever index there is."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CHECKOUT = Path(__file__).resolve().parents[2]
LOCK = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
ENTRIES = LOCK.replace("\\\n", "").splitlines()


def wanted() -> list[Requirement]:
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values(), settings["build-system"]["requires"]]
    return [Requirement(text) for texts in lists for text in texts]


def locked() -> dict[str, Version]:
    here = [entry for entry in map(Requirement, (entry.partition(" --hash")[0] for entry in ENTRIES)) if applies(entry)]
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


def test_what_pyproject_asks_for_is_locked() -> None:
    versions = locked()
    missing = [
        str(requirement)
        for requirement in wanted()
        if (version := versions.get(canonicalize_name(requirement.name))) is None
        or version not in requirement.specifier
    ]
    assert missing == [], "run: make lock"


def test_the_lock_holds_all_that_is_needed_and_nothing_else() -> None:
    assert set(locked()) == set(needed(wanted(), set()))


def test_every_entry_is_one_version_with_its_hashes() -> None:
    assert ENTRIES
    form = r"[a-z0-9-]+==\S+( ; [^-]+)?( +--hash=sha256:[0-9a-f]{64})+"
    assert [entry for entry in ENTRIES if not re.fullmatch(form, entry)] == []
