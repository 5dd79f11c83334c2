"""One scene traced until every ray has hit the surface or left: ground truth of benchmarks, and G-buffers of drawings.

`render.SceneRenderer` takes a fixed number of steps, so that batches compile: it misses a few grazing pixels at the
silhouette (1 to 5 % of the area at 128 px). Here rays leave the batch as they finish, and the hit threshold is a
fiftieth of a pixel.

`gbuffer` says what a G-buffer holds.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nerf2mesh.procedural.gbuffer import GBuffer
from nerf2mesh.procedural.parts import SHAPE, scene_albedo, scene_distance
from nerf2mesh.procedural.render import SceneRenderer, Scenes, _scene_rays, _shading
from nerf2mesh.types import Camera

HIT_PX = 0.05
MAX_STEPS = 256
"""Enough for all but rays that graze a part of strong taper; those count as missed."""
_CHUNK = 1 << 15
_BLOCK = 8


@torch.no_grad()
def render_exact(scenes: Scenes, cameras: Camera, *, supersample: int = 2) -> GBuffer:
    """The G-buffer of a batch of one scene from cameras [V], averaged over `supersample`^2 rays a pixel.

    Image sides must be multiples of 4.
    """
    assert len(scenes) == 1, "one scene at a time"
    used = int((scenes.shapes[..., SHAPE["cz"]] > -40).sum())  # absent parts cost time and change nothing
    scenes = replace(scenes, shapes=scenes.shapes[:, :used], colors=scenes.colors[:, :used])
    width, height = cameras.width_px * supersample, cameras.height_px * supersample
    n_views = len(cameras.camera_to_world)
    rows = scenes[torch.zeros(n_views, dtype=torch.long, device=scenes.scale.device)]
    start = SceneRenderer()._cones(rows, cameras, width, height)
    o, d, (_, far) = _scene_rays(rows, cameras.resized(width, height))
    may_hit = torch.isfinite(start)
    values = o.new_zeros(*start.shape, 12)
    rays = (o[:, may_hit], d[:, may_hit])
    t, hit = _trace(scenes, *rays, start[may_hit], far[may_hit], HIT_PX * 2.4 / width / float(scenes.scale))
    values[may_hit] = _surface(scenes, *rays, t, hit)
    values = values.reshape(n_views, cameras.height_px, supersample, cameras.width_px, supersample, 12).mean((2, 4))
    rgb, alpha, albedo, normal, depth, facing = values.split([3, 1, 3, 3, 1, 1], dim=-1)
    images = {"rgb": rgb, "alpha": alpha[..., 0], "albedo": albedo, "normal": normal}
    depth, facing = (torch.where(alpha > 0, v / alpha.clamp_min(1e-6), 0.0)[..., 0] for v in (depth, facing))
    return images | {"depth": depth, "facing": facing}


def _trace(scenes: Scenes, o: Tensor, d: Tensor, t: Tensor, far: Tensor, close: float) -> tuple[Tensor, Tensor]:
    """Where rays o, d [3, m] (scene frame) started at t [m] come closer than `close`, and whether they do [m]."""
    t, hit = t.clone(), torch.zeros_like(t, dtype=torch.bool)
    active = torch.arange(len(t), device=t.device)
    for _ in range(MAX_STEPS // _BLOCK):
        left: list[Tensor] = []
        for chunk in active.split(_CHUNK):
            at, from_, along = t[chunk], o[:, chunk], d[:, chunk]
            gap = torch.zeros_like(at)
            for _ in range(_BLOCK):
                gap = scene_distance(scenes.shapes, *(from_ + at * along)[:, None])[0]
                at = at + gap
            t[chunk], hit[chunk] = at, gap < close
            left.append(chunk[(gap >= close) & (at < far[chunk])])
        active = torch.cat(left) if left else active
        if not len(active):
            break
    return t, hit


def _surface(scenes: Scenes, o: Tensor, d: Tensor, t: Tensor, hit: Tensor) -> Tensor:
    """rgb, 1, albedo, normal, depth, facing [m, 12] of what is hit; zeros elsewhere."""
    values = o.new_zeros(len(t), 12)
    x, y, z = (o[:, hit] + t[hit] * d[:, hit])[:, None]
    normal = SceneRenderer()._normal(scenes.shapes, x, y, z) @ scenes.rotation.transpose(1, 2)
    albedo = scene_albedo(scenes.shapes, scenes.colors, x, y, z)
    rgb = (albedo * _shading(scenes.light, normal)).clamp(0, 1)
    depth = (t[hit] * scenes.scale)[None, :, None]
    facing = -(normal * (d[:, hit].T @ scenes.rotation[0].T)).sum(-1, keepdim=True)
    values[hit] = torch.cat([rgb, torch.ones_like(depth), albedo, normal, depth, facing], dim=-1)[0]
    return values
