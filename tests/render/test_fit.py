"""The parts together: a colored ball is learned from pictures and seen from new sides."""

import math

import torch

from nerf2mesh.fields import FieldConfig, HashGridField
from nerf2mesh.render import OccupancyGrid, RendererConfig, VolumeRenderer
from nerf2mesh.types import Camera, Rays
from tests.render.solids import ball_chord

RADIUS = 0.55


def picture(rays: Rays) -> torch.Tensor:
    """Premultiplied RGBA of an opaque ball whose color follows its surface."""
    enter, length = ball_chord(rays, RADIUS)
    normal = (rays.origins + enter[:, None] * rays.directions) / RADIUS
    color = 0.5 + 0.4 * torch.sin(3 * normal + torch.tensor([0.0, 1.0, 2.0]))
    hit = (length > 0).float()[:, None]
    return torch.cat([color * hit, hit], dim=-1)


def fit(steps: int, seed: int = 0) -> tuple[HashGridField, VolumeRenderer]:
    generator = torch.Generator().manual_seed(seed)
    field = HashGridField(FieldConfig(n_levels=6, start_levels=3, log2_table_size=13, hidden=32), generator)
    config = RendererConfig(samples_per_ray=96, occupancy_resolution=32, occupancy_warmup=64)
    renderer = VolumeRenderer(config, field, OccupancyGrid(32))
    cameras = Camera.orbit(torch.arange(12) * 30.0, torch.tensor([10.0, 40.0, -20.0] * 4), width_px=48)
    rays = cameras.rays().flatten()
    target = picture(rays)
    optimizer = torch.optim.Adam(field.param_groups(1e-2, 1e-2), betas=(0.9, 0.99), eps=1e-15)
    for step in range(steps):
        renderer.update_occupancy(step, generator)
        field.n_active_levels = min(6, 3 + 6 * step // steps)
        rows = torch.randint(len(target), (768,), generator=generator)
        grey = torch.rand(768, 1, generator=generator)
        some = Rays(rays.origins[rows], rays.directions[rows])
        rendering = renderer.render_rays(some, jitter=torch.rand(768, generator=generator))
        wanted = target[rows, :3] + (1 - target[rows, 3:]) * grey
        optimizer.zero_grad()
        (rendering.over(grey) - wanted).square().mean().backward()
        optimizer.step()
    return field, renderer


def test_ball_is_learned_from_pictures():
    _, renderer = fit(140)
    cameras = Camera.orbit(torch.arange(4) * 90.0 + 45, torch.tensor([0.0, 30.0, 60.0, -30.0]), width_px=32)
    wanted = picture(cameras.rays().flatten())
    rendering = renderer.render(cameras, normals="finite_difference")
    error = (rendering.over(1.0).reshape(-1, 3) - wanted[:, :3] - 1 + wanted[:, 3:]).square().mean()
    assert -10 * math.log10(error.item()) > 25
    enter, length = ball_chord(cameras.rays().flatten(), RADIUS)
    deep = length > 0.5 * RADIUS
    assert (rendering.depth.view(-1) - enter)[deep].abs().mean() < 0.05
    skin = torch.nn.functional.normalize(rendering.normal.view(-1, 3)[deep], dim=-1)
    rays = cameras.rays().flatten()
    truth = (rays.origins + enter[:, None] * rays.directions)[deep] / RADIUS
    assert (skin * truth).sum(-1).mean() > 0.8
    assert renderer.occupancy.fraction() < 0.5


def test_equal_seeds_give_equal_bits():
    first, again = (fit(12)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
