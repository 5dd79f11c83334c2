"""200 requests of a stranger who means ill, each written byte by byte; none may be answered with anything but 4xx."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from tests.serve.standin import TOKEN, picture

BOUNDARY = b"n2m-boundary"


@dataclass(frozen=True)
class Request:
    """kind: of the four; the bytes that are sent."""

    kind: str
    data: bytes


def all_requests() -> list[Request]:
    """50 of each kind: bad tokens, huge bodies, path tricks, wrong types."""
    makers = {"bad token": bad_tokens, "huge body": huge_bodies, "path trick": path_tricks, "wrong type": wrong_types}
    return [Request(kind, data) for kind, make in makers.items() for data in itertools.islice(make(), 50)]


def send(port: int, data: bytes, timeout_s: float = 30.0) -> int:
    """The status of the answer; 0 where the connection ended without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as door:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer may come before all was sent
            door.sendall(data)
        try:
            head = door.recv(4096)
        except ConnectionResetError:
            return 0
    return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0


def request(
    method: str, path: str | bytes, body: bytes = b"", *, token: str | bytes | None = TOKEN, **heads: str
) -> bytes:
    """One request as it goes over the wire. token: None leaves the header out."""
    target = path if isinstance(path, bytes) else path.encode("latin-1")
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: 127.0.0.1"]
    if token is not None:
        lines.append(b"Authorization: Bearer " + (token if isinstance(token, bytes) else token.encode()))
    named = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in heads.items()}
    lines += [f"{name}: {value}".encode("latin-1") for name, value in named.items() if value]
    return b"\r\n".join([*lines, b"", body])


def form(
    picture_data: bytes | None, settings: str | None = None, filename: str = "cup.png"
) -> tuple[bytes, dict[str, str]]:
    """A body of multipart/form-data, and its header."""
    parts = []
    if picture_data is not None:
        head = f'Content-Disposition: form-data; name="picture"; filename="{filename}"\r\nContent-Type: image/png'
        parts.append(head.encode() + b"\r\n\r\n" + picture_data)
    if settings is not None:
        parts.append(b'Content-Disposition: form-data; name="settings"\r\n\r\n' + settings.encode())
    body = b"".join(b"--" + BOUNDARY + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + BOUNDARY + b"--\r\n"
    return body, {"Content_Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}


def bad_tokens() -> Iterator[bytes]:
    tokens: list[str | bytes | None] = [None, "", " ", TOKEN[:-1], TOKEN + "0", TOKEN.upper(), TOKEN[::-1], "null", "0"]
    tokens += [b"\xff\xfe" * 8, b"\x80" + TOKEN.encode(), TOKEN + " " + TOKEN, "x" * 8000, "' OR 1=1 --", "../token"]
    tokens += [TOKEN[:k] + "f" + TOKEN[k + 1 :] for k in range(1, 15)]
    body, heads = form(picture(), "{}")
    targets = [
        ("GET", "/v1/jobs", b"", {}),
        ("POST", "/v1/jobs", body, heads),
        ("GET", f"/v1/jobs?token={TOKEN}", b"", {}),
    ]
    for token, (method, path, data, more) in itertools.product(tokens, targets):
        yield request(method, path, data, token=token, **more)


def huge_bodies() -> Iterator[bytes]:
    _, heads = form(None)
    for size in (2 << 20, 8 << 20, 20 << 20):  # told, and sent
        yield request("POST", "/v1/jobs", bytes(size), **heads)
    for length in (
        "99999999999",
        "9" * 30,
        "2000000",
        "1048577",
        "1e9",
        "-5",
        "0x10",
        "+7",
        "1,2",
        "5, 5",
    ):  # told, not sent
        yield request("POST", "/v1/jobs", b"", **heads | {"Content_Length": length}) + b"x" * 10
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    for count in (2, 4, 8):  # in chunks, not told
        yield (
            request("POST", "/v1/jobs", b"", **heads | {"Content_Length": "", "Transfer_Encoding": "chunked"})
            + chunk * count
        )
    for path in ("/v1/jobs/x/cancel", "/v1/jobs/x", "/health", "/docs", "/", "/v1/settings", "/openapi.json"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            yield request(method, path, bytes(100_000), **heads)
    yield request("GET", "/v1/jobs", b"", **{f"X_{k}": "y" * 1000 for k in range(60)})
    yield request("GET", "/v1/jobs/" + "x" * 60_000)
    body, heads = form(picture(), '{"a": "' + "x" * 100_000 + '"}')
    yield request("POST", "/v1/jobs", body, **heads)
    for settings in ("[" * 20_000, '{"a":' * 6000, "9" * 30_000, '{"seed": ' + "9" * 20_000 + "}"):
        body, heads = form(picture(), settings)
        yield request("POST", "/v1/jobs", body, **heads)


def path_tricks() -> Iterator[bytes]:
    ways = ["../jobs.json", "../../token", "..%2f..%2ftoken", "%2e%2e/%2e%2e/token", "..\\..\\token", "/etc/passwd"]
    ways += [
        "%2fetc%2fpasswd",
        "....//....//token",
        "mesh.glb%00.html",
        "%00",
        "%ff%fe",
        ".",
        "..",
        "mesh.glb/",
        "MESH.GLB",
        "~root",
    ]
    for way in ways:
        yield request("GET", f"/v1/jobs/{way}")
        yield request("GET", f"/v1/jobs/x/files/{way}")
    for path in (
        "/../../etc/passwd",
        "//etc/passwd",
        "/static-offline-docs/../../../token",
        "/static-offline-docs/%2e%2e/x",
    ):
        yield request("GET", path)
    for method, path in (
        ("DELETE", "/v1/jobs/..%2finputs"),
        ("POST", "/v1/jobs/..%2f../cancel"),
        ("DELETE", "/v1/jobs/."),
    ):
        yield request(method, path)
    for name in ("input.image", "output_dir", "prior.weights", "lora.adapters", "hydra.run.dir", "../x"):
        body, heads = form(picture(), json.dumps({name: "/tmp/n2m_hostile"}), filename="../../../tmp/n2m_hostile.png")
        yield request("POST", "/v1/jobs", body, **heads)
    for value in (["../../token"], ["/etc/passwd"], "..", [".."], [None], {"a": 1}, ["x"] * 9):
        body, heads = form(picture(), json.dumps({"adapters": value}))
        yield request("POST", "/v1/jobs", body, **heads)


def wrong_types() -> Iterator[bytes]:
    yield from (
        b"GARBAGE\r\n\r\n",
        b"GET /v1/jobs HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    )
    bad = [
        b"",
        b"GIF89a",
        b"<svg/>",
        b"%PDF-1.4",
        b"PK\x03\x04",
        b"\x89PNG\r\n\x1a\n",
        picture()[:40],
        picture("GIF"),
        bytes(999),
    ]
    bad += [
        picture("TIFF"),
        picture("BMP"),
        b"\x7fELF",
        b"#!/bin/sh\nrm -rf /",
        "π".encode(),
        picture(size=(3000, 3000)),
    ]
    for data in bad:
        body, heads = form(data, "{}")
        yield request("POST", "/v1/jobs", body, **heads)
    pairs = {
        "seed": [-1, 1.5, "1", True, None, [], {}, 10**40],
        "preset": ["demo.yaml", "x", 1, None, []],
        "use": ["war", 1],
    }
    pairs |= {
        "input.prompt": [1, [], "${oc.env:HOME}", "a\nb", None],
        "mesh.resolution": [1, 4096, "x"],
        "nothing": [1],
    }
    for settings in [json.dumps({name: value}) for name, values in pairs.items() for value in values]:
        body, heads = form(picture(), settings)
        yield request("POST", "/v1/jobs", body, **heads)
    for settings in ("", "x", "[]", "null", "1", '{"seed": NaN}', '{"seed": 1e999}', "{"):
        body, heads = form(None if not settings else picture(), settings)
        yield request("POST", "/v1/jobs", body, **heads)
    for kind in ("application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary=", ""):
        yield request("POST", "/v1/jobs", b'{"picture": "x"}', Content_Type=kind)
