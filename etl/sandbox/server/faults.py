"""Faults: wrong answers, answers of a gateway, and connections that break or stall."""

from __future__ import annotations

import select
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from random import Random
from threading import Event

from msgspec.structs import replace

from etl.sandbox.options import Options
from etl.sandbox.server.requests_and_replies import Refusal, Reply, refuse
from etl.sandbox.server.tokens_and_limits import exceeded

HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
HTML_TYPE = "text/html; charset=utf-8"
TRICKLE_SECONDS = 0.2
BOMB_MEGABYTES = 1024


def draw(options: Options, random: Random) -> str | None:
    """The fault that this request meets, by the rates of the options."""
    if not options.faults:
        return None
    point = random.random()
    for kind, rate in options.faults.items():
        if point < rate:
            return kind
        point -= rate
    return None


def apply(kind: str, reply: Reply, options: Options, now: float) -> Reply:
    """The good answer with the fault in it; faults in DISTURBED change how it is sent, by ``send_disturbed``."""
    faulty = _with_fault(kind, reply, options, now)
    return replace(faulty, fault=kind)


def _with_fault(kind: str, reply: Reply, options: Options, now: float) -> Reply:
    if kind == "429":
        return refuse(exceeded(options, 1.0, now), options.error_key)
    if kind in _REFUSALS:
        answer = refuse(_REFUSALS[kind], options.error_key)
        return replace(answer, status=200) if kind == "errors200" else answer
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "redirect":
        return Reply(302, b"", headers={"Location": options.redirect_to})
    if kind == "wrong-type":
        return replace(reply, content_type="text/plain")
    return replace(reply, body=_truncated(reply.body, options)) if kind == "half" else reply


def _truncated(body: bytes, options: Options) -> bytes:
    return body[: int(len(body) * options.broken_at)]


_REFUSALS = {
    "401": Refusal(401, "error verifying the jwt: invalid signature", 4002),
    "500": Refusal(500, "Internal Server Error"),
    "503": Refusal(503, "Service Unavailable"),
    "errors200": Refusal(500, "Something went wrong"),
}
_PLAIN = {
    "502": Reply(502, HTML, content_type=HTML_TYPE),
    "html200": Reply(200, HTML, content_type=HTML_TYPE),
    "empty200": Reply(200, b""),
}


def send_disturbed(
    connection: socket.socket, reply: Reply, head: Callable[[str], bytes], options: Options, stopping: Event
) -> None:
    """Send an answer in the way of its fault; ``stopping`` ends every stall. The connection must be closed afterwards.

    ``head`` makes the head from the lines that tell the length.
    """
    latest = time.monotonic() + options.stall_seconds
    for piece, pause in _pieces(reply.fault or "", head, reply.body, _truncated(reply.body, options)):
        if _must_end(connection, stopping, pause, latest):
            return
        connection.sendall(piece)


def _must_end(connection: socket.socket, stopping: Event, pause: float, latest: float) -> bool:
    """Wait; tells whether the client has gone, the sandbox stops or the stall has lasted long enough."""
    until = min(latest, time.monotonic() + pause)
    while not stopping.is_set():
        left = until - time.monotonic()
        if select.select([connection], [], [], max(0.0, min(left, 0.05)))[0]:
            return True
        if left <= 0:
            return time.monotonic() >= latest
    return True


def _pieces(kind: str, head: Callable[[str], bytes], body: bytes, truncated: bytes) -> Iterator[tuple[bytes, float]]:
    """What goes over the line, each piece after its pause."""
    whole = head(f"Content-Length: {len(body)}\r\n")
    forever = float("inf")
    if kind == "timeout":
        yield b"", forever
    elif kind == "stall":
        yield whole + truncated, 0
        yield b"", forever
    elif kind == "cut":
        yield whole + truncated, 0
    elif kind == "trickle":
        yield whole, 0
        yield from ((body[n : n + 1], TRICKLE_SECONDS) for n in range(len(body)))
    elif kind == "endless":
        yield head("") + body[:-1], 0
        yield from _forever(b" " * 65_536)
    elif kind == "gzipbomb":
        yield from _bomb(head)


#: The faults whose sending is disturbed; every other one is an ordinary answer.
DISTURBED = frozenset({"timeout", "stall", "cut", "trickle", "endless", "gzipbomb", "reset"})


def _forever(piece: bytes) -> Iterator[tuple[bytes, float]]:
    while True:
        yield piece, 0


def _bomb(head: Callable[[str], bytes]) -> Iterator[tuple[bytes, float]]:
    """About a megabyte that unpacks to a gigabyte: one flushed block after the other, each packed only once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    opening = packer.compress(b'{"results":[') + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * 1_048_576) + packer.flush(zlib.Z_FULL_FLUSH)
    length = len(opening) + BOMB_MEGABYTES * len(block)
    yield head(f"Content-Encoding: gzip\r\nContent-Length: {length}\r\n") + opening, 0
    for _ in range(BOMB_MEGABYTES):
        yield block, 0


def reset(connection: socket.socket) -> None:
    """Close so that the client is told of a reset, not of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()
