from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerf2mesh.evaluate.metrics.images import psnr
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import icosphere, torus
from nerf2mesh.mesh.texture.given_views import inner_distance, paint_given_views, seen_colors
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.render.shading import Light, relit
from nerf2mesh.run.lit import without_light
from nerf2mesh.types import Camera, View

GREY = 0.5


def waves(points: np.ndarray) -> np.ndarray:
    """A color [N, 3] for every place in space."""
    return 0.5 + 0.4 * np.sin(points @ np.array([[9.0, 2, 1], [1, 8, -3], [2, -1, 7]]) + [0.0, 1, 2])


def grey(mesh: TriangleMesh) -> TriangleMesh:
    return replace(mesh, vertex_colors=np.full((mesh.n_vertices, 3), GREY, np.float32))


def photograph(mesh: TriangleMesh, camera: Camera) -> View:
    """What the camera sees of a mesh that has the colors of `waves`."""
    colored = replace(mesh, texture=None, vertex_colors=waves(mesh.vertices).astype(np.float32))
    shown = rasterize_mesh(colored, camera, supersample=2)
    straight = shown.rgb / shown.opacity.clamp_min(1e-6)[..., None]
    return View(torch.cat([straight, shown.opacity[..., None]], dim=-1), camera)


@pytest.mark.parametrize("orthographic", [False, True])
def test_a_ball_takes_the_pictures_colors_where_it_faces_the_camera(orthographic):
    ball = icosphere(5, 0.6)
    camera = Camera.orbit(0.0, 0.0, width_px=256, orthographic=orthographic)
    painted, figures = paint_given_views(grey(ball), [photograph(ball, camera)])
    toward = ball.vertices[:, 0] / 0.6
    off = np.abs(painted.vertex_colors - waves(ball.vertices)).max(1)
    assert off[toward > 0.85].max() < 0.02
    assert np.all(painted.vertex_colors[toward < 0.08] == GREY)
    assert 0.1 < figures["share"] < 0.5


def test_what_another_part_hides_keeps_its_color():
    near, far = icosphere(4, 0.2), icosphere(4, 0.4)
    count = near.n_vertices
    both = TriangleMesh(
        np.concatenate([near.vertices + np.array([0.7, 0, 0]), far.vertices - np.array([0.3, 0, 0])]),
        np.concatenate([near.faces, far.faces + count]),
    )
    camera = Camera.orbit(0.0, 0.0, width_px=256)
    painted, _ = paint_given_views(grey(both), [photograph(both, camera)])
    behind = both.vertices[count:]
    away = np.linalg.norm(behind[:, 1:], axis=1)
    changed = np.abs(painted.vertex_colors[count:] - GREY).max(1) > 0
    front = behind[:, 0] > 0
    assert not changed[front & (away < 0.2)].any()  # in the near ball's shadow
    assert changed[front & (away > 0.29) & (away < 0.31)].all()
    assert (np.abs(painted.vertex_colors[:count] - GREY).max(1) > 0).any()


def test_a_texture_is_painted_and_nothing_else_changes():
    ring = replace(torus(0.55, 0.25, 120, 60), texture=np.full((512, 512, 3), 128, np.uint8))
    camera = Camera.orbit(20.0, 50.0, width_px=256)
    view = photograph(ring, camera)
    painted, figures = paint_given_views(ring, [view])
    assert np.array_equal(painted.vertices, ring.vertices) and np.array_equal(painted.uv, ring.uv)
    wanted = view.image[..., :3] * view.image[..., 3:] + 1 - view.image[..., 3:]
    before, after = (
        float(psnr(rasterize_mesh(m, camera, supersample=2).over(1.0)[None], wanted[None])) for m in (ring, painted)
    )
    assert after > before + 8
    below = Camera.orbit(20.0, -50.0, width_px=128)  # the far side shows the old grey
    unseen = rasterize_mesh(painted, below)
    share = (unseen.rgb[unseen.opacity > 0.5] - 128 / 255).abs().amax(-1).lt(1e-3).float().mean()
    assert share > 0.5 and 0.05 < figures["share"] < 0.5


def test_of_two_pictures_the_one_that_looks_straight_counts_more():
    ball = icosphere(4, 0.6)
    cameras = [Camera.orbit(azimuth, 0.0, width_px=256) for azimuth in (0.0, 60.0)]
    red, blue = (
        View(torch.cat([torch.tensor(c).expand(256, 256, 3), photograph(ball, k).image[..., 3:]], dim=-1), k)
        for c, k in zip(([1.0, 0, 0], [0, 0, 1.0]), cameras)
    )
    angles = np.radians([0.0, 30.0, 60.0])
    normals = np.stack([np.cos(angles), np.sin(angles), np.zeros(3)], axis=1)
    colors, weight = seen_colors(ball, [red, blue], 0.6 * normals, normals, np.zeros((3, 3)))
    assert weight == pytest.approx(1.0, abs=1e-6)
    assert colors[0, 0] > 0.7 and colors[2, 2] > 0.7
    assert colors[1] == pytest.approx([0.5, 0, 0.5], abs=1e-3)  # the same from both


def test_a_view_that_shows_nothing_changes_nothing():
    ball = icosphere(3, 0.6)
    empty = View(torch.zeros(64, 64, 4), Camera.orbit(0.0, 0.0, width_px=64))
    painted, figures = paint_given_views(grey(ball), [empty])
    assert np.array_equal(painted.vertex_colors, grey(ball).vertex_colors) and figures["share"] == 0.0
    bare, figures = paint_given_views(ball, [empty])
    assert bare is ball and figures["share"] == 0.0


def test_distances_are_to_the_mask_and_to_jumps_of_depth():
    mask, depth = np.ones((9, 20), bool), np.full((9, 20), 2.0)
    depth[:, 10:] = 3.0
    width = np.full((9, 20), 0.01)
    found = inner_distance(mask, depth, width)[4]
    assert found[:5].tolist() == [1, 2, 3, 4, 5] and found[9] == found[10] == 0 and found[7] == 2 and found[12] == 2


def test_a_bump_is_no_edge():
    mask, depth = np.ones((80, 80), bool), np.full((80, 80), 2.0)
    smooth = inner_distance(mask, depth, np.full_like(depth, 0.01))
    depth[40, 40] = 2.5
    assert np.array_equal(inner_distance(mask, depth, np.full_like(depth, 0.01)), smooth)
    depth[20:60, 40] = 2.5
    assert inner_distance(mask, depth, np.full_like(depth, 0.01))[40, 40] == 0


def test_the_light_of_a_picture_is_taken_off_where_it_is_painted():
    """A ball of one color under a lamp is painted in that color, and with its light where that is not told."""
    ball, camera = icosphere(5, 0.6), Camera.orbit(0.0, 0.0, width_px=256)
    light = Light("directional", torch.tensor([0.2, 1.0, 0.5]), 0.7)
    lit = light.irradiance(torch.from_numpy(ball.vertices / 0.6))
    albedo = torch.tensor([0.6, 0.3, 0.2], dtype=torch.float64)
    shown = replace(ball, vertex_colors=relit(albedo.expand(len(lit), 3), lit).numpy().astype(np.float32))
    picture = rasterize_mesh(shown, camera, supersample=2)
    straight = picture.rgb / picture.opacity.clamp_min(1e-6)[..., None]
    view = View(torch.cat([straight, picture.opacity[..., None]], dim=-1), camera)
    facing = ball.vertices[:, 0] / 0.6 > 0.85
    plain, _ = paint_given_views(grey(ball), [view])
    unlit, _ = paint_given_views(grey(ball), [view], without_light(light))
    assert np.abs(unlit.vertex_colors - albedo.numpy())[facing].max() < 0.02
    assert np.abs(plain.vertex_colors - albedo.numpy())[facing].max() > 0.08
