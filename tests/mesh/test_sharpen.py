"""Vertices, volume and genus of analytic shapes at several resolutions, creases and corners included."""

from __future__ import annotations

import math

import analytic
import numpy as np
import pytest
import torch

from nerf2mesh.config import load_config
from nerf2mesh.mesh import FieldAccess, MeshConfig, build_mesh, inspect_mesh
from nerf2mesh.mesh.access import LevelSet
from nerf2mesh.mesh.extract.marching_cubes import extract_surface
from nerf2mesh.mesh.surface.sharpen import sharpen

TURN = torch.from_numpy(np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0])
SPHERES = analytic.union(analytic.sphere(0.3, (0.45, 0, 0)), analytic.sphere(0.25, (-0.5, 0, 0)))
SHAPES = {  # distance, genus, pieces, volume
    "sphere": (analytic.sphere(0.6, (0.05, -0.1, 0.15)), 0, 1, 4 / 3 * math.pi * 0.6**3),
    "torus": (analytic.torus(0.55, 0.22), 1, 1, 2 * math.pi**2 * 0.55 * 0.22**2),
    "box frame": (analytic.box_frame(0.6, 0.12), 5, 1, 1.2**3 - 0.72**3 - 6 * 0.72**2 * 0.24),
    "two spheres": (SPHERES, 0, 2, 4 / 3 * math.pi * (0.3**3 + 0.25**3)),
}


def turned(shape):
    return lambda p: shape(p @ TURN.to(p.dtype))


def bitten_ball(p):
    """A ball less another one: a curved crease on an acute wedge."""
    return torch.maximum(analytic.sphere(0.6)(p), -analytic.sphere(0.5, (0.4, 0.1, 0.2))(p))


def sharpened(shape, resolution: int):
    level = LevelSet(FieldAccess(logit=lambda p: -10.0 * shape(p)), 0.0)
    raw = extract_surface(level, resolution)
    return raw, *sharpen(raw, level, 2.0 / resolution)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("resolution", [64, *(pytest.param(n, marks=pytest.mark.slow) for n in (128, 256, 512))])
def test_vertices_volume_and_genus(name, resolution):
    shape, genus, pieces, volume = SHAPES[name]
    _, mesh, figures = sharpened(shape, resolution)
    error = shape(torch.from_numpy(mesh.vertices)).numpy() * resolution / 2.0
    assert np.sqrt((error**2).mean()) < 0.01 and abs(error.mean()) < 0.002
    assert mesh.volume == pytest.approx(volume, rel=1e-3)
    report = inspect_mesh(mesh)
    assert report["watertight"] and report["nonmanifold_vertices"] == 0
    assert (report["genus"], report["components"]) == (genus, pieces)
    assert figures["mean_after"] <= figures["mean_before"]  # equal where nothing needs a split: the finest sphere


def test_edges_of_a_turned_frame_come_back():
    shape, _, _, volume = SHAPES["box frame"]
    raw, mesh, figures = sharpened(turned(shape), 48)
    assert abs(raw.volume / volume - 1) > 0.005 and abs(mesh.volume / volume - 1) < 0.001
    report = inspect_mesh(mesh, self_intersections=True)
    assert report["watertight"] and report["genus"] == 5 and report["self_intersections"] == 0
    assert figures["vertices_added"] < 0.5 * raw.n_vertices


def test_an_acute_curved_crease_does_not_fold():
    raw, mesh, _ = sharpened(bitten_ball, 48)
    report = inspect_mesh(mesh, self_intersections=True)
    assert report["watertight"] and report["self_intersections"] == 0 and report["degenerate_faces"] == 0
    off = [np.abs(bitten_ball(torch.from_numpy(m.corners.mean(1))).numpy()).mean() for m in (raw, mesh)]
    assert off[1] < 0.25 * off[0]


def test_the_lid_of_a_cut_surface_stays_on_the_box():
    _, mesh, _ = sharpened(analytic.sphere(0.7, (0.8, 0.0, 0.0)), 48)
    assert mesh.is_watertight and mesh.vertices[:, 0].max() == pytest.approx(1.0, abs=0.01 * 2 / 48)


def test_the_setting_for_sharp_fields_switches_smoothing_off():
    mesh = load_config(["mesh=sharp"]).mesh
    assert mesh.sharpen and mesh.smooth_radius == 0.0


def test_in_the_whole_way_without_smoothing():
    access = FieldAccess(logit=lambda p: -analytic.box((0.5, 0.4, 0.3))(p), activation=torch.sigmoid, level=0.0)
    config = {"resolution": 64, "target_faces": 1000, "smooth_radius": 0.0, "fill_hidden": False}
    mesh, report = build_mesh(access, MeshConfig(**config, sharpen=True))
    assert report["extract"]["sharpened"]["vertices_added"] > 0
    assert mesh.volume == pytest.approx(8 * 0.5 * 0.4 * 0.3, rel=1e-3)
    chamfered, report = build_mesh(access, MeshConfig(**config))
    assert "sharpened" not in report["extract"] and chamfered.volume < mesh.volume
