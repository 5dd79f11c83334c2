from __future__ import annotations

import math

import analytic
import numpy as np
import pytest
import torch

from nerf2mesh.mesh import FieldAccess, inspect_mesh
from nerf2mesh.mesh.access import LevelSet
from nerf2mesh.mesh.extract.marching_cubes import extract_surface

STEEP = 10.0


def level_of(distance, **more) -> LevelSet:
    return LevelSet(FieldAccess(logit=lambda p: -STEEP * distance(p), **more), 0.0)


def distances(distance, mesh) -> np.ndarray:
    return distance(torch.from_numpy(mesh.vertices)).numpy()


@pytest.mark.parametrize("resolution", [16, 33, 64, 128])
def test_sphere_converges_without_shift(resolution):
    shape = analytic.sphere(0.6, (0.05, -0.1, 0.15))
    mesh = extract_surface(level_of(shape), resolution)
    error = distances(shape, mesh) / (2.0 / resolution)
    assert np.sqrt((error**2).mean()) < 0.01 and abs(error.mean()) < 0.002
    report = inspect_mesh(mesh)
    assert report["watertight"] and report["genus"] == 0 and report["components"] == 1
    # Inscribed: smaller by O(h^2), never larger, without the shift that a wrong index-to-world map gives.
    exact = 4 / 3 * math.pi * 0.6**3
    assert exact * (1.0 - 12.0 / resolution**2) < mesh.volume < exact
    assert np.abs(mesh.vertices.mean(0) - [0.05, -0.1, 0.15]).max() < 0.1 / resolution


@pytest.mark.parametrize(
    ("shape", "genus", "components", "volume"),
    [
        (analytic.torus(0.55, 0.22), 1, 1, 2 * math.pi**2 * 0.55 * 0.22**2),
        (analytic.box_frame(0.6, 0.12), 5, 1, 1.2**3 - 0.72**3 - 6 * 0.72**2 * 0.24),
        (
            analytic.union(analytic.sphere(0.3, (0.45, 0, 0)), analytic.sphere(0.25, (-0.5, 0, 0))),
            0,
            2,
            4 / 3 * math.pi * (0.3**3 + 0.25**3),
        ),
    ],
)
def test_analytic_shapes_have_their_genus_and_volume(shape, genus, components, volume):
    mesh = extract_surface(level_of(shape), 128)
    report = inspect_mesh(mesh)
    assert report["watertight"] and report["nonmanifold_edges"] == report["nonmanifold_vertices"] == 0
    assert (report["genus"], report["components"]) == (genus, components)
    assert report["volume"] == pytest.approx(volume, rel=4e-3)  # sharp edges are cut off by half a cell
    assert np.sqrt((distances(shape, mesh) ** 2).mean()) < 0.01 * 2 / 128


@pytest.mark.parametrize("with_occupancy", [False, True])
def test_sparse_equals_dense_with_few_evaluations(with_occupancy):
    shape = analytic.union(analytic.torus(0.4, 0.12), analytic.box((0.9, 0.02, 0.02)))
    occupancy = None
    if with_occupancy:
        centers = (np.arange(32) + 0.5) / 16 - 1
        grid = np.stack(np.meshgrid(centers, centers, centers, indexing="ij"), -1).reshape(-1, 3)
        near = shape(torch.from_numpy(grid)) < math.sqrt(3) / 32
        occupancy = near.numpy().reshape(32, 32, 32)
    dense = extract_surface(level_of(shape), 128, dense=True)
    sparse = extract_surface(level_of(shape), 128, occupancy=occupancy)
    assert np.array_equal(sparse.faces, dense.faces) and np.array_equal(sparse.vertices, dense.vertices)
    counts = sparse.metadata["evaluations"]
    assert counts["search"] < 0.15 * counts["dense"]


def test_dense_extraction_is_what_pymcubes_gives():
    import mcubes

    shape, n = analytic.torus(), 40
    nodes = np.linspace(-1, 1, n + 1)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), -1).reshape(-1, 3)
    volume = -STEEP * shape(torch.from_numpy(grid.astype(np.float32))).numpy().reshape((n + 1,) * 3)
    vertices, faces = mcubes.marching_cubes(volume, 0.0)
    mesh = extract_surface(level_of(shape), n, refine_steps=0)
    order_a, order_b = (np.lexsort(np.round(v, 6).T) for v in (vertices * 2 / n - 1, mesh.vertices))
    assert np.abs((vertices * 2 / n - 1)[order_a] - mesh.vertices[order_b]).max() < 1e-3 * 2 / n * 3
    assert len(faces) == mesh.n_faces


def test_a_surface_cut_by_the_box_is_closed_on_its_face():
    shape = analytic.sphere(0.7, (0.8, 0.0, 0.0))
    mesh = extract_surface(level_of(shape), 64)
    assert mesh.is_watertight and mesh.vertices[:, 0].max() == pytest.approx(1.0, abs=0.01 * 2 / 64)
    full = extract_surface(level_of(lambda p: p[:, 0] * 0 - 1.0), 32)
    assert full.is_watertight and full.volume == pytest.approx(8.0, rel=1e-3)


def test_level_exactly_on_the_nodes_gives_no_degenerate_face():
    shape = analytic.box((0.5, 0.5, 0.5))
    mesh = extract_surface(level_of(shape), 64)
    report = inspect_mesh(mesh)
    assert report["watertight"] and report["degenerate_faces"] == 0
    assert mesh.volume == pytest.approx(1.0, rel=1e-2)


def test_a_steep_density_is_met_within_a_hundredth_of_a_voxel():
    """Where linear interpolation of the density itself is off by a third of a voxel."""
    shape = analytic.sphere(0.6)
    access = FieldAccess(logit=lambda p: (math.log(30.0) - 250.0 * shape(p)).clamp(-12.0, 6.0))
    mesh = extract_surface(LevelSet(access, math.log(30.0)), 64)
    assert np.sqrt((distances(shape, mesh) ** 2).mean()) < 0.01 * 2 / 64


def test_one_voxel_and_thin_rods_are_found():
    tiny = extract_surface(level_of(analytic.sphere(0.03)), 64)
    assert tiny.is_watertight and inspect_mesh(tiny)["genus"] == 0
    rod = extract_surface(level_of(analytic.box((0.9, 0.02, 0.02))), 128)
    assert np.ptp(rod.vertices[:, 0]) == pytest.approx(1.8, abs=0.02)


@pytest.mark.parametrize("value", [-5.0])
def test_an_empty_field_names_range_and_threshold(value):
    access = FieldAccess(logit=lambda p: torch.full_like(p[:, 0], value))
    with pytest.raises(ValueError, match=r"logits in \[-5, -5\].*mesh.threshold"):
        extract_surface(LevelSet(access, 1.0), 32)


def test_nan_is_refused():
    access = FieldAccess(logit=lambda p: torch.where(p[:, 0] > 0.9, torch.nan, -1.0))
    with pytest.raises(ValueError, match="NaN"):
        extract_surface(LevelSet(access, 0.0), 32)
