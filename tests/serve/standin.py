"""A server's application without HTTP's transport and without workers, pictures to send, and jobs that take no time."""

from __future__ import annotations

import io
import time
from pathlib import Path

import httpx
from PIL import Image

from nerf2mesh.serve.app import create_app
from nerf2mesh.serve.asked import Asker
from nerf2mesh.serve.limits import Limits
from nerf2mesh.serve.store import Store
from nerf2mesh.sweep.worker import Context

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


def sleep(payload: dict, context: Context) -> dict:
    """Takes payload["steps"] tenths of a second, and tells of each as a run does."""
    run = context.folder / "run"
    run.mkdir(exist_ok=True)
    for step in range(1, payload["steps"] + 1):
        time.sleep(0.1)
        with (run / "metrics.jsonl").open("a") as file:
            file.write(f'{{"step": {step}, "time_s": 0.1}}\n')
    (run / "mesh.glb").write_bytes(b"glTF")
    return {"warnings": []}


def deaf(payload: dict, context: Context) -> dict:
    """Hears no SIGTERM, as a long call of a native library."""
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return sleep(payload, context)
