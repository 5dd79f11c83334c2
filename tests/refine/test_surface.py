"""Splitting, bending and repainting a region: what is outside is copied, what is inside is known in closed form."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nerf2mesh.mesh import MeshConfig, TriangleMesh
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.mesh.texture.bake import texel_points
from nerf2mesh.refine.atlas import atlas_fault, check_atlas, with_atlas
from nerf2mesh.refine.bend import bent
from nerf2mesh.refine.nearest import NearestPoints, surface_colors
from nerf2mesh.refine.outline import FINE, open_borders, outline_points, outlined
from nerf2mesh.refine.recolor import repainted
from nerf2mesh.refine.remade import on_source, source_colors
from nerf2mesh.refine.source import load_source
from nerf2mesh.refine.split import subdivided
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera, View
from tests.refine.shapes import BLUE, RED, ball, ring, saved


def upper(points: np.ndarray) -> np.ndarray:
    return points[:, 2] > 0.2


def test_nearest_points_of_a_sphere() -> None:
    mesh = icosphere(4, 0.6)
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (300, 3))
    found = NearestPoints(mesh)(points)
    assert np.abs(found.distance - np.abs(np.linalg.norm(points, axis=1) - 0.6)).max() < 4e-3
    assert np.allclose((mesh.corners[found.face] * found.weights[..., None]).sum(1), found.point, atol=1e-9)


def test_colors_of_a_surface_are_those_of_its_texture() -> None:
    mesh = ball()
    found = NearestPoints(mesh)(np.array([[0.4, 0.1, 0.4], [0.4, -0.2, -0.4]]))
    assert np.allclose(surface_colors(mesh, found.face, found.weights) * 255.0, [RED, BLUE], atol=1e-3)


def test_subdivision_keeps_the_rest_and_opens_no_crack() -> None:
    mesh = ring()
    faces = mesh.corners.mean(1)[:, 0] > 0.2
    fine, flags = subdivided(mesh, faces, 0.05)
    assert np.array_equal(fine.vertices[: mesh.n_vertices], mesh.vertices)
    assert np.array_equal(fine.faces[~flags], mesh.faces[~faces]) and np.array_equal(fine.uv[~flags], mesh.uv[~faces])
    assert fine.is_watertight and fine.area == pytest.approx(mesh.area, rel=1e-12)
    inner = fine.corners[flags]
    sides = np.linalg.norm(inner - np.roll(inner, -1, axis=1), axis=-1)
    assert np.median(sides) < 0.05 < np.linalg.norm(mesh.corners - np.roll(mesh.corners, -1, axis=1), axis=-1).max()


def test_subdivision_lays_new_corners_on_the_old_charts() -> None:
    mesh = ball(n_around=12, n_up=6)
    fine, flags = subdivided(mesh, np.ones(mesh.n_faces, bool), 0.1)
    old = NearestPoints(mesh)(fine.corners[flags].mean(1))
    wanted = (mesh.uv[old.face] * old.weights[..., None]).sum(1)
    assert np.abs(fine.uv[flags].mean(1) - wanted).max() < 1e-5


def test_bending_reaches_a_new_shape_and_leaves_the_rest() -> None:
    mesh = icosphere(4, 0.6)
    grown = mesh.vertices.copy()
    high = grown[:, 2] > 0.2
    grown[high, 2] = 0.2 + 1.8 * (grown[high, 2] - 0.2)
    target = replace(icosphere(5, 0.6), vertices=_grown(icosphere(5, 0.6).vertices))
    found, figures = bent(mesh, mesh, target, lambda p: p[:, 2] > 0.2)
    assert np.array_equal(found.vertices[~high], mesh.vertices[~high])
    assert NearestPoints(target)(found.vertices[high]).distance.max() < 0.02
    assert found.vertices[:, 2].max() == pytest.approx(grown[:, 2].max(), abs=0.03)
    assert figures["moved_most"] > 0.2 and found.is_watertight


def _grown(vertices: np.ndarray) -> np.ndarray:
    return np.where(
        vertices[:, 2:] > 0.2, np.concatenate([vertices[:, :2], 0.2 + 1.8 * (vertices[:, 2:] - 0.2)], axis=1), vertices
    )


def test_bending_onto_itself_moves_nothing() -> None:
    mesh = icosphere(3, 0.6)
    found, _ = bent(mesh, mesh, icosphere(4, 0.602), lambda p: p[:, 2] > 0.0)
    assert np.abs(found.vertices - mesh.vertices).max() < 1e-6


def test_repainting_changes_the_region_alone() -> None:
    mesh = ball()
    green = np.array([0.1, 0.8, 0.2])

    def before(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        return np.tile(np.array(RED) / 255.0, (len(points), 1))

    def after(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        return np.tile(green, (len(points), 1))

    found, figures = repainted(mesh, mesh, upper, after, before, None)
    where = texel_points(mesh, *mesh.texture.shape[:2])
    inside = np.zeros(where.covered.shape, bool)
    inside[where.covered] = upper(where.points)
    assert np.array_equal(found.texture[where.covered & ~inside], mesh.texture[where.covered & ~inside])
    assert np.abs(found.texture[inside] / 255.0 - green).max() < 0.003
    assert figures["texels"] == pytest.approx(inside.sum() / where.covered.sum())
    assert np.array_equal(found.vertices, mesh.vertices) and np.array_equal(found.uv, mesh.uv)


def test_paint_over_is_followed_where_it_is_seen() -> None:
    mesh, camera = ball(), Camera.orbit(0.0, 30.0, width_px=128)
    image = torch.zeros(128, 128, 4)
    image[..., 1], image[..., 3] = 1.0, 1.0

    def nothing(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        return np.zeros((len(points), 3))

    found, _ = repainted(mesh, mesh, upper, nothing, nothing, View(image, camera))
    where = texel_points(mesh, *mesh.texture.shape[:2])
    toward = camera.position.numpy() - where.points
    cosine = (toward * where.normals).sum(1) / np.linalg.norm(toward, axis=1)
    texels = found.texture[where.covered]
    assert np.abs(texels[upper(where.points) & (cosine > 0.4)].astype(int) - [0, 255, 0]).max() <= 1
    hidden = cosine < -0.05
    assert np.array_equal(texels[hidden], mesh.texture[where.covered][hidden])


def test_remade_mesh_is_put_back_on_its_source() -> None:
    source = ball()
    rough = icosphere(4, 0.61)
    vertices = rough.vertices + np.random.default_rng(0).normal(0.0, 0.003, rough.vertices.shape)
    rough = replace(rough, vertices=vertices, vertex_colors=np.zeros((rough.n_vertices, 3), np.float32))
    nearest = NearestPoints(source)
    placed, share = on_source(rough, nearest, upper)
    outside = ~upper(rough.vertices)
    assert share > 0.99 and nearest(placed.vertices[outside]).distance.max() < 0.02
    assert np.array_equal(placed.vertices[~outside], rough.vertices[~outside])
    colored, _ = source_colors(placed, nearest, upper, None)
    below = (placed.vertices[:, 2] < -0.05) & (placed.vertices[:, 2] > -0.55)  # textures repeat across the pole
    assert np.abs(colored.vertex_colors[below] * 255.0 - BLUE).max() < 1.0
    assert np.array_equal(
        colored.vertex_colors[upper(placed.vertices)], np.zeros_like(colored.vertices)[upper(placed.vertices)]
    )


def test_atlases_that_cannot_be_painted_are_told_apart(tmp_path: Path) -> None:
    mesh = ball()
    assert atlas_fault(mesh, upper) == ""
    assert "without texture coordinates" in atlas_fault(replace(mesh, uv=None, texture=None), upper)
    assert "repeats" in atlas_fault(replace(mesh, uv=3.0 * mesh.uv), upper)
    palette = np.broadcast_to(mesh.uv.mean(1, keepdims=True), mesh.uv.shape)
    assert "texels for" in atlas_fault(replace(mesh, uv=palette), upper)
    mirrored = mesh.uv.copy()
    mirrored[..., 1] = np.abs(mirrored[..., 1] - 0.5)
    assert "used twice" in atlas_fault(replace(mesh, uv=mirrored), upper)
    source = load_source(saved(replace(mesh, uv=None, texture=None), tmp_path / "plain.glb"))
    with pytest.raises(ValueError, match=r"refine\.keep_topology: expected a mesh with one texture .* without texture"):
        check_atlas(source, upper)


def test_new_atlas_keeps_the_colors_of_a_mesh_without_one() -> None:
    mesh = replace(icosphere(3, 0.6), vertex_colors=None)
    colors = np.where(mesh.vertices[:, 2:] > 0.0, 0.9, 0.1).repeat(3, axis=1).astype(np.float32)
    found, _ = with_atlas(replace(mesh, vertex_colors=colors), MeshConfig(texture_size=128, unwrap_time_limit_s=0.0))
    nearest = NearestPoints(found)(np.array([[0.3, 0.2, 0.48], [0.3, 0.2, -0.48]]))
    assert np.allclose(surface_colors(found, nearest.face, nearest.weights), [[0.9] * 3, [0.1] * 3], atol=0.02)
    assert np.array_equal(found.vertices, mesh.vertices) and np.array_equal(found.faces, mesh.faces)


def test_outline_of_a_ball_follows_a_painted_ellipse() -> None:
    mesh, camera = icosphere(4, 0.6), Camera.orbit(0.0, 0.0, width_px=128)
    wide = replace(mesh, vertices=mesh.vertices * [1.0, 1.0, 1.25])
    alpha = rasterize_mesh(wide, camera, supersample=3).opacity
    view = View(torch.cat([torch.zeros(128, 128, 3), alpha[..., None]], dim=-1), camera)
    found, figures = outlined(mesh, mesh, lambda p: p[:, 2] > -0.2, view, np.ones((128, 128), bool), stiff=FINE)
    assert np.array_equal(found.vertices[mesh.vertices[:, 2] < -0.25], mesh.vertices[mesh.vertices[:, 2] < -0.25])
    high = torch.arange(128)[:, None] < 64
    shown = rasterize_mesh(found, camera, supersample=3).opacity
    before = rasterize_mesh(mesh, camera, supersample=3).opacity
    wrong = [float(((image - alpha).abs() * high).sum() / (alpha * high).sum()) for image in (before, shown)]
    assert wrong[0] > 0.15 and wrong[1] < wrong[0] / 20.0
    assert np.abs(found.vertices[:, 0] - mesh.vertices[:, 0]).max() < 0.05  # parallel to the picture: x is depth
    assert 0.1 < figures["moved_most"] < 0.25


def test_outline_of_an_open_shell_follows_its_border() -> None:
    """A square that only faces the camera has no contour but its border; the paint-over shows it taller."""
    side = np.linspace(-0.4, 0.4, 17)
    y, z = (axis.reshape(-1) for axis in np.meshgrid(side, side))
    vertices = np.stack([0.0 * y, y, z], axis=1)
    corner = (np.arange(16)[:, None] * 17 + np.arange(16)).reshape(-1)
    faces = np.concatenate([corner[:, None] + [0, 1, 18], corner[:, None] + [0, 18, 17]])
    mesh, camera = TriangleMesh(vertices, faces), Camera.orbit(0.0, 0.0, width_px=128)
    assert set(open_borders(faces)) == set(np.flatnonzero((np.abs(vertices[:, 1:]) > 0.39).any(1)))
    tall = replace(mesh, vertices=np.where(vertices > 0.0, vertices * [1.0, 1.0, 1.5], vertices))
    alpha = rasterize_mesh(tall, camera, supersample=3).opacity
    view = View(torch.cat([torch.zeros(128, 128, 3), alpha[..., None]], dim=-1), camera)
    found, _ = outlined(mesh, mesh, lambda p: p[:, 2] > 0.0, view, np.ones((128, 128), bool), stiff=FINE)
    assert np.allclose(found.vertices[-14:-3, 2], 0.6, atol=0.01)  # corners are rounded
    assert np.array_equal(found.vertices[: 17 * 9], vertices[: 17 * 9])


def test_outline_points_lie_on_a_circle() -> None:
    """The border of a disc of known radius, drawn with coverage: its points are an eighth of a pixel off at most."""
    y, x = (np.mgrid[:640, :640] + 0.5) / 10.0
    alpha = (np.hypot(x - 31.7, y - 30.2) < 20.4).reshape(64, 10, 64, 10).mean((1, 3))
    found = outline_points(alpha, np.ones((64, 64), bool))
    assert len(found) > 120
    assert np.abs(np.hypot(*(found - [31.7, 30.2]).T) - 20.4).max() < 1.0 / 8.0
    assert not len(outline_points(alpha, np.zeros((64, 64), bool)))
