"""The control API under ``/_sandbox/``: reads and changes a sandbox that runs as a process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

import orjson

from etl.sandbox.options import option_types
from etl.sandbox.server.answer_requests import Service
from etl.sandbox.server.requests_and_replies import Refusal, Reply, refuse

PREFIX = "/_sandbox/"
_COUNTS = ("update", "insert", "delete")


def handle(service: Service, method: str, path: str, body: bytes, client: str) -> Reply:
    """Answer a control request; refuses a client on another machine."""
    route = _ROUTES.get((method, path[len(PREFIX) :]))
    if not ip_address(client.removeprefix("::ffff:")).is_loopback:
        return _refuse(403, "the control plane serves the sandbox's own machine only")
    if route is None:
        return _refuse(
            404, f"{method} {path} is none of " + ", ".join(f"{each} {PREFIX}{name}" for each, name in _ROUTES)
        )
    try:
        return Reply(200, route(service, _arguments(body)))
    except (KeyError, TypeError, ValueError) as error:
        return _refuse(400, f"{type(error).__name__}: {error}")


def _refuse(status: int, message: str) -> Reply:
    return refuse(Refusal(status, message), "msg")


def _arguments(body: bytes) -> Mapping[str, Any]:
    """The body's object, read by the standard library, which keeps odd values as they are."""
    arguments = json.loads(body or b"{}")
    if not isinstance(arguments, dict):
        raise TypeError("the body is no JSON object")
    return arguments


def _tasks(service: Service, _: Mapping[str, Any]) -> bytes:
    return b"[" + b",".join(service.texts()) + b"]"


def _status_histories(service: Service, _: Mapping[str, Any]) -> bytes:
    return orjson.dumps(service.status_histories())


def _requests(service: Service, _: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"count": service.request_count, "log": service.requests})


def _reset_requests(service: Service, _: Mapping[str, Any]) -> bytes:
    service.reset_requests()
    return b"{}"


def _change(service: Service, arguments: Mapping[str, Any]) -> bytes:
    if unknown := set(arguments) - {*_COUNTS, "same_instant", "days_ago"}:
        raise ValueError(f"{', '.join(sorted(unknown))}: there is no such argument")
    counts = {name: int(arguments.get(name, 0)) for name in _COUNTS}
    changed = service.change(
        **counts, same_instant=bool(arguments.get("same_instant")), days_ago=float(arguments.get("days_ago", 0))
    )
    return orjson.dumps(changed)


def _rename(service: Service, arguments: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"tasks": service.rename(str(arguments["old"]), str(arguments["new"]))})


def _back_up(service: Service, _: Mapping[str, Any]) -> bytes:
    service.back_up()
    return b"{}"


def _restore(service: Service, _: Mapping[str, Any]) -> bytes:
    service.restore()
    return b"{}"


def _put(service: Service, arguments: Mapping[str, Any]) -> bytes:
    return json.dumps({"ids": service.put(arguments["tasks"])}).encode()


def _remove(service: Service, arguments: Mapping[str, Any]) -> bytes:
    service.remove(arguments["ids"])
    return b"{}"


def _options(service: Service, arguments: Mapping[str, Any]) -> bytes:
    options = service.configure(**arguments)
    return orjson.dumps({name: _plain(getattr(options, name)) for name in option_types()})


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value


_ROUTES: dict[tuple[str, str], Callable[[Service, Mapping[str, Any]], bytes]] = {
    ("GET", "tasks"): _tasks,
    ("GET", "status-histories"): _status_histories,
    ("GET", "requests"): _requests,
    ("POST", "reset-requests"): _reset_requests,
    ("POST", "change"): _change,
    ("POST", "rename"): _rename,
    ("POST", "back-up"): _back_up,
    ("POST", "restore"): _restore,
    ("POST", "put"): _put,
    ("POST", "remove"): _remove,
    ("GET", "options"): _options,
    ("POST", "options"): _options,
}
