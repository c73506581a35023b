"""Exit codes and the tree of errors, ordered by their consequence.

    EtlError (1)
    ├── ConfigError (2)       a setting is wrong or missing
    ├── AuthError (4)         the API refused the token, its scope or the stream
    ├── RefusedError (4)      the API refused the request itself (400, 412 ...)
    │   └── SkipRefusedError  it had a skip, so the rows behind it cannot be reached
    ├── ApiError (5)          the API cannot be reached, or its answer cannot be used
    │   └── TransientApiError another try may help; raised once the tries are used up
    ├── DatabaseError (6)     the database cannot be read or written
    └── LockedError (75)      another run holds the source

A message says what happened, to what, and what to do next; it never holds a secret, a token or a body.
Exit code 3 (done, but with rejected records, unverified windows or missing tasks) is an outcome, not an error.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The exit code of the process."""

    DONE = 0
    BUG = 1
    USAGE = 2
    INCOMPLETE = 3
    REFUSED = 4
    UNREACHABLE = 5
    DATABASE = 6
    LOCKED = 75
    INTERRUPTED = 130
    CLOSED_PIPE = 141
    TERMINATED = 143

    __repr__ = int.__repr__  # in logs it is a number


class EtlError(Exception):
    """The root: a failure with its own exit code."""

    exit_code: ClassVar[ExitCode] = ExitCode.BUG


class ConfigError(EtlError):
    """Settings or options are missing or wrong; each problem is a line."""

    exit_code = ExitCode.USAGE

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class AuthError(EtlError):
    """The API refused the token, its scope or the stream."""

    exit_code = ExitCode.REFUSED


class RefusedError(EtlError):
    """The API refused the request (a range, a limit, a filter), not the token."""

    exit_code = ExitCode.REFUSED


class SkipRefusedError(RefusedError):
    """The API refused a query with a skip: the rows behind it cannot be reached in this order."""


class ApiError(EtlError):
    """The API could not be reached or gave an answer that cannot be used."""

    exit_code = ExitCode.UNREACHABLE


class TransientApiError(ApiError):
    """A failure that a retry may solve."""


class DatabaseError(EtlError):
    """The database could not be opened, read or written."""

    exit_code = ExitCode.DATABASE


class LockedError(EtlError):
    """Another run works on the same source."""

    exit_code = ExitCode.LOCKED
