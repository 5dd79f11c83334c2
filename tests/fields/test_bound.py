"""Silhouettes as a hard bound on the density, against a box whose distances are known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("shapely", reason="needs the plans extra")

from shapely.geometry import Point, box

from nerf2mesh.fields import FieldConfig, HashGridField, SilhouetteBound, bound_of
from nerf2mesh.fields.bound import EDGE
from nerf2mesh.inputs.drawing.views import clearance
from nerf2mesh.types import Camera, Carving, View

HALF = np.array([0.5, 0.7, 0.3])
"""Of the box, along x, y, z."""
SEEN = {"front": (0.0, 0.0, 1, 2), "right": (90.0, 0.0, 0, 2), "top": (0.0, 90.0, 1, 0)}


def box_views(side_px: int = 256) -> list[View]:
    """Front, right and top of the box."""
    views = []
    for azimuth, elevation, across, up in SEEN.values():
        camera = Camera.orbit(azimuth, elevation, width_px=side_px, orthographic=True)
        region = box(-HALF[across], -HALF[up], HALF[across], HALF[up])
        inside = torch.from_numpy(clearance(region, side_px, float(camera.focal_px[0]))).float()
        views.append(View(torch.ones(side_px, side_px, 4), camera, clearance=inside))
    return views


def points(n: int = 4000) -> torch.Tensor:
    return torch.rand(n, 3, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0


def test_depth_within_the_hull_is_the_distance_to_the_nearest_side() -> None:
    where = points()
    gaps = (torch.from_numpy(HALF).float() - where.abs()).sort(1).values
    exact, found = gaps[:, 0], SilhouetteBound(box_views()).depth(where)
    inside, flat = exact > 0, (exact.abs() < 0.015) & (gaps[:, 1] > 0.03)
    assert torch.allclose(found[inside], exact[inside], atol=5e-3) and int(flat.sum()) > 20
    assert torch.allclose(found[flat], exact[flat], atol=1e-5)  # near a side, away from edges, where it matters
    assert torch.equal(found[exact.abs() > 2e-3] > 0, inside[exact.abs() > 2e-3])


def test_nothing_outside_and_nothing_changed_inside() -> None:
    config = FieldConfig(n_levels=4, log2_table_size=8, blob="none")
    field = HashGridField(config, torch.Generator().manual_seed(1)).eval()
    where = points()
    exact = (torch.from_numpy(HALF).float() - where.abs()).amin(1)
    with torch.no_grad():
        free = field.density(where)
        field.bound = bound_of(box_views())
        bounded = field.density(where)
    assert torch.equal(bounded[exact > 2e-3], free[exact > 2e-3])
    assert float(bounded[exact < -5e-3].max()) < 1e-6
    assert torch.equal(field(where).density, bounded)
    assert torch.allclose(field.density_logit(where).exp(), bounded)


def test_only_what_lies_inside_is_trained() -> None:
    field = HashGridField(FieldConfig(n_levels=2, log2_table_size=8), torch.Generator().manual_seed(1))
    field.bound = bound_of(box_views())
    field.density_logit(torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.0, 0.9]])).sum().backward()
    outside = field.encoding.params.grad.abs().sum()
    field.density_logit(torch.tensor([[0.1, 0.0, 0.0]])).sum().backward()
    assert float(outside) == 0.0 and float(field.encoding.params.grad.abs().sum()) > 0.0


def test_a_solid_field_ends_at_the_hull() -> None:
    field = HashGridField(FieldConfig(blob="gaussian", blob_scale=EDGE, blob_width=1e3)).eval()
    field.bound = bound_of(box_views())
    at = torch.tensor([[0.4995, 0.0, 0.0], [0.0, 0.6995, 0.2], [0.5005, 0.0, 0.0], [0.0, 0.0, -0.3005]])
    dense = field.density(at)
    assert (dense[:2] > 1.0).all() and (dense[2:] < 0.5).all()


def test_views_without_silhouettes_bound_nothing() -> None:
    assert bound_of([View(torch.ones(8, 8, 4), Camera.orbit(0.0, 0.0, width_px=8))]) is None


def test_what_is_carved_from_a_box_is_outside() -> None:
    """A round pocket from the front and a square one into the bottom, against their closed forms."""
    views = box_views()
    focal = float(views[0].camera.focal_px[0])
    region = torch.from_numpy(clearance(Point(0.1, 0.0).buffer(0.15, 64), 256, focal)).float()
    square = torch.from_numpy(clearance(box(-0.6, -0.3, -0.3, 0.1), 256, focal)).float()
    views[0] = replace(views[0], carvings=(Carving(region, 0.2),))
    views[2] = replace(views[2], carvings=(Carving(square, -0.1, behind=True),))
    where = points()
    x, y, z = where.unbind(1)
    pocket = (torch.hypot(y - 0.1, z) < 0.15) & (x > 0.2)
    below = (y > -0.6) & (y < -0.3) & (-x > -0.3) & (-x < 0.1) & (z < -0.1)
    inside = ((torch.from_numpy(HALF).float() - where.abs()) > 0).all(1) & ~pocket & ~below
    found = bound_of(views)
    assert found is not None
    depth = found.depth(where)
    clear = depth.abs() > 4e-3
    assert (
        torch.equal(depth[clear] > 0, inside[clear])
        and int((pocket | below).sum()) > 50
        and clear.float().mean() > 0.97
    )
    on_floor = torch.tensor([[0.2, 0.1, 0.0], [0.05, -0.45, -0.1]])
    assert torch.allclose(found.depth(on_floor), torch.zeros(2), atol=1e-5)
    assert float(found.depth(on_floor + torch.tensor([[0.05, 0, 0], [0, 0, -0.05]])).max()) < -0.04
