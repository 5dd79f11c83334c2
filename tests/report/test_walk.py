"""The report's first-person mode in a browser: it begins inside, walks by keys, and walls stop the way."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("shapely", reason="needs the plans extra")

from shapely.geometry import box

from nerf2mesh.mesh.export.scene import save_scene
from nerf2mesh.mesh.solid.extrude import extruded
from nerf2mesh.mesh.solid.parts import part_of
from nerf2mesh.report.viewer import viewer_page
from tests.report.test_html import BROWSER, GRAPHICS

RED, GREEN, GREY = (0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.8, 0.8, 0.8)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A room of 6 x 4 m with a red floor and a green ceiling, entered in its middle, facing right (+x of the sheet)."""
    room = box(0, 0, 6, 4)
    walls = extruded(room.buffer(0.2, join_style="mitre").difference(room), -0.1, 2.6)
    parts = [
        part_of("walls", walls, GREY),
        part_of("floor_room", extruded(room, -0.1, 0.0), RED),
        part_of("ceiling_room", extruded(room, 2.5, 2.6), GREEN),
    ]
    tour = {"walk": {"start": [3.0, 0.0, -2.0], "heading_deg": 90.0, "eye_height_m": 1.6}}
    path = tmp_path / "page.html"
    path.write_text(viewer_page(save_scene(parts, tmp_path / "room.glb", tour)), encoding="utf-8")
    return path


def _shot(page: Path, hash_: str) -> np.ndarray:
    picture = page.with_name("shot.png")
    command = [BROWSER, *GRAPHICS, "--virtual-time-budget=4000", "--window-size=640,520", f"--screenshot={picture}"]
    subprocess.run([*command, page.as_uri() + hash_], capture_output=True, check=True, timeout=120)
    return np.asarray(Image.open(picture).convert("RGB")).astype(int)[10:430]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_inside_there_is_a_ceiling_and_from_above_none(page: Path) -> None:
    inside, outside = _shot(page, "#walk"), _shot(page, "")
    green = lambda shot: (shot[..., 1] > 1.6 * shot[..., 0]) & (shot[..., 1] > 1.6 * shot[..., 2])
    red = lambda shot: (shot[..., 0] > 2 * shot[..., 1]) & (shot[..., 0] > 2 * shot[..., 2])
    assert green(inside)[:150].mean() > 0.2 and red(inside)[270:].mean() > 0.1
    plain = np.ptp(outside, axis=2) < 12
    assert not green(outside).any() and (plain & (outside.max(2) < 215)).mean() > 0.05  # the walls alone


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_keys_walk_and_walls_stop(page: Path) -> None:
    """Two seconds ahead from the middle would end 0.6 m behind the wall at 3 m."""
    script = """<script>
      document.querySelector(".viewer").ready.then((viewer) => {
      const seen = {};
      const note = (name) => { seen[name] = [...viewer.place, viewer.heading]; };
      document.querySelector(".bar button:last-of-type").click();
      note("start");
      const go = (key, seconds) => {
        viewer.held.add(key);
        for (let i = 0; i < 20 * seconds; i++) viewer.advance(0.05);
        viewer.held.clear();
      };
      go("d", 0.5); note("right");
      go("w", 2); note("wall");
      viewer.turn(-100, 0); note("turned");
      const bar = document.querySelector(".hint").textContent;
      document.body.dataset.seen = JSON.stringify({ ...seen, bar, mode: viewer.canvas.dataset.mode });
      });
    </script></body>"""
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    command = [BROWSER, *GRAPHICS, "--virtual-time-budget=4000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found is not None
    seen = json.loads(unescape(found[1]))
    assert seen["mode"] == "walk" and "WASD" in seen["bar"]
    assert seen["start"] == pytest.approx([3.0, 1.6, -2.0, np.pi / 2])
    assert seen["right"][:3] == pytest.approx([3.0, 1.6, -1.1], abs=1e-6)  # right of +x is the sheet's lower side, +z
    assert 5.6 < seen["wall"][0] <= 5.75 and seen["wall"][1:3] == pytest.approx([1.6, -1.1])
    assert seen["turned"][3] == pytest.approx(np.pi / 2 - 0.5)
