"""A known object as a prior: the loop must arrive at it, which no picture of one side could tell.

The analytic prior knows what a two-colored ball looks like from everywhere: whatever noisy view it is shown, it
answers with the true one. Score distillation from it has one fixed point, the ball.
"""

from __future__ import annotations

import torch

from nerf2mesh.distill import DistillConfig, cosine_level, from_x0
from nerf2mesh.fields import FieldConfig, HashGridField
from nerf2mesh.optimize import GivenPixels, LoopState, OptimizeConfig, Problem
from nerf2mesh.priors import PriorDefaults, SeesCameras
from nerf2mesh.priors.builtin.network import decode_rgba, encode_rgba
from nerf2mesh.render import OccupancyGrid, RendererConfig, VolumeRenderer
from nerf2mesh.types import Camera, Observations, View

RADIUS = 0.6
FRONT, BACK = torch.tensor([0.9, 0.2, 0.1]), torch.tensor([0.1, 0.3, 0.9])


def ball_views(cameras: Camera, scale: float = 1.0) -> torch.Tensor:
    """Premultiplied RGBA [*b, h, w, 4] of the ball, red for x > 0 and blue behind, antialiased by 3 x 3 rays."""
    radius = RADIUS * scale
    fine = cameras.resized(cameras.width_px * 3, cameras.height_px * 3).rays()
    along = -(fine.origins * fine.directions).sum(-1)
    nearest = (fine.origins + along[..., None] * fine.directions).square().sum(-1)
    hit = nearest < radius**2
    t = along - (radius**2 - nearest).clamp_min(0).sqrt()
    x = (fine.origins + t[..., None] * fine.directions)[..., 0]
    color = torch.where((x > 0)[..., None], FRONT, BACK)
    rgba = torch.cat([color, torch.ones_like(x)[..., None]], dim=-1) * hit[..., None]
    flat = rgba.reshape(-1, *rgba.shape[-3:]).permute(0, 3, 1, 2)
    small = torch.nn.functional.avg_pool2d(flat, 3).permute(0, 2, 3, 1)
    return small.reshape(*cameras.batch_shape, *small.shape[1:])


class BallPrior(SeesCameras, PriorDefaults):
    """The analytic prior; see `priors.base.Prior`."""

    kind = "v"
    has_alpha = True
    network = torch.nn.Identity()

    def __init__(self, image_size: int = 24) -> None:
        self.image_size = image_size

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return encode_rgba(images.movedim(-1, -3))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return decode_rgba(latents).movedim(-3, -1)

    def level(self, t: torch.Tensor):
        return cosine_level(t.reshape(-1, 1, 1, 1, 1))

    def condition(self, observations: Observations) -> None:
        return None

    def predict(self, noisy, t, cameras, condition, *, branch="conditional"):
        return from_x0("v", self.encode(ball_views(cameras)), noisy, self.level(t))


def observations(size_px: int = 48) -> Observations:
    camera = Camera.orbit(0.0, 10.0, width_px=size_px)
    rgba = ball_views(camera)
    alpha = rgba[..., 3:]
    return Observations((View(torch.cat([rgba[..., :3] / alpha.clamp_min(1e-6), alpha], dim=-1), camera),))


def problem(
    steps: int,
    *,
    seed: int = 0,
    prior=None,
    views: Observations | None = None,
    distill: DistillConfig | None = None,
    material: str = "emissive",
    **weights,
) -> tuple[LoopState, Problem]:
    """A small run on the ball."""
    config = OptimizeConfig(steps=steps, rays=256, regularizer_samples=64, checkpoint_every=2, log_every=1, **weights)
    field = HashGridField(
        FieldConfig(n_levels=6, n_features=2, log2_table_size=13, hidden=32, material=material, delight="along"),
        torch.Generator().manual_seed(seed),
    )
    occupancy = OccupancyGrid(32)
    state = LoopState.fresh(field, occupancy, config.lr_encoding, config.lr_network, seed)
    renderer = VolumeRenderer(RendererConfig(samples_per_ray=96, occupancy_resolution=32), field, occupancy)
    prior, views = prior or BallPrior(), observations() if views is None else views
    pixels = GivenPixels(views, torch.device("cpu"))
    distill = distill or DistillConfig(supersample=1)
    return state, Problem(
        observations=views,
        prior=prior,
        condition=prior.condition(views),
        renderer=renderer,
        pixels=pixels,
        config=config,
        distill=distill,
    )
