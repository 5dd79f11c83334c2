"""The page of the interface in a real browser: it is drawn, it sends requests, and it asks nobody else for anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn

from nerf2mesh.serve.app import create_app
from nerf2mesh.serve.asked import Asker
from tests.report.test_html import BROWSER, GRAPHICS
from tests.serve.standin import store_in

sync_playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright").sync_playwright
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="needs chromium")]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    app = create_app(store_in(tmp_path), None, Asker(25.0), None)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def test_the_page_is_drawn_and_asks_nobody_else(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(GRAPHICS))
        page = browser.new_page()
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{address}/docs")
        page.wait_for_selector(".opblock", timeout=60_000)
        blocks = page.locator(".opblock-summary-path").all_inner_texts()
        page.locator("#operations-default-health_health_get button").first.click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        page.wait_for_selector(".live-responses-table .response-col_status", timeout=30_000)
        answer = page.locator(".live-responses-table tbody").inner_text()
        browser.close()
    print(len(asked), "requests,", len(blocks), "routes")
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {urlsplit(address).netloc}
    assert len(blocks) == 9 and "200" in answer
    assert not [line for line in said if "Content Security Policy" in line]
