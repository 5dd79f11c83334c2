"""Rays through the pixels of depth and normal maps, and the terms of a ball whose surface is known in closed form."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nerf2mesh.optimize.config import OptimizeConfig
from nerf2mesh.optimize.maps import GivenMaps, MapTerms
from nerf2mesh.run.identity import views_digest
from nerf2mesh.types import DepthMap, Observations, Rays, Rendering, View
from tests.inputs.maps_of_a_ball import RADIUS, seen_ball

CPU = torch.device("cpu")


def given(kind: str = "affine", along_axis: bool = True) -> View:
    ball = seen_ball()
    image = torch.cat([torch.full((*ball.hit.shape, 3), 0.5), ball.hit[..., None].float()], -1)
    measured = ball.axis_depth if along_axis else ball.depth
    values = {"world": measured, "affine": (measured - 2.0) * 0.3, "inverse": 1.0 / measured.clamp_min(1.0)}[kind]
    depth = DepthMap(values.float(), ball.hit, kind, along_axis)
    return View(image, ball.camera, depth=depth, normal=ball.normal.float())


def ball_at(rays: Rays, radius: float = RADIUS) -> Rendering:
    """The ball of this radius along `rays`, in closed form; rays pass it at a pixel's random place."""
    along = (rays.origins * rays.directions).sum(-1)
    inside = along.square() - rays.origins.square().sum(-1) + radius**2
    depth = -along - inside.clamp_min(0.0).sqrt()
    normal = torch.nn.functional.normalize(rays.origins + depth[:, None] * rays.directions, dim=-1)
    return Rendering(torch.zeros_like(rays.origins), (inside > 0).float(), depth, normal)


@pytest.mark.parametrize("kind", ["world", "affine", "inverse"])
@pytest.mark.parametrize("along_axis", [True, False])
def test_the_true_ball_costs_next_to_nothing_and_another_one_more(kind, along_axis):
    maps = GivenMaps([given(kind, along_axis)], CPU)
    rays, targets = maps.draw(2000, torch.Generator().manual_seed(0))
    config = OptimizeConfig(weight_depth_rel=1.0, weight_depth=1.0, weight_normal=1.0)
    right, wrong = MapTerms(config, targets), MapTerms(config, targets)
    right(ball_at(rays))
    wrong(replace(ball_at(rays), depth=ball_at(rays).depth.flip(0), normal=ball_at(rays).normal.flip(0)))
    for name in ("loss/depth_rel", "loss/depth", "loss/normal"):
        assert float(right.numbers[name]) < 0.01
        assert float(wrong.numbers[name]) > 3.0 * float(right.numbers[name])


def test_rays_pass_only_through_known_pixels():
    view = given("world")
    assert view.depth is not None
    upper = view.depth.known & (torch.arange(view.image.shape[0]) < 40)[:, None]
    view = replace(view, depth=replace(view.depth, known=upper), normal=None)
    rays, targets = GivenMaps([view], CPU).draw(500, torch.Generator().manual_seed(1))
    pixels, _ = view.camera.project(rays.origins + 2.0 * rays.directions)
    assert upper[pixels[:, 1].long(), pixels[:, 0].long()].all()
    assert targets.normal is None
    assert targets.depth_weight is not None
    assert (targets.depth_weight == 1).all()


def test_without_weight_normals_are_neither_asked_for_nor_counted():
    rays, targets = GivenMaps([given()], CPU).draw(64, torch.Generator().manual_seed(0))
    term = MapTerms(OptimizeConfig(weight_normal=0.0), targets)
    assert not term.wants_normals
    term(replace(ball_at(rays), normal=None))
    assert "loss/normal" not in term.numbers


def test_views_without_maps_and_of_no_weight_are_left_out():
    view = given()
    plain = replace(view, depth=None, normal=None)
    assert GivenMaps([plain, replace(view, weight=0.0)], CPU).views == []


def test_maps_belong_to_a_runs_identity():
    view = given("world")
    assert view.depth is not None
    plain = replace(view, depth=None, normal=None)
    kinds = [view, plain, replace(view, normal=None), replace(view, depth=replace(view.depth, kind="affine"))]
    assert len({views_digest(Observations((one,))) for one in kinds}) == 4
