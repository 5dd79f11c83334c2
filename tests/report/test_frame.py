"""The mesh in a notebook's cell: a frame that inherits what the page around it allows."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerf2mesh.report import viewer_iframe
from tests.report.test_html import BROWSER, GRAPHICS, _mesh

sync_playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright").sync_playwright

STRICT = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src https: data:; "
    "connect-src https:; child-src https: data:"
)
"""As VS Code's notebooks have it: not even a blob can be fetched."""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_the_texture_is_there_where_nothing_can_be_fetched(tmp_path: Path) -> None:
    _mesh(tmp_path / "mesh.glb")
    page = tmp_path / "notebook.html"
    head = f'<meta http-equiv="Content-Security-Policy" content="{STRICT}">'
    page.write_text(f"<!doctype html><head>{head}</head><body>{viewer_iframe(tmp_path / 'mesh.glb')}</body>")
    requests, complaints = [], []
    with sync_playwright() as play:
        flags = [flag for flag in GRAPHICS if flag not in ("--headless", "--no-sandbox")]
        browser = play.chromium.launch(executable_path=BROWSER, args=flags)
        shown = browser.new_page(viewport={"width": 800, "height": 520})
        shown.on("request", lambda request: requests.append(request.url))
        shown.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        shown.goto(page.as_uri())
        frame = shown.frame_locator("iframe")
        frame.locator(".viewer[data-state=ready]").wait_for(timeout=60_000)
        frame.get_by_role("button", name="Albedo").click()
        shot = np.asarray(Image.open(io.BytesIO(frame.locator("canvas").screenshot())).convert("RGB")).astype(int)
        browser.close()
    assert requests == [page.as_uri()] and complaints == []
    assert ((shot[..., 0] > 3 * shot[..., 1]) & (shot[..., 0] > 3 * shot[..., 2])).mean() > 0.1
