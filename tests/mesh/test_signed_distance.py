from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerf2mesh.fields import FieldConfig
from nerf2mesh.mesh import FieldAccess
from nerf2mesh.mesh.extract import signed_distance as stage
from nerf2mesh.mesh.extract.signed_distance import (
    DistanceConfig,
    DistanceTargets,
    convert,
    distance_stage,
    mean_bend_deg,
)
from nerf2mesh.mesh.shapes import icosphere, torus
from nerf2mesh.render.rasterizer import rasterize_mesh

SMALL = FieldConfig(n_levels=5, n_features=2, log2_table_size=13, hidden=32)


def test_targets_are_signed_distances():
    targets = DistanceTargets(torus(0.6, 0.25, 120, 60))
    points, found = targets.draw(2000, torch.Generator().manual_seed(0))
    ring = (torch.hypot(torch.hypot(points[:, 0], points[:, 1]) - 0.6, points[:, 2]) - 0.25).numpy()
    assert np.abs(found.numpy() - ring).max() < 0.01 and np.abs(found.numpy() - ring).mean() < 1e-3
    assert (np.abs(ring) < 0.05).mean() > 0.3


def test_a_converted_torus_has_its_distances():
    field = convert(torus(0.6, 0.25, 120, 60), DistanceConfig(steps=120, points=2048), SMALL)
    points = 1.6 * torch.rand(4000, 3, generator=torch.Generator().manual_seed(1)) - 0.8
    ring = torch.hypot(torch.hypot(points[:, 0], points[:, 1]) - 0.6, points[:, 2]) - 0.25
    near = ring.abs() < 0.1
    with torch.no_grad():
        assert (-field.density_logit(points) - ring)[near].abs().mean() < 0.012
        slope = field.logit_gradient(points[near], "finite_difference").norm(dim=-1)
    assert slope.mean() == pytest.approx(1.0, abs=0.1)


def test_bend_is_the_angle_between_neighbors():
    assert mean_bend_deg(icosphere(4)) == pytest.approx(0.5 * mean_bend_deg(icosphere(3)), rel=0.02)
    rough = icosphere(3)
    noise = np.random.default_rng(0).normal(0, 0.01, rough.n_vertices)[:, None]
    assert mean_bend_deg(replace(rough, vertices=rough.vertices * (1 + noise))) > 1.5 * mean_bend_deg(rough)


@pytest.mark.parametrize("size", [0.6, 0.55])
def test_only_a_better_surface_is_kept(monkeypatch, size):
    """A rough ball whose field shows a smooth one of radius 0.6; the "converted" field is a ball of `size`."""
    truth = replace(icosphere(4, 0.6), vertex_normals=None)
    access = FieldAccess(logit=lambda p: 0.6 - p.norm(dim=-1), render=lambda c: rasterize_mesh(truth, c))
    noise = np.random.default_rng(0).normal(0, 0.02, truth.n_vertices)[:, None]
    rough = replace(truth, vertices=truth.vertices * (1 + noise))
    ball = FieldAccess(logit=lambda p: size - p.norm(dim=-1), activation=torch.sigmoid, level=0.0)
    monkeypatch.setattr(stage, "convert", lambda surface, config: None)
    monkeypatch.setattr(stage.FieldAccess, "of", staticmethod(lambda field: ball))
    config = DistanceConfig(refine_steps=0, n_views=8, size_px=96)
    mesh, level, figures = distance_stage(rough, access, 64, config)
    assert figures["kept"] is (size == 0.6) and (mesh is rough) is (size != 0.6) and (level is None) is (size != 0.6)


@pytest.mark.slow
def test_the_stage_on_a_rough_ball():
    truth = replace(icosphere(4, 0.6), vertex_normals=None)
    access = FieldAccess(logit=lambda p: 0.6 - p.norm(dim=-1), render=lambda c: rasterize_mesh(truth, c, supersample=3))
    noise = np.random.default_rng(0).normal(0, 0.02, truth.n_vertices)[:, None]
    rough = replace(truth, vertices=truth.vertices * (1 + noise))
    mesh, level, figures = distance_stage(rough, access, 64)
    assert figures["bend_deg_after"] < 0.5 * figures["bend_deg_before"], "it smooths"
    better = figures["iou_after"] > figures["iou_before"]
    assert figures["kept"] is better and (mesh is rough) is (not better) and (level is not None) is better
    assert mesh.is_watertight
