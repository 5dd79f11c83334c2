"""The live viewer in a real browser: what it shows, what its panel does, and that it asks nobody else for anything."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

import nerf2mesh
from nerf2mesh.optimize import RunControl
from nerf2mesh.types import Camera, Observations, View
from nerf2mesh.view.copies import FieldCopy, keep_state
from tests.report.test_html import BROWSER, GRAPHICS
from tests.tiny_run import TINY

pytest.importorskip("viser", reason="needs the viewer extra")
sync_playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright").sync_playwright
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="needs chromium")]

SCENE_PX = 660
"""Left of the panel."""
SETTINGS = {"distill.weight": 1.0, "distill.guidance_scale": 1.0, "input.prompt": "a duck", "lora.weights": (1.0,)}


class Control(RunControl):
    """Notes what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, object] = {}

    def change(self, setting: str, value: object) -> None:
        self.asked[setting] = value

    def stop(self) -> None:
        self.asked["stop"] = True


def _ball(step: int) -> FieldCopy:
    copy = FieldCopy(nerf2mesh.load_config([*TINY, "field.blob_scale=8", "field.blob_width=0.5"]))
    with torch.no_grad():
        for parameter in copy.field.parameters():
            parameter.zero_()
    copy.occupancy.fill()
    copy.step = step
    return copy


@pytest.fixture
def viewer() -> Iterator[object]:
    """Of a ball, with one given view, as if a run were going on."""
    from nerf2mesh.view.server import Viewer

    copy = _ball(3)
    shown = Viewer(copy, host="127.0.0.1", port=0, control=Control(), settings=dict(SETTINGS))
    picture = torch.tensor([0.9, 0.1, 0.1, 1.0]).expand(16, 16, 4)
    shown.stage.show_views(Observations((View(picture, Camera.orbit(20.0, 10.0, distance=1.6, width_px=16)),)))
    shown.panel.cutter.ask(None)
    yield shown
    shown.close()


@pytest.fixture
def context() -> Iterator[object]:
    with sync_playwright() as play:
        flags = [flag for flag in GRAPHICS if flag not in ("--headless", "--no-sandbox")]
        browser = play.chromium.launch(executable_path=BROWSER, args=flags)
        yield browser.new_context(viewport={"width": 1000, "height": 700})
        browser.close()


def _until(true: Callable[[], object], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(true())


def _scene(page) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)[:, :SCENE_PX]


def _differ(a: np.ndarray, b: np.ndarray) -> float:
    """Share of pixels."""
    return float((np.abs(a - b).max(-1) > 12).mean())


def _opened(context, viewer):
    page = context.new_page()
    page.goto(viewer.address)
    page.wait_for_selector("canvas")
    page.get_by_role("button", name="Pause").wait_for()
    assert _until(lambda: viewer.stage._mesh is not None and viewer.painter.n_visitors)
    time.sleep(3.0)  # the picture in its full size
    page.locator(".mantine-Notification-closeButton").first.click()
    return page


def test_what_is_seen_follows_camera_channel_and_threshold(context, viewer) -> None:
    hosts: set[str | None] = set()
    context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page = _opened(context, viewer)
    page.on("websocket", lambda socket: hosts.add(urlsplit(socket.url).hostname))
    seen = _scene(page)
    assert seen.std() > 8.0
    red = (seen[..., 0] > 150) & (seen[..., 1] < 90) & (seen[..., 2] < 90)
    assert red.any()  # the given view's picture
    page.get_by_label("Channel").click()
    page.get_by_role("option", name="normals").click()
    assert viewer.painter.channel == "normals" or _until(lambda: viewer.painter.channel == "normals")
    assert _until(lambda: _differ(seen, _scene(page)) > 0.01)
    n_cut, before = viewer.panel.cutter.n_cut, _scene(page)
    page.get_by_role("slider").last.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    assert _until(lambda: viewer.panel.cutter.n_cut > n_cut and _differ(before, _scene(page)) > 0.01)
    time.sleep(1.5)
    before = _scene(page)
    page.mouse.move(300, 400)
    page.mouse.down()
    page.mouse.move(420, 380, steps=4)
    page.mouse.up()
    assert _until(lambda: _differ(before, _scene(page)) > 0.02)
    assert hosts <= {"127.0.0.1", None}


def test_the_slider_of_states_is_dragged_with_the_mouse(context, tmp_path) -> None:
    """Two kept states of a run, nothing and a ball: the run's folder opens at the last."""
    from nerf2mesh.view.server import Viewer

    empty, whole = _ball(5), _ball(9)
    empty.occupancy.bits.zero_()
    for copy in (empty, whole):
        keep_state(tmp_path, copy.field, copy.occupancy, copy.step)
    viewer = Viewer(whole, host="127.0.0.1", port=0, folder=tmp_path)
    try:
        page = context.new_page()
        page.goto(viewer.address)
        page.wait_for_selector("canvas")
        handle = page.get_by_role("slider").first
        assert _until(lambda: handle.is_visible() and handle.is_enabled() and viewer.painter.n_visitors)
        time.sleep(3.0)
        before, box = _scene(page), handle.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] - 300, box["y"] + box["height"] / 2, steps=8)
        page.mouse.up()
        assert _until(lambda: whole.step == 5)
        assert _until(lambda: _differ(before, _scene(page)) > 0.02)
    finally:
        viewer.close()


def test_the_panel_has_a_hand_on_the_run(context, viewer) -> None:
    page, control = _opened(context, viewer), viewer.panel.control
    page.get_by_role("button", name="Pause").click()
    assert _until(lambda: control.paused)
    page.get_by_role("button", name="Go on").click()
    assert _until(lambda: not control.paused)
    page.get_by_label("distill.weight").fill("0.5")
    page.get_by_role("textbox").nth(2).fill("a red duck")
    page.get_by_role("slider").first.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    time.sleep(0.5)
    page.get_by_role("button", name="Apply changes").click()
    assert _until(lambda: len(control.asked) == 3)
    assert control.asked == {"distill.weight": 0.5, "input.prompt": "a red duck", "lora.weights": (0.8,)}
    page.get_by_role("button", name="Stop and make the mesh").click()
    assert _until(lambda: "stop" in control.asked)


def test_two_visitors_and_one_who_goes(context, viewer) -> None:
    first, second = _opened(context, viewer), _opened(context, viewer)
    assert viewer.painter.n_visitors == 2
    first.close()
    assert _until(lambda: viewer.painter.n_visitors == 1)
    before = _scene(second)
    assert before.std() > 8.0
    second.get_by_role("checkbox").first.click()  # the field is hidden
    assert _until(lambda: _differ(before, _scene(second)) > 0.01)


def test_a_viewer_that_is_open_to_the_network_wants_its_token_once(context) -> None:
    from nerf2mesh.view.server import Viewer

    viewer = Viewer(None, host="0.0.0.0", port=0)
    try:
        place = f"http://127.0.0.1:{viewer.server.get_port()}/"
        page = context.new_page()
        assert page.goto(place).status == 401
        page.goto(f"{place}?token={viewer.address.partition('token=')[2]}")
        assert page.url == place
        assert _until(lambda: viewer.painter.n_visitors == 1)  # its WebSocket was let in by the cookie
        assert context.new_page().goto(place).status == 200
    finally:
        viewer.close()
