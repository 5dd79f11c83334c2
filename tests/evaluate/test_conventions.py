"""Published conventions: expected ratios on one pair, alignments that find a known motion, visible points of a ball."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nerf2mesh.evaluate.metrics.align import best_rotation, iterative_closest_points, kabsch, mean_frame, rotation_grid
from nerf2mesh.evaluate.metrics.surface import Surface
from nerf2mesh.evaluate.protocols.conventions import (
    CONVENTIONS,
    convention,
    measure,
    syncdreamer_cameras,
    thinned,
    visible_points,
)
from tests.evaluate.shapes import cloud_distance, cube, sphere

PLAIN = replace(convention("triposr"), alignment="none", side=1.0, samples=2_000, thresholds=())


def test_conventions_differ_by_the_known_factors() -> None:
    a, b = sphere(0.4, 3, center=(0.1, 0, 0)), cube(side=0.8)
    once = measure(PLAIN, a, b)["chamfer"]
    assert measure(replace(PLAIN, side=2.0), a, b)["chamfer"] == pytest.approx(2 * once, rel=1e-9)
    assert measure(replace(PLAIN, reduce="sum"), a, b)["chamfer"] == pytest.approx(2 * once, rel=1e-9)
    squared = replace(PLAIN, squared=True)
    assert measure(replace(squared, side=2.0), a, b)["chamfer"] == pytest.approx(
        4 * measure(squared, a, b)["chamfer"], rel=1e-9
    )


def test_floor_is_what_the_truth_scores() -> None:
    ball = sphere(0.5, 4)
    scores = measure(PLAIN, ball, ball)
    assert scores["chamfer"] == pytest.approx(scores["chamfer_floor"], rel=0.05)
    assert scores["chamfer_floor"] == pytest.approx(0.5 * math.sqrt(math.pi / 2_000), rel=0.1)


def test_frame_does_not_depend_on_size_or_place() -> None:
    a, b = sphere(0.4, 3, center=(0.1, 0, 0)), cube(side=0.8)
    moved = [replace_vertices(m, 3.0 * np.asarray(m.vertices) + [5.0, 0, 1.0]) for m in (a, b)]
    for kind in (PLAIN, convention("zeroshape")):
        assert measure(kind, *moved)["chamfer"] == pytest.approx(measure(kind, a, b)["chamfer"], rel=1e-5)


def replace_vertices(mesh: object, vertices: np.ndarray) -> object:
    from types import SimpleNamespace

    return SimpleNamespace(vertices=vertices, faces=mesh.faces)


def test_rotation_grid_is_zero_shapes() -> None:
    grid = rotation_grid()
    assert grid.shape == (6912, 3, 3)
    assert torch.allclose(grid @ grid.mT, torch.eye(3, dtype=torch.float64).expand(6912, 3, 3), atol=1e-12)
    assert torch.allclose(torch.linalg.det(grid), torch.ones(6912, dtype=torch.float64))


def test_alignment_finds_a_known_motion() -> None:
    points = Surface.of(cube(side=1.0)).sample(800)[0] * torch.tensor([1.0, 0.6, 0.3])
    points = torch.cat([points, points[:200] * 0.3 + torch.tensor([0.5, 0.3, 0.2])])
    grid = rotation_grid(8, 8, 4)
    small = torch.linalg.matrix_exp(torch.tensor([[0, -0.1, 0.05], [0.1, 0, 0.02], [-0.05, -0.02, 0]]).double())
    assert torch.allclose(kabsch(points, points @ small.T + 1.0), small, atol=1e-9)
    moved = points @ small.T + 0.03
    assert cloud_distance(iterative_closest_points(moved, points), points) < 1e-3 < cloud_distance(moved, points)
    turned = points @ grid[77].T
    found = best_rotation(turned, points, grid, finalists=4)
    assert cloud_distance(found, points) < 1e-9 < 0.05 < cloud_distance(turned, points)
    framed = best_rotation(3.0 * turned, mean_frame(points), grid, finalists=4, normalize=True)
    assert cloud_distance(framed, mean_frame(points)) < 1e-6


def test_thinning_keeps_one_mean_point_per_voxel() -> None:
    points = torch.tensor([[0.0, 0, 0], [0.2, 0, 0], [1.0, 0, 0]], dtype=torch.float64)
    assert thinned(points, 0.5).tolist() == [[pytest.approx(0.1), 0, 0], [1.0, 0, 0]]


def test_visible_points_lie_on_the_ball_where_cameras_see_it() -> None:
    """Cameras 30 degrees up at distance 1.5 see a ball of radius r down to elevation 30 - acos(r / 1.5)."""
    radius = 0.4
    points = visible_points(Surface.of(sphere(radius, 5)))
    distance = points.norm(dim=-1)
    # Depth is lifted through pixel corners, half a pixel (1.5 / 280 / 2) off, and averaged in voxels of 0.01.
    assert float((distance - radius).abs().mean()) < 1.5 / 280 / 2 + 0.005
    lowest = math.degrees(math.asin(float(points[:, 2].min()) / radius))
    assert lowest == pytest.approx(30 - math.degrees(math.acos(radius / 1.5)), abs=5.0), "grazing pixels miss the rim"
    assert float(points[:, 2].max()) == pytest.approx(radius, abs=0.01)


def test_syncdreamer_s_cameras_have_its_numbers() -> None:
    cameras = syncdreamer_cameras()
    assert torch.allclose(cameras.focal_px, torch.full((16, 2), 280.0), atol=1e-3)
    assert torch.allclose(cameras.position.norm(dim=-1), torch.full((16,), 1.5), atol=1e-6)


def test_every_convention_runs_and_names_its_source() -> None:
    ball, box = sphere(0.4, 2), cube(side=0.7)
    for kind in CONVENTIONS:
        quick = replace(kind, samples=kind.samples and 300, alignment=kind.alignment.replace("rotations", "none"))
        scores = measure(quick, ball, box)
        assert 0 < scores["chamfer"] < 1 and scores["chamfer"] > scores["chamfer_floor"]
        assert kind.source
    with pytest.raises(ValueError, match="zeroshape"):
        convention("nobody")
