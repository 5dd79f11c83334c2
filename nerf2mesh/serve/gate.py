"""Who may ask, and how large a request may be: looked at before anything of a request's body is read.

On an address of this machine alone the Host header must name it, so that no page from elsewhere can reach the server
through the visitor's browser; a request with another page's Origin is refused everywhere. A token is compared in
constant time. A body is counted as it comes, and has to come in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import anyio

from nerf2mesh.serve.limits import Limits
from nerf2mesh.view.guard import LOOPBACK

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
OPEN = re.compile(r"/(health|docs|openapi\.json|static-offline-docs/[\w.-]+)?")
"""What needs no token: it tells nothing of the jobs."""
SMALL_BYTES = 1 << 16
"""Of a request that brings no picture."""
HEAD_BYTES = 1 << 14
"""Of a request's headers and its path."""
UPLOADS = 4
"""Requests with a picture that are received at once; others wait their turn."""
DRAIN_S, DRAIN_BYTES = 2.0, 64 << 20
"""What is read and thrown away of a body that is too large, so that its sender gets to read the answer."""
SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
}
"""Heads of every answer: a browser loads nothing from elsewhere for them."""


class TooLarge(Exception):
    """The body has more bytes than are taken."""


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(self, app: Callable[..., Awaitable[None]], *, token: str | None, limits: Limits) -> None:
        """token: None asks for none, which is for this machine's own addresses."""
        self._app, self._limits = app, limits
        self._digest = hashlib.sha256(token.encode()).digest() if token is not None else None
        self._uploads = asyncio.Semaphore(UPLOADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's request; anything but HTTP is closed."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _with_heads(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        heads = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refused(scope["path"], heads)
        size_bytes = sum(len(name) + len(value) for name, value in scope["headers"])
        if size_bytes + len(scope.get("raw_path") or b"") > HEAD_BYTES:
            refused = 431, f"headers: expected at most {HEAD_BYTES} bytes, got more; send fewer"
        if refused is None and scope["method"] not in ("GET", "HEAD"):
            await self._with_body(scope, heads, receive, send)
        elif refused is None:
            await self._app(scope, receive, send)
        else:
            await _drain(receive)
            await _answer(send, *refused)

    async def _with_body(self, scope: Scope, heads: Mapping[str, str], receive: Receive, send: Send) -> None:
        """Reads the whole body within its limits, and hands it on."""
        is_upload = scope["path"] == "/v1/jobs"
        most = self._limits.body_bytes if is_upload else SMALL_BYTES
        async with self._uploads if is_upload else contextlib.nullcontext():
            body, refused = None, None
            try:
                length = heads.get("content-length", "")
                if length.isdecimal() and int(length[:20]) > most:
                    raise TooLarge
                with anyio.fail_after(self._limits.body_s):
                    body = await _read(receive, most)
            except TooLarge:
                await _drain(receive)
                refused = 413, f"body: expected at most {most} bytes, got more; send less"
            except TimeoutError:
                refused = 408, f"body: expected it within {self._limits.body_s:g} s, got a part; send it faster"
            if refused:
                await _answer(send, *refused)
            elif body is not None:
                await self._app(scope, _given(body, receive), send)

    def _refused(self, path: str, heads: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and sentence for a request that may not come in."""
        host, origin = heads.get("host", ""), heads.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "origin: expected a request of this server's own page, got another page's; use that page"
        if self._digest is None:
            name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
            said = f"host: expected one of {', '.join(LOOPBACK)}, got another name; ask for that"
            return None if name in LOOPBACK else (403, said)
        if OPEN.fullmatch(path):
            return None
        scheme, _, given = heads.get("authorization", "").partition(" ")
        digest = hashlib.sha256(given.strip().encode()).digest()
        if hmac.compare_digest(digest, self._digest) and scheme.lower() == "bearer":
            return None
        return 401, "authorization: expected 'Bearer TOKEN' with this server's token, got another; ask its owner"


async def _read(receive: Receive, most: int) -> bytes | None:
    """The body; None where the sender went away. TooLarge over `most` bytes."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise TooLarge
        if not message.get("more_body"):
            return b"".join(parts)


def _given(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body first."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else await receive()

    return next_message


async def _drain(receive: Receive) -> None:
    size = 0
    with anyio.move_on_after(DRAIN_S):
        while size < DRAIN_BYTES:
            message = await receive()
            size += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body"):
                return


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    heads = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    heads |= {"www-authenticate": "Bearer"} if status == 401 else {}
    await send({"type": "http.response.start", "status": status, "headers": [(_b(k), _b(v)) for k, v in heads.items()]})
    await send({"type": "http.response.body", "body": body})


def _with_heads(send: Send) -> Send:
    """The same `send` with the heads that every answer has; those that the answer brings stay."""

    async def with_heads(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            added = [(_b(name), _b(value)) for name, value in SAFE.items() if _b(name) not in there]
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return with_heads


def _b(text: str) -> bytes:
    return text.encode("latin-1")
