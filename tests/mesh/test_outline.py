from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerf2mesh.mesh import FieldAccess
from nerf2mesh.mesh.access import LevelSet
from nerf2mesh.mesh.extract.outline import fit_outlines, projected, spread
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.types import Camera

EGG = np.array([0.5, 0.42, 0.6])


def egg_field() -> tuple[FieldAccess, LevelSet]:
    """A field that looks like an egg, and whose level set is one."""
    truth = replace(icosphere(4), vertices=icosphere(4).vertices * EGG, vertex_normals=None)
    axes = torch.from_numpy(EGG).float()
    access = FieldAccess(
        logit=lambda p: 20.0 * (1.0 - (p / axes).norm(dim=-1)), render=lambda c: rasterize_mesh(truth, c)
    )
    return access, LevelSet(access, 0.0)


def test_projection_is_the_rasterizers():
    camera, point = Camera.orbit(40.0, 25.0, width_px=64), np.array([[0.3, -0.2, 0.4]])
    rays = camera.rays(torch.from_numpy(projected(point, camera)[0]).float())
    to_point = point - rays.origins.numpy()
    along = to_point / np.linalg.norm(to_point, axis=1, keepdims=True)
    assert (rays.directions.numpy() * along).sum() == pytest.approx(1.0, abs=1e-6)


def test_offsets_spread_smoothly_from_the_vertices_that_know():
    ball = icosphere(3)
    weight = np.where(np.abs(ball.vertices[:, 2]) < 0.1, 5.0, 0.0)
    found = spread(ball, np.where(weight > 0, 0.01, 99.0), weight)
    assert found == pytest.approx(0.01, rel=0.05)


def test_a_mesh_that_is_too_small_grows_to_its_outlines():
    access, level = egg_field()
    small = replace(icosphere(4), vertices=icosphere(4).vertices * (EGG - 0.02), vertex_normals=None)
    better, figures = fit_outlines(small, access, level, 0.03, n_views=12, size_px=128)
    assert figures["kept"] and figures["iou_after"] > figures["iou_before"] + 0.03
    radius = np.linalg.norm(better.vertices / EGG, axis=1)
    assert abs(radius.mean() - 1.0) < 0.01 and radius.std() < 0.01 and better.is_watertight


def test_what_does_not_help_is_not_kept():
    access, level = egg_field()
    right = replace(icosphere(4), vertices=icosphere(4).vertices * EGG, vertex_normals=None)
    same, figures = fit_outlines(right, access, level, 0.03, n_views=8, size_px=96)
    if not figures["kept"]:
        assert same is right
    assert np.linalg.norm(same.vertices - right.vertices, axis=1).max() < 0.015
    nothing = replace(access, render=lambda c: rasterize_mesh(replace(right, vertices=right.vertices + 9.0), c))
    _, figures = fit_outlines(right, nothing, level, 0.03, n_views=4, size_px=32)
    assert figures["kept"] is False
