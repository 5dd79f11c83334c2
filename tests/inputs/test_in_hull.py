"""Where a picture's object lies beside drawings of it, against a box whose outlines are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerf2mesh.inputs.frames.in_hull import hull_silhouette, window_in_hull
from nerf2mesh.types import Camera, View

HALF = (0.3, 0.6, 0.4)
"""Of the box, along x, y, z."""
SIDE = 256
DRAWN = Camera.orbit(torch.tensor([0.0, 270.0, 180.0]), torch.zeros(3), width_px=SIDE, orthographic=True)


def width_at(azimuth_deg: float) -> float:
    """Half of it, from a level side."""
    turn = np.radians(azimuth_deg)
    return HALF[0] * abs(np.sin(turn)) + HALF[1] * abs(np.cos(turn))


def rectangle(width: float, height: float, side: int, right: float = 0.0, down: float = 0.0) -> np.ndarray:
    """A mask [side, side], half-sides and place in pixels from the middle."""
    row, column = np.mgrid[:side, :side] + 0.5 - side / 2
    return ((abs(column - right) < width) & (abs(row - down) < height)).astype(np.float32)


def drawings() -> list[View]:
    """Front, right and back of the box."""
    views = []
    for k, azimuth in enumerate((0.0, 270.0, 180.0)):
        per_unit = float(DRAWN.focal_px[k, 0])
        mask = rectangle(per_unit * width_at(azimuth), per_unit * HALF[2], SIDE)
        views.append(View(torch.from_numpy(np.repeat(mask[..., None], 4, axis=2)), DRAWN[k]))
    return views


def test_the_hull_of_a_box_is_the_box() -> None:
    camera = Camera.orbit(30.0, 0.0, width_px=128)
    shown = hull_silhouette(drawings(), camera)
    per_unit = float(camera.focal_px[0] / camera.position.norm())
    expected = 4 * width_at(30.0) * HALF[2] * per_unit**2
    assert shown.sum() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("azimuth_deg", [0.0, 30.0, 60.0])
def test_the_window_of_a_picture(azimuth_deg: float) -> None:
    """60 pixels a unit, 37 right of and 21 above the middle; the search begins a fifth too large and beside it."""
    per_unit, right, down, side = 60.0, 37.0, -21.0, 300
    mask = rectangle(per_unit * width_at(azimuth_deg), per_unit * HALF[2], side, right, down)
    camera = Camera.orbit(azimuth_deg, 0.0, width_px=SIDE)
    whole = per_unit * SIDE / float(camera.focal_px[0] / camera.position.norm())
    middle = np.array([side / 2 + right + 10.0, side / 2 + down - 8.0])
    begin = 1.2 * whole
    found = window_in_hull(mask, drawings(), camera, (*(middle - begin / 2), begin), resized=True)
    assert found is not None
    assert found[2] == pytest.approx(whole, rel=0.02)
    np.testing.assert_allclose(np.array(found[:2]) + found[2] / 2, side / 2 + np.array([right, down]), atol=1.5)


def test_drawings_of_something_else_say_nothing() -> None:
    mask = np.zeros((200, 200), np.float32)
    mask[:, 98:102] = 1.0
    camera = Camera.orbit(0.0, 0.0, width_px=SIDE)
    assert window_in_hull(mask, drawings(), camera, (0.0, 0.0, 200.0), resized=False) is None
