"""Who may look: hosts, origins, tokens and cookies, and that a real viewer asks."""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPConnection

import pytest

from nerf2mesh.view.guard import COOKIE, Guard

TOKEN = "0123456789abcdef0123456789abcdef"
OPEN, LOCKED = Guard(None), Guard(TOKEN)


def test_only_other_addresses_ask_for_a_token_and_each_has_its_own() -> None:
    assert [Guard.of(host).token for host in ("127.0.0.1", "localhost", "::1")] == [None] * 3
    tokens = {Guard.of(host).token for host in ("0.0.0.0", "192.168.0.7", "0.0.0.0")}
    assert len(tokens) == 3 and all(len(token or "") == 32 for token in tokens)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "localhost"])
def test_this_machines_own_browser_is_let_in(host: str) -> None:
    assert OPEN.answer("/", {"host": host}) is None
    assert OPEN.answer("/", {"host": host, "origin": f"http://{host}"}) is None


@pytest.mark.parametrize(
    "headers",
    [{}, {"host": "evil.example:8080"}, {"host": "127.0.0.1.evil.example"}, {"host": "[::1"}, {"host": ""},
     {"host": "localhost:8080", "origin": "http://evil.example"}, {"host": "localhost:8080", "origin": "null"}],
)  # fmt: skip
def test_a_page_from_elsewhere_cannot_reach_it(headers: dict[str, str]) -> None:
    answer = OPEN.answer("/", headers)
    assert answer is not None and answer.status == HTTPStatus.FORBIDDEN


def test_the_token_becomes_a_cookie_and_leaves_the_address() -> None:
    answer = LOCKED.answer(f"/?token={TOKEN}", {"host": "studio:8080"})
    assert answer is not None and answer.status == HTTPStatus.SEE_OTHER and answer.headers["Location"] == "/"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert LOCKED.answer("/", {"host": "studio:8080", "cookie": cookie.partition(";")[0]}) is None


@pytest.mark.parametrize(
    ("path", "cookie"),
    [("/", ""), ("/?token=", ""), (f"/?token={TOKEN[:-1]}", ""), (f"/?token={TOKEN}0", ""), ("/?token=%ff", ""),
     ("/", f"{COOKIE}=wrong"), ("/", f"other={TOKEN}"), ("/", "\x00;;=;="), ("/", f"{COOKIE}=ä")],
)  # fmt: skip
def test_without_the_token_nobody_is_let_in(path: str, cookie: str) -> None:
    answer = LOCKED.answer(path, {"host": "studio:8080", "cookie": cookie})
    assert answer is not None and answer.status == HTTPStatus.UNAUTHORIZED


def _status(port: int, path: str, **headers: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers=headers)
    return connection.getresponse().status


def test_a_viewer_on_all_addresses_asks_for_its_token() -> None:
    pytest.importorskip("viser")
    from nerf2mesh.view.server import Viewer

    viewer = Viewer(None, host="0.0.0.0", port=0)
    try:
        port, token = viewer.server.get_port(), viewer.address.partition("token=")[2]
        assert _status(port, "/") == _status(port, "/?token=wrong") == 401
        assert _status(port, f"/?token={token}") == 303
        assert _status(port, "/", Cookie=f"{COOKIE}={token}") == 200
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        assert _status(port, "/", **upgrade, **{"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}) == 401
    finally:
        viewer.close()
