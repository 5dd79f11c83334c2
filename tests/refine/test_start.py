"""The fit of a field to a mesh against pictures of the mesh, and the gate that keeps gradients in a region."""

from dataclasses import replace

import pytest
import torch

from nerf2mesh.evaluate.metrics.images import psnr
from nerf2mesh.fields import FieldConfig, HashGridField
from nerf2mesh.fields.protocol import FieldOutput
from nerf2mesh.refine.config import StartConfig
from nerf2mesh.refine.held import crossing, holding_views
from nerf2mesh.refine.region import RegionGrid
from nerf2mesh.refine.start import all_around, box_range, fit_start, seen_rays
from nerf2mesh.render import OccupancyGrid, RendererConfig, VolumeRenderer, rasterize_mesh
from nerf2mesh.types import Camera, Rays
from tests.refine.shapes import ball


def test_rays_know_where_they_meet_a_sphere() -> None:
    seen = seen_rays(ball(n_around=96, n_up=48), all_around(4, 48))
    rays = Rays(seen.rays.origins[seen.hit], seen.rays.directions[seen.hit])
    points = rays.origins + rays.directions * seen.depth[:, None]
    assert (points.norm(dim=-1) - 0.6).abs().max() < 4e-3
    cosine = -(points / 0.6 * rays.directions).sum(-1)
    clear = cosine > 0.3
    assert (seen.cosine - cosine)[clear].abs().max() < 0.08


def test_mesh_that_fills_no_pixel_is_refused() -> None:
    wire = replace(ball(), vertices=ball().vertices * [2e-4, 2e-4, 1.0])
    with pytest.raises(ValueError, match=r"^start_from: expected a mesh that fills pixels, .* 32 px; raise"):
        seen_rays(wire, all_around(4, 32))


def test_range_of_the_box_by_hand() -> None:
    rays = Rays(torch.tensor([[3.0, 0.2, 0.2], [3.0, 2.0, 0.2]]), torch.tensor([[-1.0, 1e-9, 1e-9]] * 2))
    near, far = box_range(rays)
    assert torch.allclose(near[0], torch.tensor(2.0)) and torch.allclose(far[0], torch.tensor(4.0))
    assert near[1] == far[1]


def test_field_looks_like_the_mesh_from_unseen_cameras() -> None:
    torch.manual_seed(0)
    small = FieldConfig(n_levels=6, log2_table_size=13, hidden=32, color_hidden=16)
    field = HashGridField(small, torch.Generator().manual_seed(0))
    renderer = VolumeRenderer(RendererConfig(samples_per_ray=96), field, OccupancyGrid(32))
    fit_start(
        field, renderer, ball(), StartConfig(views=12, size_px=64, point_steps=100, points=1024, ray_steps=60, rays=512)
    )
    cameras = all_around(3, 64, turn_deg=77.0)
    wanted = rasterize_mesh(ball(), cameras, supersample=3).over(1.0)
    found = renderer.render(cameras).over(1.0)
    assert float(psnr(found, wanted).min()) > 26.0
    assert field.n_active_levels == 6


class TwoColors(torch.nn.Module):
    """A slab of density 3 that is `left` where x < 0 and `right` elsewhere."""

    view_dependent, bytes_per_sample = False, 64

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = (torch.nn.Parameter(torch.full((3,), 0.5)) for _ in range(2))
        self.dense = torch.nn.Parameter(torch.tensor(3.0))

    def density(self, points: torch.Tensor) -> torch.Tensor:
        return self.dense * (points.abs().amax(-1) < 0.5)

    def normals(self, points: torch.Tensor, mode: str = "analytic") -> torch.Tensor:
        return torch.zeros_like(points)

    def forward(self, points: torch.Tensor, directions: torch.Tensor | None = None) -> FieldOutput:
        rgb = torch.where(points[:, :1] < 0.0, self.left, self.right)
        density = self.density(points)
        return FieldOutput(density, rgb, density)


def test_gate_lets_gradients_into_the_region_alone() -> None:
    gradients = {}
    rays = Camera.orbit(20.0, 10.0, width_px=16).rays().flatten()
    for name, gate in (("open", None), ("right", lambda p: p[:, 0] >= 0.0), ("none", lambda p: p[:, 0] > 9.0)):
        field = TwoColors()
        renderer = VolumeRenderer(RendererConfig(samples_per_ray=64, backend="torch"), field, OccupancyGrid(8))
        renderer.gate = gate
        rendering, _ = renderer.backward_in_chunks(rays, lambda r: r.rgb.sum()) if name != "none" else (
            renderer.render_rays(rays), None
        )  # fmt: skip
        gradients[name] = field.left.grad, field.right.grad, rendering.rgb.detach()
    assert gradients["right"][0] is None or not gradients["right"][0].any()
    assert torch.allclose(gradients["right"][1], gradients["open"][1])
    assert gradients["open"][0].abs().sum() > 0
    assert torch.equal(gradients["right"][2], gradients["open"][2])
    assert not gradients["none"][2].requires_grad


def test_rays_cross_a_region_where_geometry_says_so() -> None:
    grid = RegionGrid.of(lambda p: (p[:, 2] > 0.5) & (p[:, 2] < 0.9))
    up = Rays(torch.tensor([[0.0, 0.0, -3.0]] * 2), torch.tensor([[1e-6, 1e-6, 1.0]] * 2))
    assert crossing(up, torch.tensor([torch.inf, 3.2]), grid).tolist() == [True, False]
    flat = Rays(torch.tensor([[-3.0, 0.0, 0.1]]), torch.tensor([[1.0, 1e-6, 1e-6]]))
    assert not crossing(flat, torch.tensor([torch.inf]), grid).any()


def test_holding_pictures_know_what_is_outside() -> None:
    views = holding_views(ball(), lambda p: p[:, 2] > 0.0, None, n_views=3, size_px=96)
    assert sum(view.weight for view in views) == 1.0
    for view in views:
        rays, seen = view.camera.rays(), rasterize_mesh(ball(), view.camera)
        height = (rays.origins + rays.directions * seen.depth[..., None])[..., 2]
        hit = seen.opacity > 0.5
        assert not view.known[hit & (height > 0.02)].any()
        assert view.known[hit & (height < -0.2)].all()
        assert view.known[view.image[..., 3] == 0].float().mean() > 0.95


class Nothing(TwoColors):
    """Empty space."""

    def density(self, points: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(points))


def test_cells_of_a_region_stay_open() -> None:
    grid = OccupancyGrid(8)
    grid.keep_open(lambda p: p[:, 0] > 0.0)
    grid.update(Nothing(), threshold=0.1, warmup=True)
    found = grid.occupied().reshape(8, 8, 8)
    assert found[4:].all() and not found[:4].any()
    grid.keep_open(None)
    grid.update(Nothing(), threshold=0.1, warmup=True, decay=0.0)
    assert not grid.occupied().any()
