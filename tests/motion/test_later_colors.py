"""What turns to the camera later takes its color from there; the truth is a ball painted by a closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.motion.later_colors import later_colors
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera, Clip, View

ANGLES = np.radians([0.0, 40.0, 80.0, 120.0, 160.0])
GREY = 0.5


def painted(points: np.ndarray) -> np.ndarray:
    """Colors [n, 3] that are a smooth function of the place at rest."""
    return 0.5 + 0.4 * np.stack([points[:, 0], points[:, 1], -points[:, 0]], axis=1) / 0.5


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    """About the z axis, counter-clockwise from above."""
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]).T


@pytest.fixture(scope="module")
def turning() -> tuple[TriangleMesh, VertexTrack, Clip]:
    """A grey ball with the right track, and pictures in which it is painted."""
    ball = icosphere(4, 0.5)
    places = [turned(ball.vertices, angle) for angle in ANGLES]
    cameras = Camera.orbit(torch.zeros(len(ANGLES)), 0.0, width_px=160)
    images = []
    for k, at in enumerate(places):
        shown = rasterize_mesh(
            TriangleMesh(at, ball.faces, vertex_colors=painted(ball.vertices)), cameras[k], supersample=2
        )
        alpha = shown.opacity[..., None]
        images.append(torch.cat([shown.rgb / alpha.clamp_min(1e-3), alpha], -1).clamp(0, 1))
    times = tuple(0.1 * k for k in range(len(ANGLES)))
    grey = replace(ball, vertex_colors=np.full((ball.n_vertices, 3), GREY))
    return grey, VertexTrack(times, np.stack(places).astype(np.float32)), Clip(torch.stack(images), cameras, times)


def test_what_a_later_frame_shows_takes_its_color(turning: tuple[TriangleMesh, VertexTrack, Clip]) -> None:
    """Points that some later frame sees head-on have the painted color; what none shows stays as it was."""
    mesh, track, clip = turning
    made, share = later_colors(mesh, track, clip, [View(clip.images[0], clip.cameras[0])], [True] * 5)
    assert made.vertex_colors is not None
    x, y, z = (mesh.vertices / 0.5).T
    azimuth = np.degrees(np.arctan2(y, x))
    level = np.abs(z) < 0.4
    later = level & (azimuth > -170.0) & (azimuth < -80.0)  # they come to azimuth 0 by turns of 80 to 170 degrees
    assert later.sum() > 100
    np.testing.assert_allclose(made.vertex_colors[later], painted(mesh.vertices)[later], atol=0.03)
    never = level & (azimuth > 95.0) & (azimuth < 105.0)
    assert never.sum() > 5
    np.testing.assert_array_equal(made.vertex_colors[never], GREY)
    assert 0.2 < share < 0.6


def test_what_the_first_frame_shows_stays(turning: tuple[TriangleMesh, VertexTrack, Clip]) -> None:
    """The given view has the last word where it looks straight at the surface; a grey mesh stays grey there."""
    mesh, track, clip = turning
    given = View(clip.images[0], clip.cameras[0])
    made, _ = later_colors(mesh, track, clip, [given], [True] * 5)
    whole = mesh.vertices[:, 0] > 0.9 * 0.5  # the camera is along x
    assert made.vertex_colors is not None and whole.sum() > 60
    np.testing.assert_array_equal(made.vertex_colors[whole], GREY)


def test_a_frame_that_is_followed_badly_gives_no_colors(turning: tuple[TriangleMesh, VertexTrack, Clip]) -> None:
    mesh, track, clip = turning
    made, share = later_colors(mesh, track, clip, [], [True, False, False, False, False])
    assert share == 0.0
    np.testing.assert_array_equal(made.vertex_colors, mesh.vertex_colors)


def test_a_texture_is_completed_too(turning: tuple[TriangleMesh, VertexTrack, Clip]) -> None:
    """A cylinder's texture coordinates: texels at an azimuth that comes to the front later have the painted color."""
    mesh, track, clip = turning
    corners = mesh.vertices[mesh.faces]
    azimuth = np.arctan2(corners[..., 1], corners[..., 0]) / (2.0 * np.pi) + 0.5
    keep = (np.ptp(azimuth, axis=1) < 0.4) & (np.abs(corners[..., 2]).max(1) < 0.45)  # no seam, no poles
    uv = np.stack([azimuth, 0.5 + corners[..., 2]], axis=2)[keep]
    texture = np.full((96, 96, 3), 128, np.uint8)
    band = TriangleMesh(mesh.vertices, mesh.faces[keep], uv=uv, texture=texture)
    made, share = later_colors(band, track, clip, [View(clip.images[0], clip.cameras[0])], [True] * 5)
    assert made.texture is not None and share > 0.2
    row, columns = 48, np.arange(6, 22)  # azimuth -157 to -98 degrees
    angle = 2.0 * np.pi * ((columns + 0.5) / 96.0 - 0.5)
    place = 0.5 * np.stack([np.cos(angle), np.sin(angle), 0.0 * angle], axis=1)
    np.testing.assert_allclose(made.texture[row, columns, :3] / 255.0, painted(place), atol=0.05)
