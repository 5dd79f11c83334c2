"""Oblique figures are placed by the two at right angles, and outlines bound the solid; the truths are boxes and
ellipses in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.fields import bound_of
from nerf2mesh.inputs import InputConfig, load_observations
from nerf2mesh.inputs.figure_places import axis_shifts
from tests.inputs.test_sheet import _ellipses

BLOCKS = ((-0.4, 0.2, -0.3, 0.5, 0.0, 1.0), (-0.1, 0.7, -0.5, 0.1, 1.0, 1.6), (-0.4, 0.2, -0.5, -0.1, 1.6, 2.0))
"""x0, x1, y0, y1, z0, z1 of three boxes upon each other: no symmetry as a whole, but in each height."""
PX = 100.0


def _seen(azimuth_deg: float) -> tuple[np.ndarray, float]:
    """The orthographic silhouette [220, 400] from an azimuth, the world's axis at column 200, and how far right of its
    middle that of all blocks' own box lies, in heights."""
    a = np.radians(azimuth_deg)
    mask = np.zeros((220, 400), np.float32)
    ends = []
    for x0, x1, y0, y1, z0, z1 in BLOCKS:
        u = [-x * np.sin(a) + y * np.cos(a) for x in (x0, x1) for y in (y0, y1)]
        left, right = round(200 + PX * min(u)), round(200 + PX * max(u))
        mask[round(210 - PX * z1) : round(210 - PX * z0), left:right] = 1.0
        ends += [left, right]
    x, y = (0.5 * (min(b[k] for b in BLOCKS) + max(b[k + 1] for b in BLOCKS)) for k in (0, 2))
    middle = 200 + PX * (-x * np.sin(a) + y * np.cos(a))
    return mask, (middle - 0.5 * (min(ends) + max(ends))) / (2.0 * PX)


@pytest.mark.parametrize("others", [(315.0, 45.0), (135.0, 200.0)])
def test_oblique_figures_stand_where_the_two_upright_ones_say(others: tuple[float, float]) -> None:
    seen = [_seen(azimuth) for azimuth in (0.0, 270.0, *others)]
    true = np.array([shift for _, shift in seen])
    assert np.abs(true[2:]).max() > 0.05
    found = axis_shifts([mask for mask, _ in seen], [0.0, 270.0, *others])
    np.testing.assert_allclose(found, true, atol=0.006)  # a pixel


def test_without_two_at_right_angles_boxes_are_centered() -> None:
    masks = [_seen(azimuth)[0] for azimuth in (0.0, 180.0, 40.0)]
    assert not axis_shifts(masks, [0.0, 180.0, 40.0]).any()


def test_an_oblique_figure_of_a_page_is_in_line(tmp_path: Path) -> None:
    """Its column under the world's origin is where the blocks' own middle is seen."""
    page = Image.new("RGB", (1200, 220), (255, 255, 255))
    for k, azimuth in enumerate((0.0, 270.0, 315.0)):
        mask = Image.fromarray((255 * _seen(azimuth)[0]).astype(np.uint8))
        page.paste((180, 60, 40), (400 * k, 0), mask)
    page.save(tmp_path / "page.png")
    views = load_observations(
        InputConfig(
            kind="sheet", image=str(tmp_path / "page.png"), size_px=200, views=["front", "right", "front_right"]
        )
    ).views
    solid = (views[2].image[..., 3] > 0.5).numpy()
    columns, rows = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
    height = np.ptp(rows) + 1
    off = (100 - 0.5 * (columns[0] + columns[-1] + 1)) / height
    assert off == pytest.approx(_seen(315.0)[1], abs=0.012)


def test_outlines_bound_the_solid(tmp_path: Path) -> None:
    """Two ellipses: the hull is their two cylinders' common solid; a margin is a share of the height."""
    path = _ellipses(tmp_path / "page.png", (75, 150), (120, 150))
    asked = {"kind": "sheet", "image": path, "foreground": "plain", "views": ["front", "right"], "size_px": 256}
    views = load_observations(InputConfig(**asked, hull_margin=0.0)).views
    bound = bound_of(views)
    assert bound is not None
    rows = torch.nonzero((views[0].image[..., 3] > 0.5).any(1))[:, 0]
    half = 0.5 * float(rows[-1] - rows[0] + 1) / float(views[0].camera.focal_px[1])
    points = (torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1) * 1.2 * half
    x, y, z = points.T / half
    level = torch.maximum((y / 0.5) ** 2 + z**2, (x / 0.8) ** 2 + z**2)
    sure = (level - 1).abs() > 0.06
    assert ((bound.depth(points) > 0) == (level < 1))[sure].all()
    wide = bound_of(load_observations(InputConfig(**asked, hull_margin=0.05)).views)
    assert wide is not None
    torch.testing.assert_close(
        wide.depth(points) - bound.depth(points), torch.full((4000,), 0.1 * half), atol=0.01, rtol=0
    )
    assert bound_of(load_observations(InputConfig(**asked, hull_margin=None)).views) is None
