"""Who may look: the viewer's port answers this machine's own browser, or whoever brings the token.

On an address of this machine alone the Host header must name it, and a WebSocket must come from the viewer's own page:
a page from elsewhere, open in the same browser, can otherwise reach 127.0.0.1 (DNS rebinding, cross-site WebSockets).
On any other address a token of 128 bits is asked for, once in the page's address, from then on as a cookie.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
COOKIE = "nerf2mesh_view"
TOKEN_BYTES = 16


@dataclass(frozen=True)
class Answer:
    """What the server says instead of the viewer."""

    status: HTTPStatus
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Guard:
    """Decides on the head of a request. token: None on this machine's own addresses."""

    token: str | None

    @staticmethod
    def of(host: str) -> Guard:
        """With a token, unless `host` is one of this machine's own addresses."""
        return Guard(None if host in LOOPBACK else secrets.token_hex(TOKEN_BYTES))

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        """None: the viewer may answer. headers: one value each, by names in lower case."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return Answer(HTTPStatus.FORBIDDEN)
        if self.token is None:
            return None if _name(host) in LOOPBACK else Answer(HTTPStatus.FORBIDDEN)
        if self._fits(_cookie(headers.get("cookie", ""))):
            return None
        given = parse_qs(urlsplit(path).query).get("token", [""])[0]
        if not self._fits(given):
            return Answer(HTTPStatus.UNAUTHORIZED)
        cookie = f"{COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        return Answer(HTTPStatus.SEE_OTHER, {"Location": "/", "Set-Cookie": cookie, "Referrer-Policy": "no-referrer"})

    def _fits(self, given: str) -> bool:
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())


def _name(host: str) -> str:
    """The host without its port."""
    return host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]


def _cookie(text: str) -> str:
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


@contextmanager
def guarding(guard: Guard) -> Iterator[None]:
    """Inside, a viser server that is started asks `guard` first. viser has no hook for it, so that the function with
    which it opens its port is replaced for the duration; `is_guarded` shows whether that took effect."""
    import websockets.asyncio.server as server

    opened: Callable[..., Any] = server.serve

    def serve(*arguments: Any, process_request: Any = None, **named: Any) -> Any:
        def first(connection: Any, request: Any) -> Any:
            heads = {name.lower(): value for name, value in request.headers.raw_items()}
            found = guard.answer(request.path, heads)
            if found is None:
                return None if process_request is None else process_request(connection, request)
            response = connection.respond(found.status, f"{found.status.phrase}\n")
            for name, value in found.headers.items():
                response.headers[name] = value
            return response

        return opened(*arguments, process_request=first, **named)

    with mock.patch.object(server, "serve", serve):
        yield


def is_guarded(host: str, port: int) -> bool:
    """Whether the server at `host` refuses a request that names another host and brings no token."""
    from http.client import HTTPConnection

    connection = HTTPConnection("127.0.0.1" if host in ("0.0.0.0", "localhost") else host, port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": "elsewhere.invalid"})
        return connection.getresponse().status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED)
    finally:
        connection.close()
