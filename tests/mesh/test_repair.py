from __future__ import annotations

import math

import analytic
import numpy as np
import pytest
import torch

from nerf2mesh.mesh import FieldAccess, TriangleMesh, inspect_mesh
from nerf2mesh.mesh.access import LevelSet
from nerf2mesh.mesh.extract.marching_cubes import extract_surface
from nerf2mesh.mesh.extract.project import project_vertices, surface_normals
from nerf2mesh.mesh.extract.smooth import SmoothedLevel
from nerf2mesh.mesh.extract.solidify import hidden_fill, transmittance
from nerf2mesh.mesh.shapes import box, icosphere, torus
from nerf2mesh.mesh.surface import simplify as simplify_module
from nerf2mesh.mesh.surface.repair import face_components, keep_largest, silhouette_shares, split_pinches
from nerf2mesh.mesh.surface.simplify import simplify
from nerf2mesh.render.rasterizer import native_library


def joined(*meshes: TriangleMesh) -> TriangleMesh:
    offsets = np.cumsum([0] + [m.n_vertices for m in meshes])
    faces = [m.faces + offset for m, offset in zip(meshes, offsets)]
    return TriangleMesh(np.concatenate([m.vertices for m in meshes]), np.concatenate(faces))


def moved(mesh: TriangleMesh, offset, inward: bool = False) -> TriangleMesh:
    return TriangleMesh(mesh.vertices + offset, mesh.faces[:, ::-1] if inward else mesh.faces)


def noisy_field(seed: int = 0) -> FieldAccess:
    noise = torch.randn(1, 1, 24, 24, 24, generator=torch.Generator().manual_seed(seed))

    def logit(p):
        wave = torch.nn.functional.grid_sample(noise, p.view(1, 1, 1, -1, 3), align_corners=True).view(-1)
        return 10 * (0.6 - p.norm(dim=-1)) + 2.0 * wave

    return FieldAccess(logit=logit)


def test_floaters_cavities_and_hidden_pieces_go():
    ball, inner = icosphere(3, 0.6), icosphere(2, 0.2)
    scene = joined(
        moved(ball, 0.0), moved(inner, 0.0, inward=True), moved(icosphere(1, 0.1), 0.0), moved(box(), [2, 0, 0])
    )
    mesh, counts = keep_largest(scene, 1)
    assert mesh.n_faces == 12 and counts["found"] == 4 and counts["cavities"] == 1 and counts["kept"] == 1
    mesh, counts = keep_largest(scene, 0, 0.001)
    assert mesh.n_faces == 12 + ball.n_faces and counts["hidden"] == 1
    assert len(np.unique(face_components(mesh))) == 2


def test_pieces_count_by_their_share_of_the_silhouettes():
    """By volume the rim is 6 % of the ball, by its pictures more than the tenth of the whole."""
    ball, rim, speck = icosphere(3, 0.4), torus(0.9, 0.03, 120, 24), moved(icosphere(2, 0.05), [0.0, 0.0, 0.8])
    assert rim.volume < 0.07 * ball.volume
    scene = joined(ball, rim, speck)
    mesh, counts = keep_largest(scene, 0, 0.03)
    assert mesh.n_faces == ball.n_faces + rim.n_faces and counts["kept"] == 2
    assert 0.0 < counts["dropped_share"] < 0.03
    two = joined(moved(ball, [0.0, -0.5, 0.0]), moved(ball, [0.0, 0.5, 0.0]))
    assert keep_largest(two, 0, 0.03)[1]["kept"] == 2
    mesh, counts = keep_largest(two, 1)
    assert mesh.n_faces == ball.n_faces and counts["dropped_share"] == pytest.approx(0.5, abs=0.01)
    shares = silhouette_shares(two, face_components(two))
    assert shares == pytest.approx([0.5, 0.5], abs=0.01)


def test_a_part_thinner_than_the_first_samples_is_found_where_pictures_show_it():
    """Beside a ball a rod, whose logits level off before the next of the coarse samples."""

    def logit(p):
        rod = torch.maximum(torch.hypot(p[:, 0] - 0.719, p[:, 1] - 0.531) - 0.012, p[:, 2].abs() - 0.5)
        return (-800.0 * torch.minimum(p.norm(dim=-1) - 0.4, rod)).clamp(-6.0, 6.0)

    access = FieldAccess(logit=logit)
    seen = np.array([[0.719, 0.531, 0.1]])
    without = extract_surface(LevelSet(access, 0.0), 192)
    found = extract_surface(LevelSet(access, 0.0), 192, seen=seen)
    assert len(np.unique(face_components(without))) == 1
    assert found.vertices[:, 0].max() > 0.71 and np.abs(found.vertices[found.vertices[:, 0] > 0.6, 2]).max() > 0.49
    assert len(np.unique(face_components(keep_largest(found, 0, 0.01)[0]))) == 2


def test_pinched_vertices_come_apart():
    two = joined(box(), moved(box(), [1.0, 1.0, 1.0])).welded()
    assert two.n_vertices == 15 and inspect_mesh(two)["nonmanifold_vertices"] == 1
    split, n = split_pinches(two)
    assert n == 1 and split.n_vertices == 16 and split.is_watertight
    assert inspect_mesh(split)["components"] == 1  # positions coincide, so inspection merges them again


@pytest.mark.parametrize("target", [5000, 800, 100])
def test_budget_is_met_and_the_shape_kept(target):
    ring = torus(0.6, 0.25, 200, 100)
    mesh, _ = simplify(ring, target)
    assert 0.99 * target <= mesh.n_faces <= target
    report = inspect_mesh(mesh)
    assert report["watertight"] and report["genus"] == 1 and report["nonmanifold_vertices"] == 0
    assert mesh.volume == pytest.approx(ring.volume, rel=20.0 / target)


def test_decimating_noise_never_breaks_an_edge():
    rough, _ = keep_largest(extract_surface(LevelSet(noisy_field(), 0.0), 64), 1)
    genus = inspect_mesh(rough)["genus"]
    assert genus > 5
    for target in (rough.n_faces // 4, rough.n_faces // 12):
        report = inspect_mesh(simplify(rough, target)[0])
        assert report["nonmanifold_edges"] == report["boundary_edges"] == 0 and report["genus"] == genus


def test_without_the_native_library_the_result_is_still_checked(monkeypatch):
    monkeypatch.setattr(simplify_module, "native_library", lambda: None)
    mesh, method = simplify(torus(0.6, 0.25, 100, 50), 1000)
    assert method == "fast-simplification" and mesh.is_watertight and abs(mesh.n_faces - 1000) <= 10
    rough, _ = keep_largest(extract_surface(LevelSet(noisy_field(), 0.0), 32), 1)
    assert inspect_mesh(simplify(rough, rough.n_faces // 4)[0])["nonmanifold_edges"] == 0


@pytest.mark.skipif(native_library() is None, reason="native library not built")
def test_open_meshes_keep_their_rim():
    ring = torus(0.6, 0.25, 60, 30)
    half = ring.select_faces(ring.corners.mean(1)[:, 2] > 0)
    mesh, _ = simplify(half, 500)
    assert (mesh.edges[1] == 1).sum() == (half.edges[1] == 1).sum() and mesh.edges[1].max() == 2


def test_projection_brings_vertices_back_to_the_surface():
    shape = analytic.torus(0.55, 0.22)
    level = LevelSet(FieldAccess(logit=lambda p: -10 * shape(p)), 0.0)
    mesh, _ = simplify(extract_surface(level, 96), 3000)
    better, figures = project_vertices(mesh, level, 2 / 96)
    before, after = (shape(torch.from_numpy(m.vertices)).abs().mean() for m in (mesh, better))
    assert after < 0.05 * before and better.is_watertight and figures["share"] > 0.9
    p = better.vertices
    ring = np.stack([p[:, 0], p[:, 1], 0 * p[:, 2]], 1)
    ring *= 0.55 / np.linalg.norm(ring, axis=1, keepdims=True)
    expected = (p - ring) / np.linalg.norm(p - ring, axis=1, keepdims=True)
    assert (surface_normals(better, level, 2 / 96) * expected).sum(1).min() > 0.999


def test_light_through_a_slab_fades_as_it_should():
    density = np.zeros((41, 41, 41), np.float32)
    density[20] = 1.0 / 0.05
    cell = 2 / 40
    straight = transmittance(density, np.array([1.0, 0.0, 0.0]), cell)
    assert straight[19].min() == 1.0 and straight[21] == pytest.approx(math.exp(-1.0), rel=1e-5)
    back = transmittance(density, np.array([-1.0, 0.0, 0.0]), cell)
    assert back[21].min() == 1.0 and back[19] == pytest.approx(math.exp(-1.0), rel=1e-5)
    slant = transmittance(density, np.array([1.0, 0.0, 1.0]) / math.sqrt(2), cell)
    assert slant[25, 20, 30] == pytest.approx(math.exp(-math.sqrt(2)), rel=1e-5)


def test_a_hollow_shell_with_a_hole_becomes_solid_and_a_ring_stays_open():
    def hollow(p):  # a thin shell with a narrow tunnel into its empty inside
        shell = 0.05 - (p.norm(dim=-1) - 0.6).abs()
        tunnel = 0.015 - torch.hypot(p[:, 0], p[:, 1]) - 10.0 * (p[:, 2] < 0)
        return 200.0 * torch.minimum(shell, -tunnel)

    nodes = np.linspace(-1, 1, 65, dtype=np.float32)
    grid = torch.from_numpy(np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), -1).reshape(-1, 3))
    shape = analytic.torus(0.55, 0.22)
    for logit, genus, volume in (
        (hollow, 0, 4 / 3 * math.pi * 0.65**3),
        (lambda p: -200 * shape(p), 1, 2 * math.pi**2 * 0.55 * 0.22**2),
    ):
        density = torch.exp(logit(grid).clamp(-10, 5)).numpy().reshape(65, 65, 65)
        level = LevelSet(FieldAccess(logit=logit), 0.0, fill=hidden_fill(density))
        mesh, _ = keep_largest(extract_surface(level, 64), 1)
        report = inspect_mesh(mesh)
        assert report["genus"] == genus and report["volume"] == pytest.approx(volume, rel=0.02)


def test_smoothing_takes_noise_off_and_leaves_the_shape():
    access = noisy_field(1)
    nodes = np.linspace(-1, 1, 65, dtype=np.float32)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), -1).reshape(-1, 3)
    exact = LevelSet(access, 0.0)
    coarse = exact(grid).reshape(65, 65, 65)
    raw = inspect_mesh(keep_largest(extract_surface(exact, 64), 1)[0])
    smoothed = SmoothedLevel(LevelSet(access, 0.0), coarse, 0.05)
    calm = inspect_mesh(keep_largest(extract_surface(smoothed, 64), 1)[0])
    assert calm["genus"] < 0.5 * raw["genus"] and calm["area"] < raw["area"]
    ball = FieldAccess(logit=lambda p: 50 * (0.6 - p.norm(dim=-1)))
    coarse = LevelSet(ball, 0.0)(grid).reshape(65, 65, 65)
    mesh = extract_surface(SmoothedLevel(LevelSet(ball, 0.0), coarse, 0.01), 64)
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - 0.6).max() < 1e-3
