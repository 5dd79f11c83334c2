"""A server's application without HTTP's transport and without workers, and pictures to send."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
from PIL import Image

from nerf2mesh.serve.app import create_app
from nerf2mesh.serve.asked import Asker
from nerf2mesh.serve.limits import Limits
from nerf2mesh.serve.store import Store

TOKEN = "0123456789abcdef0123456789abcdef"


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(stream, kind)
    return stream.getvalue()


def client_of(store: Store, token: str | None = None, **asker: object) -> httpx.AsyncClient:
    app = create_app(store, None, Asker(store.limits.megapixels, **asker), token)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8088")


def store_in(folder: Path, **limits: object) -> Store:
    return Store(folder / "served", Limits(**{"free_gib": 0.0} | limits))
