"""Colors drawn towards a picture's, against the formula written out, and CIELAB against scikit-image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.color_space import cielab
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.mesh.texture.palette import FAR, inside, lookup, palette, read, toward_palette
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera, View

RED, BLUE = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.2, 0.7])


def picture(colors: np.ndarray, alpha: np.ndarray) -> View:
    image = np.concatenate([colors, alpha[..., None]], axis=-1)
    return View(torch.from_numpy(image).float(), Camera.orbit(0.0, 0.0, width_px=len(alpha)))


def two_paints() -> View:
    """A disc, its left half red, its right half blue, with a white rim of one pixel."""
    y, x = np.mgrid[-31.5:32, -31.5:32]
    colors = np.where((x < 0)[..., None], RED, BLUE)
    colors = np.where((np.hypot(x, y) > 27.0)[..., None], 1.0, colors)
    return picture(colors, (np.hypot(x, y) < 28.0).astype(float))


def painted(colors: np.ndarray) -> TriangleMesh:
    """A triangle with these vertex colors [3, 3]."""
    return TriangleMesh(np.eye(3), np.array([[0, 1, 2]]), vertex_colors=colors.astype(np.float32))


def test_cielab_is_that_of_scikit_image() -> None:
    colors = np.random.default_rng(0).random((500, 3))
    assert np.abs(cielab(colors) - rgb2lab(colors)).max() < 0.02


def test_a_color_becomes_the_weighted_mean_of_those_that_were_seen() -> None:
    rng = np.random.default_rng(1)
    seen, asked, spread = rng.random((60, 3)), rng.integers(0, 24, (20, 3)) / 23.0, 9.0
    apart = np.linalg.norm(cielab(asked)[:, None] - cielab(seen)[None], axis=-1)
    weight = np.exp(-(apart**2) / (2.0 * spread**2))
    own = 1.0 / (1.0 + np.exp(-8.0 * (apart.min(1) / FAR - 1.0)))[:, None]
    wanted = own * asked + (1.0 - own) * (weight[..., None] * seen).sum(1) / weight.sum(1)[:, None]
    assert np.allclose(read(lookup(seen, spread), asked), wanted, atol=1e-6)


def test_washed_out_colors_return_to_their_paint_and_the_rim_is_no_paint() -> None:
    washed = np.stack([0.9 * RED + 0.1, 0.9 * BLUE + 0.1, 0.95 * RED + 0.03])
    found = toward_palette(painted(washed), [two_paints()], 7.0).vertex_colors
    assert found is not None and np.abs(found - np.stack([RED, BLUE, RED])).max() < 0.03
    assert inside(two_paints()).max() < 0.9


def test_colors_of_the_picture_stay_and_more_spread_blends_more() -> None:
    colors = np.stack([RED, BLUE, RED])
    kept = toward_palette(painted(colors), [two_paints()], 7.0).vertex_colors
    blended = toward_palette(painted(colors), [two_paints()], 100.0).vertex_colors
    assert kept is not None and blended is not None
    assert np.abs(kept - colors).max() < 0.01 < 0.1 < np.abs(blended - colors).max()


def test_a_paint_that_no_picture_shows_stays() -> None:
    green = np.array([0.1, 0.7, 0.2])
    found = toward_palette(painted(np.stack([green, green, RED])), [two_paints()], 7.0).vertex_colors
    assert found is not None and np.abs(found[:2] - green).max() < 0.01


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_pictures_that_show_nothing_have_no_palette(alpha: float) -> None:
    view = picture(np.full((20, 20, 3), 0.5), np.full((20, 20), alpha))
    mesh = painted(np.eye(3))
    assert not len(palette([view])) and not len(palette([]))
    assert toward_palette(mesh, [view], 7.0) is mesh


def test_unknown_pixels_are_no_paint() -> None:
    view = two_paints()
    known = torch.zeros(64, 64, dtype=torch.bool)
    known[:, :32] = True
    assert np.allclose(palette([replace(view, known=known)]), RED, atol=1e-6)


def test_what_a_picture_shows_is_left_alone() -> None:
    """A ball of one washed-out color under a picture of its paint: the side that faces the camera stays."""
    ball, washed = icosphere(4, 0.6), 0.85 * RED + 0.15
    camera = Camera.orbit(0.0, 0.0, width_px=128)
    alpha = rasterize_mesh(ball, camera).opacity.numpy()
    image = np.concatenate([np.broadcast_to(RED, (*alpha.shape, 3)), alpha[..., None]], axis=-1)
    colored = replace(ball, vertex_colors=np.tile(washed, (len(ball.vertices), 1)).astype(np.float32))
    found = toward_palette(colored, [View(torch.from_numpy(image).float(), camera)], 7.0).vertex_colors
    toward = ball.vertices[:, 0] / 0.6
    assert found is not None and (toward > 0.8).sum() > 100 and (toward < 0.0).sum() > 100
    assert np.abs(found[toward > 0.8] - washed).max() < 1e-6
    assert np.abs(found[toward < 0.0] - RED).max() < 0.03
