"""Geometry metrics against closed forms, brute force, trimesh and SciPy."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

from nerf2mesh.evaluate.metrics.geometry import (
    chamfer,
    f_score,
    normal_consistency,
    surface_distances,
    volume_iou,
)
from nerf2mesh.evaluate.metrics.solids import grid_axis, occupancy, winding_numbers
from nerf2mesh.evaluate.metrics.surface import Surface, closest_on_triangle
from tests.evaluate.shapes import cloud_distance, cube, sphere


def test_nearest_equals_all_pairs_and_trimesh() -> None:
    import trimesh

    ball = sphere(0.5, 3, center=(0.1, 0.2, -0.1))
    surface = Surface.of(ball)
    points = torch.rand(300, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    points[0] = torch.tensor([0.1, 0.2, -0.1])
    nearest = surface.nearest(points)
    pairs = closest_on_triangle(
        points.repeat_interleave(len(surface.faces), 0), surface.triangles.repeat(len(points), 1, 1)
    ).reshape(len(points), -1, 3)
    truth = (pairs - points[:, None]).norm(dim=-1).amin(1)
    assert torch.allclose(nearest.distance, truth, rtol=0, atol=1e-14)
    on_face = closest_on_triangle(points, surface.triangles[nearest.face])
    assert torch.allclose((on_face - points).norm(dim=-1), truth, rtol=0, atol=1e-14)
    reference = trimesh.proximity.closest_point(trimesh.Trimesh(ball.vertices, ball.faces), points.numpy())[1]
    np.testing.assert_allclose(nearest.distance.numpy(), reference, atol=2e-6)


def test_degenerate_triangles_are_segments_and_points() -> None:
    mesh = SimpleNamespace(vertices=np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), faces=[[0, 1, 2], [0, 0, 0]])
    nearest = Surface.of(mesh).nearest(torch.tensor([[1.5, 1.0, 0.0], [-1.0, 0.0, 0.0]]))
    assert nearest.distance.tolist() == pytest.approx([1.0, 1.0])


def test_sampling_is_uniform_and_repeatable() -> None:
    surface = Surface.of(cube(side=2.0))
    points, face = surface.sample(60_000, seed=3)
    again, _ = surface.sample(60_000, seed=3)
    assert torch.equal(points, again)
    assert torch.allclose(points.abs().amax(1), torch.ones(60_000, dtype=torch.float64))
    counts = torch.bincount(face, minlength=12)
    assert (counts - 5_000).abs().max() < 5 * math.sqrt(5_000)
    assert surface.area == pytest.approx(24.0)


def test_concentric_spheres() -> None:
    a, b = sphere(0.5, 5), sphere(0.55, 5)
    distances = surface_distances(a, b, samples=5_000)
    assert distances.chamfer() == pytest.approx(0.05, rel=0.01)
    assert [distances.f_score(t) for t in (0.045, 0.055)] == [0.0, 1.0]
    assert distances.normal_consistency() == pytest.approx(1.0, abs=1e-3)
    assert chamfer(a, a, samples=2_000) < 1e-12


def test_shifted_cubes() -> None:
    """A unit cube moved by s along x: the end faces are s away or less, a strip of each side s/2."""
    s = 0.125
    a, b = cube(), cube((s, 0, 0))
    # Samples of one end face are s from the other end face or, within s of the rim, nearer to a side face.
    u = torch.rand(400_000, 2, generator=torch.Generator().manual_seed(0))
    to_rim = torch.minimum(u, 1 - u).amin(1).clamp_max(s)
    expected = (2 * (0.5 * s + 0.5 * float(to_rim.mean())) + 4 * s * s / 2) / 6
    assert chamfer(a, b, samples=40_000) == pytest.approx(expected, rel=0.02)
    assert volume_iou(a, b, resolution=64) == pytest.approx((1 - s) / (1 + s), abs=1e-12)
    assert volume_iou(a, cube((1.5, 0, 0), 0.25), resolution=32) == 0.0


def test_f_score_of_half_a_truth() -> None:
    """Precision 1 and recall 1/2 give 2/3."""
    a, b = cube((-0.5, 0, 0), 0.5), cube((0.5, 0, 0), 0.5)
    both = _pair(a, b)
    assert f_score(a, both, [0.01], samples=20_000)[0] == pytest.approx(2 / 3, abs=0.01)


def _pair(a: SimpleNamespace, b: SimpleNamespace) -> SimpleNamespace:
    faces = np.concatenate([a.faces, b.faces + len(a.vertices)])
    return SimpleNamespace(vertices=np.concatenate([a.vertices, b.vertices]), faces=faces)


def test_normal_consistency_sign() -> None:
    a = cube()
    inside_out = SimpleNamespace(vertices=a.vertices, faces=a.faces[:, ::-1].copy())
    assert normal_consistency(a, inside_out, samples=2_000) == pytest.approx(1.0, abs=0.02)
    assert normal_consistency(a, inside_out, samples=2_000, signed=True) == pytest.approx(-1.0, abs=0.02)


def test_the_chamfer_of_dense_samples_is_scipys() -> None:
    """Point to triangle, against SciPy's nearest of very many points on the other surface."""
    a, b = sphere(0.5, 3), cube(side=0.8)
    found = chamfer(a, b, samples=4_000)
    dense = [Surface.of(mesh).sample(150_000, seed=9)[0] for mesh in (a, b)]
    few = [Surface.of(mesh).sample(4_000, seed=5)[0] for mesh in (a, b)]
    truth = 0.5 * sum(float(KDTree(dense[1 - k].numpy()).query(few[k].numpy())[0].mean()) for k in (0, 1))
    assert found == pytest.approx(truth, rel=0.03)


def test_volume_iou_of_trimesh_voxels() -> None:
    """Containment by trimesh's own ray casting, at the same voxel centers."""
    import trimesh

    a, b = sphere(0.5, 3), sphere(0.5, 3, center=(0.3, 0.1, -0.2))
    axis = grid_axis(20)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3).numpy()
    inside = [trimesh.Trimesh(m.vertices, m.faces).contains(points) for m in (a, b)]
    truth = (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum()
    assert volume_iou(a, b, resolution=20) == pytest.approx(truth, abs=1e-12)


def test_sampling_floor_of_point_clouds() -> None:
    """Two clouds from one surface do not score zero; point to triangle does."""
    ball = Surface.of(sphere(0.5, 4))
    floor = cloud_distance(ball.sample(2_000, seed=0)[0], ball.sample(2_000, seed=1)[0])
    spacing = math.sqrt(ball.area / 2_000)
    assert floor == pytest.approx(0.5 * spacing, rel=0.1)


def test_occupancy_of_a_sphere_equals_its_radius() -> None:
    ball = sphere(0.6, 5)
    axis = grid_axis(48)
    radius = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).norm(dim=-1)
    inside = occupancy(ball, 48)
    assert inside[radius < 0.598].all() and not inside[radius > 0.6].any()
    assert set(winding_numbers(ball, 48).unique().tolist()) == {0.0, 1.0}


def test_rays_through_edges_and_vertices_count_once() -> None:
    """Cube faces and diagonals on the voxel centers' planes: every crossing hits an edge or a vertex."""
    centers = grid_axis(8)
    low, high = float(centers[1]), float(centers[6])
    mesh = cube(((low + high) / 2,) * 3, high - low)
    windings = winding_numbers(mesh, 8)
    assert windings[2:6, 2:6, 2:6].eq(1).all() and windings[[0, 7]].eq(0).all()


def test_open_boundary_and_overlap() -> None:
    ball = sphere(0.6, 4)
    cap = ball.vertices[ball.faces].mean(1)[:, 2] > 0.45
    opened = SimpleNamespace(vertices=ball.vertices, faces=ball.faces[~cap])
    assert volume_iou(opened, ball, resolution=48) > 0.95
    a, b = cube((0, 0, 0), 0.75), cube((0.25, 0, 0), 0.75)
    both = _pair(a, b)
    union = SimpleNamespace(vertices=a.vertices * np.array([4 / 3, 1, 1]) + [0.125, 0, 0], faces=a.faces)
    assert volume_iou(both, union, resolution=64) == 1.0
    empty = SimpleNamespace(vertices=np.zeros((0, 3)), faces=np.zeros((0, 3), int))
    assert volume_iou(empty, a, resolution=16) == 0.0 and volume_iou(empty, empty, resolution=16) == 1.0


def test_an_open_mesh_equals_the_solid_angle_sum() -> None:
    """Six directions' vote against the exact generalized winding number (Jacobson et al. 2013): they may differ at the
    hole alone."""
    ball = sphere(0.6, 2)
    stretched = ball.vertices * np.array([1.0, 0.7, 1.3]) + [0.05, -0.1, 0.02]
    corner = ball.vertices[ball.faces].mean(1) @ np.array([0.6, 0.5, 0.62])
    mesh = SimpleNamespace(vertices=stretched, faces=ball.faces[corner < 0.57])
    assert len(ball.faces) - 12 < len(mesh.faces) < len(ball.faces), "a hole of a few triangles"
    triangles = Surface.of(mesh).triangles
    axis = grid_axis(24)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    exact = torch.cat([_solid_angles(p, triangles) for p in points.split(2_000)]).abs() > 0.5
    assert int(exact.sum()) > 300
    other = points[occupancy(mesh, 24).reshape(-1) != exact]
    hole = torch.from_numpy(stretched[ball.faces[corner >= 0.57]]).reshape(-1, 3)
    reach = float(torch.cdist(hole, hole).max())
    assert len(other) < 0.01 * int(exact.sum())
    assert bool((torch.cdist(other, hole.mean(0, keepdim=True)) < reach).all())


def _solid_angles(points: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Winding numbers by van Oosterom and Strackee's formula."""
    a, b, c = (triangles[None, :, i] - points[:, None] for i in range(3))
    la, lb, lc = (v.norm(dim=-1) for v in (a, b, c))
    numerator = (a * torch.linalg.cross(b, c)).sum(-1)
    denominator = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return torch.atan2(numerator, denominator).sum(1) / (2 * math.pi)


def test_empty_meshes_are_refused() -> None:
    empty = SimpleNamespace(vertices=np.zeros((0, 3)), faces=np.zeros((0, 3), int))
    with pytest.raises(ValueError, match="none"):
        chamfer(empty, cube())
    with pytest.raises(ValueError, match="finite"):
        Surface(torch.tensor([[math.nan, 0, 0]]), torch.zeros(0, 3, dtype=torch.int64))
