"""Fits a field to a mesh: first the space by what the cameras see, then the pictures themselves.

Both use the same rays, of cameras all around, whose color, opacity and depth the rasterizer knows.

Letters
    A ray meets the mesh at distance d, under a cosine c between normal and ray. A point at distance t on it lies
    s = (t - d) c behind the surface, if it is near. In the first steps the logit there is drawn to
    x(s) = clip(X s / w, -X, X), so that the surface lies where the density is exp(0) = 1 / world unit times a steep
    slope of width w, and the color at d to the mesh's. A ray that misses asks for -X anywhere in the box.
The points cost no marching and no compositing: a step is several times cheaper than one of rays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nerf2mesh.fields import HashGridField
from nerf2mesh.kernels import FusedAdam
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.refine.config import StartConfig
from nerf2mesh.render import VolumeRenderer, rasterize_mesh
from nerf2mesh.render import regularizers as reg
from nerf2mesh.types import Camera, Rays, Rendering
from nerf2mesh.utils.device_copy import to_device

GOLDEN = 0.6180339887498949
LR_ENCODING, LR_NETWORK, LR_FINAL = 3e-2, 3e-3, 0.05
STEEP = 5.0
"""X: exp(5) = 148 stops the light within a few hundredths of a world unit."""
WIDTH = 0.02
"""w, in world units."""
REACH = 0.06
"""How far before and behind the surface points are drawn, in world units."""
WEIGHT_COLOR, WEIGHT_MASK, WEIGHT_DISTORTION = 30.0, 10.0, 0.02


@dataclass(frozen=True)
class SeenRays:
    """Rays [N] of pictures of a mesh, with what is seen along them: premultiplied RGBA [N, 4]; and of those in `hit`
    [K] (numbers of rays that hit) the distance [K], the cosine of normal and ray [K]."""

    rays: Rays
    rgba: Tensor
    hit: Tensor
    miss: Tensor
    depth: Tensor
    cosine: Tensor


def all_around(n: int, size_px: int, turn_deg: float = 0.0) -> Camera:
    """n cameras on a Fibonacci lattice of the sphere, none nearer than 10 degrees to straight above or below."""
    k = torch.arange(n) + 0.5
    azimuth = torch.remainder(k * 360.0 * GOLDEN + turn_deg, 360.0)
    elevation = torch.rad2deg(torch.asin(1.0 - 2.0 * k / n)).clamp(-80.0, 80.0)
    return Camera.orbit(azimuth, elevation, width_px=size_px)


def seen_rays(mesh: TriangleMesh, cameras: Camera) -> SeenRays:
    """What `cameras` [V] see of the mesh, as flat rays; ValueError where it is too thin to fill a single pixel."""
    seen = rasterize_mesh(mesh, cameras, supersample=2, smooth=False)
    rays, opacity = cameras.rays().flatten(), seen.opacity.reshape(-1)
    hit, miss = (opacity > 0.99).nonzero()[:, 0], (opacity == 0).nonzero()[:, 0]
    assert seen.normal is not None
    if not len(hit):
        raise ValueError(
            "start_from: expected a mesh that fills pixels, got one thinner than those of pictures of "
            f"{cameras.width_px} px; raise refine.start.size_px"
        )
    normal = torch.nn.functional.normalize(seen.normal.reshape(-1, 3)[hit], dim=-1)
    cosine = (normal * rays.directions[hit]).sum(-1).abs().clamp_min(0.05)
    return SeenRays(rays, seen.rgba.reshape(-1, 4), hit, miss, seen.depth.reshape(-1)[hit], cosine)


def fit_start(
    field: HashGridField,
    renderer: VolumeRenderer,
    mesh: TriangleMesh,
    config: StartConfig,
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Makes the field and its occupancy look like the mesh, which lies in the box; all levels are active afterwards."""
    seen, occupancy = seen_rays(mesh, all_around(config.views, config.size_px)), renderer.occupancy
    generator = torch.Generator().manual_seed(seed)
    optimizer = FusedAdam(field.param_groups(LR_ENCODING, LR_NETWORK))
    base = [group["lr"] for group in optimizer.param_groups]
    field.n_active_levels = field.config.n_levels
    field.train()
    steps = config.point_steps + config.ray_steps
    for step in range(steps):
        for group, rate in zip(optimizer.param_groups, base):
            group["lr"] = rate * LR_FINAL ** (step / steps)
        optimizer.zero_grad(set_to_none=False)
        if step < config.point_steps:
            point_step(field, seen, config.points, generator)
        else:
            if step == config.point_steps:
                occupancy.bake_full(field, threshold=renderer.config.density_threshold)
            elif (step - config.point_steps) % 32 == 0:
                renderer.update_occupancy(0, generator)
            ray_step(renderer, seen, config.rays, generator)
        optimizer.step()
        if progress is not None:
            progress(step + 1)
    occupancy.bake_full(field, threshold=renderer.config.density_threshold)


def point_step(field: HashGridField, seen: SeenRays, n: int, generator: torch.Generator) -> None:
    """Adds the gradient of one step of points: n near the surface, n / 4 before it and n / 4 on rays that miss."""
    device = next(field.parameters()).device

    def drawn(count: int) -> Tensor:
        return torch.rand(count, generator=generator)

    pick = torch.randint(len(seen.hit), (n,), generator=generator)
    ray, depth, cosine = seen.hit[pick], seen.depth[pick], seen.cosine[pick]
    offset = REACH * (2.0 * drawn(n) - 1.0)
    offset[: n // 4] = 0.0
    free = torch.randint(len(seen.hit), (n // 4,), generator=generator)
    empty = seen.miss[torch.randint(len(seen.miss), (n // 4,), generator=generator)]
    near, far = box_range(Rays(seen.rays.origins[empty], seen.rays.directions[empty]))
    entry, _ = box_range(Rays(seen.rays.origins[seen.hit[free]], seen.rays.directions[seen.hit[free]]))
    stop = seen.depth[free] - 2.0 * WIDTH
    rays = torch.cat([ray, seen.hit[free], empty])
    t = torch.cat(
        [depth + offset / cosine, entry + (stop - entry) * drawn(n // 4), near + (far - near) * drawn(n // 4)]
    )
    points = seen.rays.origins[rays] + t[:, None] * seen.rays.directions[rays]
    wanted = torch.cat([(STEEP / WIDTH * offset).clamp(-STEEP, STEEP), torch.full((2 * (n // 4),), -STEEP)])
    output = field(to_device(points, device))
    near_surface = offset.abs() <= 0.5 * WIDTH
    logit = (output.logit - to_device(wanted, device)).clamp(-8.0, 8.0)
    # What is emptier than empty or denser than dense is right as it is.
    outside = (to_device(wanted, device) <= -STEEP) & (output.logit < -STEEP)
    inside = (to_device(wanted, device) >= STEEP) & (output.logit > STEEP)
    shape = torch.where(outside | inside, 0.0, logit).square().mean()
    rows = to_device(near_surface.nonzero()[:, 0], device)
    color = output.rgb[rows] - to_device(seen.rgba[ray[near_surface], :3], device)
    (0.05 * shape + color.square().mean()).backward()


def box_range(rays: Rays) -> tuple[Tensor, Tensor]:
    """Distances [n] at which rays enter and leave the box [-1, 1]^3; equal where they pass it by."""
    a, b = ((side - rays.origins) / rays.directions for side in (-1.0, 1.0))
    near, far = torch.minimum(a, b).amax(-1).clamp_min(0.0), torch.maximum(a, b).amin(-1)
    return near, torch.maximum(near, far)


def ray_step(renderer: VolumeRenderer, seen: SeenRays, n: int, generator: torch.Generator) -> None:
    """Adds the gradient of one photometric step of n rays, half of them on the object."""
    device = renderer.occupancy.bits.device
    anywhere = torch.randint(len(seen.rgba), (n - n // 2,), generator=generator)
    rows = torch.cat([anywhere, seen.hit[torch.randint(len(seen.hit), (n // 2,), generator=generator)]])
    target = to_device(seen.rgba[rows], device)
    background = to_device(torch.rand(n, 3, generator=generator), device)
    rays = Rays(to_device(seen.rays.origins[rows], device), to_device(seen.rays.directions[rows], device))

    def objective(rendering: Rendering) -> Tensor:
        wanted = target[:, :3] + (1.0 - target[:, 3:]) * background
        color = (rendering.over(background) - wanted).square().mean()
        mask = (rendering.opacity - target[:, 3]).square().mean()
        thin = reg.distortion(rendering.extra["distortion"])
        return WEIGHT_COLOR * color + WEIGHT_MASK * mask + WEIGHT_DISTORTION * thin

    jitter = to_device(torch.rand(n, generator=generator), device)
    renderer.backward_in_chunks(rays, objective, jitter=jitter)
