"""A mesh follows frames whose motion is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.motion.body import Body
from nerf2mesh.motion.carry import carry
from nerf2mesh.motion.config import MotionConfig
from nerf2mesh.motion.follow import OUTLINE, in_camera, outlined
from nerf2mesh.motion.sight import dis_flow, flow_between, flow_goals, frames_of, outline_goals, seen, silhouette_iou
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera, Clip

QUICK = MotionConfig(sweeps=1)


def egg(level: int = 3) -> TriangleMesh:
    """An ellipsoid, longest along y, with bright and dark spots."""
    ball = icosphere(level, 0.5)
    spots = 0.5 + 0.45 * np.sin(16.0 * ball.vertices[:, 1:2]) * np.cos(16.0 * ball.vertices[:, 2:3])
    colors = np.clip(np.concatenate([spots, spots, 0.5 + 0.0 * spots], axis=1), 0.0, 1.0)
    return TriangleMesh(ball.vertices * [0.7, 1.4, 0.8], ball.faces, vertex_colors=colors)


def filmed(places: list[np.ndarray], mesh: TriangleMesh, size: int = 120) -> Clip:
    camera = Camera.orbit(torch.zeros(len(places)), 10.0, width_px=size)
    images = []
    for k, at in enumerate(places):
        shown = rasterize_mesh(replace(mesh, vertices=at, vertex_normals=None), camera[k], supersample=3)
        alpha = shown.opacity[..., None]
        images.append(torch.cat([shown.rgb / alpha.clamp_min(1e-3), alpha], -1).clamp(0, 1))
    return Clip(torch.stack(images), camera, tuple(0.1 * k for k in range(len(places))))


def bent(mesh: TriangleMesh, turn: float) -> np.ndarray:
    """The axis y becomes an arc that turns by `turn` from one end to the other, sections stay as they are."""
    if turn == 0.0:
        return mesh.vertices.copy()
    x, y, z = mesh.vertices.T
    angle = turn * y / np.ptp(mesh.vertices[:, 1])
    radius = np.ptp(mesh.vertices[:, 1]) / turn
    return np.stack([x, (radius - z) * np.sin(angle), radius - (radius - z) * np.cos(angle)], axis=1)


def test_a_bend_is_followed() -> None:
    """Its outline nearly, its vertices in part: along a smooth outline nothing but the flow tells where they are."""
    mesh = egg()
    places = [bent(mesh, 0.4 * k) for k in range(4)]
    made = carry(mesh, filmed(places, mesh), QUICK)
    error = np.linalg.norm(made.track.positions - np.stack(places), axis=-1)[3].mean()
    still = np.linalg.norm(places[3] - places[0], axis=-1).mean()
    assert error < 0.8 * still
    assert min(made.silhouettes) > 0.97 and made.still[3] < 0.93


def test_a_turn_in_the_picture_keeps_its_shape() -> None:
    """Vertices go around the viewing axis with the spots, and lengths stay."""
    mesh = egg()
    axis = np.array([np.cos(np.radians(10.0)), 0.0, np.sin(np.radians(10.0))])
    places = []
    for angle in np.radians([0.0, 9.0, 18.0, 27.0]):
        along = (mesh.vertices @ axis)[:, None] * axis
        across = mesh.vertices - along
        places.append(along + np.cos(angle) * across + np.sin(angle) * np.cross(axis, across))
    made = carry(mesh, filmed(places, mesh), QUICK)
    assert np.linalg.norm(made.track.positions[3] - places[3], axis=-1).mean() < 0.05
    assert np.linalg.norm(places[3] - places[0], axis=-1).mean() > 0.15
    ends = mesh.faces[:, :2]
    length = [np.linalg.norm(at[ends[:, 0]] - at[ends[:, 1]], axis=1) for at in made.track.positions]
    assert np.abs(length[3] / length[0] - 1.0).mean() < 0.05


def test_the_last_rounds_widen_what_is_wider() -> None:
    """A third higher, which no rigid body is: more than half of what lies between the silhouettes is gone, and nothing
    has moved along the camera's axis."""
    mesh = egg()
    frame = frames_of(filmed([mesh.vertices, mesh.vertices * [1.0, 1.0, 1.33]], mesh))[1]
    moved, body = mesh.vertices, Body.of(mesh)
    for stiffness in OUTLINE:
        moved = outlined(body, moved, frame, stiffness, 0.0, moved)
    left = 1.0 - silhouette_iou(TriangleMesh(moved, mesh.faces), frame)
    assert left < 0.5 * (1.0 - silhouette_iou(mesh, frame))
    toward = frame.camera.camera_to_world[:3, 2].double().numpy()
    np.testing.assert_allclose((moved - mesh.vertices) @ toward, 0.0, atol=1e-7)


def test_many_faces_go_along_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same motion, up to a hundredth or so, with every vertex of the fine mesh."""
    mesh = egg(3)
    places = [bent(mesh, 0.3 * k) for k in range(3)]
    clip = filmed(places, mesh)
    whole = carry(mesh, clip, QUICK)
    monkeypatch.setattr("nerf2mesh.motion.carry.COARSE_FACES", 500)
    along = carry(mesh, clip, QUICK)
    assert along.track.positions.shape == whole.track.positions.shape
    np.testing.assert_allclose(along.track.positions[0], along.mesh.vertices, atol=1e-6)
    assert np.linalg.norm(along.track.positions - whole.track.positions, axis=-1).mean() < 0.015


def test_goals_lie_on_the_outline() -> None:
    """A mesh that is moved by 4 px has its contour pulled back by 4 px on the sides that look that way."""
    mesh = egg()
    frame = frames_of(filmed([mesh.vertices, mesh.vertices], mesh))[0]
    shift = 4.0 / float(frame.camera.focal_px[0]) * 3.2
    moved = TriangleMesh(mesh.vertices + np.array([0.0, shift, 0.0]), mesh.faces)
    goals = outline_goals(moved, frame)
    at, _ = seen(moved.vertices[goals.rows], frame.camera)
    normals = moved.normals[goals.rows]
    pulled = (goals.at - at)[np.abs(normals[:, 1]) > 0.95][:, 0]
    assert len(pulled) > 2
    np.testing.assert_allclose(pulled, -4.0, atol=0.8)


def test_goals_of_the_flow_are_where_the_spots_go() -> None:
    """A rigid shift by 6 px to the right: what the first frame shows well is to go there, within half a
    pixel."""
    mesh = egg()
    shift = 6.0 / float(Camera.orbit(0.0, 10.0, width_px=120).focal_px[0]) * 3.2
    before, after = frames_of(filmed([mesh.vertices, mesh.vertices + np.array([0.0, shift, 0.0])], mesh))
    goals = flow_goals(mesh, before, after, flow_between(before, after))
    went = goals.at - seen(mesh.vertices[goals.rows], before.camera)[0]
    wanted = seen(mesh.vertices[goals.rows] + np.array([0.0, shift, 0.0]), after.camera)[0]
    assert len(goals.rows) > 0.25 * mesh.n_vertices
    assert np.median(went[:, 0]) == pytest.approx(6.0, abs=0.5)
    assert np.percentile(np.linalg.norm(goals.at - wanted, axis=1), 80.0) < 0.5


def test_flow_has_signs_and_pixels() -> None:
    """A picture that is shifted by 2 px to the right and 1 px down flows by (2, 1)."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(0).uniform(size=(120, 120)), 2.0)
    noise = np.round(255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)
    flow = dis_flow(noise, np.roll(noise, (1, 2), (0, 1)))
    np.testing.assert_allclose(np.median(flow.reshape(-1, 2), axis=0), [2.0, 1.0], atol=0.1)


def test_pixels_at_a_depth_are_places() -> None:
    camera = Camera.orbit(33.0, 21.0, width_px=64)
    points = np.random.default_rng(3).uniform(-0.5, 0.5, (7, 3))
    pixels, depth = seen(points, camera)
    pose = camera.camera_to_world.double().numpy()
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    np.testing.assert_allclose(in_camera(pixels, depth, camera), local[:, :2], atol=1e-5)


def test_silhouette_iou_of_a_half() -> None:
    """A mesh that shows half of the mask, closed form: one box in a box of twice the width."""
    mesh = egg()
    clip = filmed([mesh.vertices, mesh.vertices], mesh)
    frame = frames_of(clip)[0]
    assert silhouette_iou(mesh, frame) > 0.97
    half = replace(frame, alpha=np.where(np.arange(120)[None] < 60, frame.alpha, 0.0))
    assert silhouette_iou(mesh, half) == pytest.approx(0.5, abs=0.02)
