"""A stand-in for the vendor's getTasks server, for tests and for people who have no account yet."""

from __future__ import annotations

from etl.sandbox.options import Options
from etl.sandbox.server.http_server import Sandbox

__all__ = ["Options", "Sandbox"]
